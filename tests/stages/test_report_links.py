"""The report's links: which column has the articles' addresses, and what a story is named by."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jobs import headlines_of, job_of

from job.backends.stories.story_state import StoryIds, Today, next_day
from job.context import Job
from job.data import ROWS, Clusters, Headlines
from job.stages.report_links import addresses, link_ids


def job_with(folder: Path, *rows: dict[str, Any]) -> Job:
    """Two headlines, with these rows of the input: those of the first, and the last row of the second."""
    job = job_of(folder, headlines_of([1, 2], ["A", "B"]), extra=list(rows))
    ids = [1] * (len(rows) - 1) + [2]
    pq.write_table(pa.Table.from_pylist([{"id": id, "file": 0, "row": 0} for id in ids], ROWS), folder / "rows.parquet")
    return job


def test_a_headline_has_the_address_of_its_first_row_with_one(tmp_path: Path) -> None:
    rows = [{"URL": None}, {"URL": " https://a.com/1 "}, {"URL": "https://a.com/2"}, {"URL": "https://b.com/?a&amp;b"}]
    assert addresses(job_with(tmp_path / "run", *rows)) == ["https://a.com/1", "https://b.com/?a&b"]


@pytest.mark.parametrize("name", ["url", "Link", "href", "webUrl", "article_url", "Permalink", "guid"])
def test_the_usual_names_are_found(tmp_path: Path, name: str) -> None:
    found = addresses(job_with(tmp_path / "run", {name: "https://a.com"}, {name: "http://b.com"}))
    assert found == ["https://a.com", "http://b.com"]


def test_where_one_column_has_no_address_the_next_one_of_a_usual_name_has(tmp_path: Path) -> None:
    job = job_with(
        tmp_path / "run",
        {"guid": "https://a.com/g", "link": "https://a.com/l", "url": 5, "homepage": "https://a.com"},
        {"guid": "https://b.com/g", "link": "javascript:alert(1)", "url": 6, "homepage": "https://b.com"},
    )
    assert addresses(job) == ["https://a.com/l", "https://b.com/g"]


def test_other_columns_and_values_are_no_addresses(tmp_path: Path) -> None:
    job = job_with(tmp_path / "run", {"image": "https://a.com/a.png", "url": {"a": 1}}, {"image": "", "url": {"a": 2}})
    assert addresses(job) == ["", ""]


def test_a_story_is_named_by_the_id_that_it_would_be_born_with(tmp_path: Path) -> None:
    ids, labels = np.arange(1, 9), np.array([0, 1, 0, 1, 1, -1, 0, 0], np.int32)
    times = np.array([5.0, np.nan, 3.0, 2.0, 2.0, 1.0, 9.0, 3.0])
    job = job_of(tmp_path / "run", headlines_of(ids, [f"text {number}" for number in ids]))
    today = Today(ids, [""] * 8, times, labels, 2, "")
    born = next_day(None, today)[1].story_id.tolist()
    table = job.headlines.table.set_column(5, "time", pa.array(times, from_pandas=True))
    job.headlines = Headlines(table)
    none = np.zeros(8, np.float32)
    job.clusters = Clusters(labels, none, np.zeros(2, np.float32), labels, none)
    assert link_ids(job) == born == [3, 4]
    # where ids are kept, those
    job.story_ids = StoryIds(np.array([70, 2**62]), np.array([-1, -1]))
    assert link_ids(job) == [70, 2**62]
