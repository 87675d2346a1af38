"""Report's links: the addresses of the articles, and what a link names a story by."""

import pyarrow.parquet as pq

from job.backends.pages.plain import web_address
from job.backends.stories.story_state import earliest
from job.backends.tables.columns import usual_columns
from job.backends.tables.source import as_strings
from job.context import Job
from job.runtime.log import logger

# columns of the input that may hold the article's address, the most likely one first
_USUAL_NAMES = (
    "url link href article_url article_link news_url news_link web_url page_url story_url permalink canonical_url "
    "original_url original_link full_url document_identifier uri guid"
).split()


def addresses(job: Job) -> list[str]:
    """The address of each headline's article, as its first row with one has it; "" where none is known."""
    return job.once("addresses", lambda: _addresses(job))


def _addresses(job: Job) -> list[str]:
    found = [""] * len(job.headlines)
    path = job.answer_folder / "input.parquet"
    names = usual_columns(_USUAL_NAMES, pq.read_schema(path).names)
    used = dict.fromkeys(names, 0)
    for name in names:
        start = 0
        for batch in pq.ParquetFile(path).iter_batches(columns=[name]):
            rows = job.rows.headlines[start : start + len(batch)].tolist()
            start += len(batch)
            for row, text in zip(rows, as_strings(batch.column(0)).to_pylist(), strict=True):
                # an address in a feed is often written as in HTML
                if row >= 0 and text and not found[row] and (address := web_address(text.replace("&amp;", "&"))):
                    found[row] = address
                    used[name] += 1
    columns = ", ".join(f"column '{name}'" for name, count in used.items() if count)
    count = sum(used.values())
    if count:
        logger.info("report: %s of %s headlines have an address (%s)", f"{count:,}", f"{len(found):,}", columns)
    return found


def link_ids(job: Job) -> list[int]:
    """What links name each story by: the id that stays, or the one that it would be born with."""
    if job.story_ids is not None:
        return [int(number) for number in job.story_ids.story_id]
    headlines, clusters = job.headlines, job.clusters
    members = earliest(headlines.ids, headlines.times, clusters.labels, clusters.count)
    return [int(headlines.ids[rows[0]]) for rows in members]
