"""Tables of a finished run for `export`: BERTopic's, JSON Lines, and CSV for spreadsheets."""

from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from job.backends.tables.answer_rows import WRITERS, TableWriter
from job.backends.tables.csv_answer import CsvAnswer
from job.backends.tables.source import as_strings
from job.commands.finished import written
from job.context import Job
from job.topics import utc

_ROWS = 65_536
# a spreadsheet keeps 15 digits of a number, so many characters in a cell, and so many rows
_LARGEST_NUMBER, _CELL_CHARS, _SHEET_ROWS = 10**15 - 1, 32_767, 1_048_575
_LINE_ENDS = "[\r\n\x0b\x0c\x85\u2028\u2029]+"
_IDS = ("id", "story_id", "parent")
_BERTOPIC_WORDS, _BERTOPIC_DOCUMENTS = 4, 3
# whatever is in a run, so that tables of several runs fit together
STORIES = pa.schema(
    [
        ("cluster", pa.int64()),
        ("rows", pa.int64()),
        ("headlines", pa.int64()),
        ("name", pa.string()),
        ("keywords", pa.list_(pa.string())),
        ("sources", pa.int64()),
        ("first_seen", pa.timestamp("s", "UTC")),
        ("last_seen", pa.timestamp("s", "UTC")),
        ("growth", pa.float64()),
        ("theme", pa.int64()),
        ("topic", pa.int64()),
        ("theme_name", pa.string()),
        ("exemplar_ids", pa.list_(pa.int64())),
        ("exemplars", pa.list_(pa.string())),
        ("topic_name", pa.string()),
    ]
)


def stories_table(job: Job) -> pa.Table:
    """One row a story, with the columns of topics.csv: lists as lists, texts as they are. The types are those of
    `STORIES`; where ids are kept, `story_id` and `parent` (int64) follow."""
    titles, ids = job.headlines.column("title"), job.headlines.ids
    names: dict[tuple[str, int | None], str] = {(row.level, row.number): row.name for row in job.theme_names}
    rows = [
        {
            "cluster": topic.cluster,
            "rows": topic.rows,
            "headlines": topic.size,
            "name": topic.name,
            "keywords": topic.keywords,
            "sources": topic.sources,
            "first_seen": utc(topic.first_seen),
            "last_seen": utc(topic.last_seen),
            "growth": topic.growth,
            "theme": topic.theme,
            "topic": topic.topic,
            "theme_name": names.get(("theme", topic.theme)),
            "exemplar_ids": ids[topic.exemplars].tolist(),
            "exemplars": [titles[row] for row in topic.exemplars],
            "topic_name": names.get(("topic", topic.topic)),
        }
        for topic in job.topics
    ]
    table = pa.Table.from_pylist(rows, STORIES)
    kept = {} if job.story_ids is None else job.story_ids.columns(np.arange(len(rows), dtype=np.int32))
    for name, column in kept.items():
        table = table.append_column(name, column)
    return table


def write_jsonl(job: Job, folder: Path) -> Iterator[str]:
    """`headlines.jsonl`, one line an input row, and `stories.jsonl`."""
    yield from _write_both(job, folder, ".jsonl", lambda table, _: table)


def write_csv(job: Job, folder: Path) -> Iterator[str]:
    """`headlines.csv` and `stories.csv`, for spreadsheets."""
    yield from _write_both(job, folder, ".csv", for_spreadsheet)
    if pq.read_metadata(job.run.file("headlines_clustered.parquet")).num_rows > _SHEET_ROWS:
        yield f"headlines.csv has more rows than a spreadsheet opens ({_SHEET_ROWS:,})"


def _write_both(job: Job, folder: Path, suffix: str, change: Callable[[pa.Table, set[str]], pa.Table]) -> Iterator[str]:
    path = job.run.file("headlines_clustered.parquet")
    answer, stories = pq.ParquetFile(path), stories_table(job)
    as_text = _long_numbers(pq.read_table(path, columns=_integers(answer.schema_arrow)))
    blocks = (change(pa.Table.from_batches([batch]), as_text) for batch in answer.iter_batches(_ROWS))
    yield _write(job, folder / f"headlines{suffix}", change(answer.schema_arrow.empty_table(), as_text).schema, blocks)
    stories = change(stories, _long_numbers(stories.select(_integers(stories.schema))))
    yield _write(job, folder / f"stories{suffix}", stories.schema, iter([stories]))


def _write(job: Job, path: Path, schema: pa.Schema, blocks: Iterator[pa.Table]) -> str:
    rows = 0
    # without the mark, Excel takes UTF-8 for another encoding
    kind: Callable[[Path, pa.Schema], TableWriter] = (
        partial(CsvAnswer, start=BOM_UTF8) if path.suffix == ".csv" else WRITERS[path.suffix]
    )
    with written(job, path) as temporary, kind(temporary, schema) as file:
        for block in blocks:
            file.write(block)
            rows += block.num_rows
    return f"{path}: {rows:,} rows"


def for_spreadsheet(table: pa.Table, as_text: set[str]) -> pa.Table:
    """The table without line ends in cells, with cells that fit, and with the numbers of the columns `as_text` as text:
    `id:` and all digits, empty for no story."""
    columns = {}
    for name in table.column_names:
        column = table[name]
        if name in as_text:
            text = pc.binary_join_element_wise("id:", column.cast(pa.string()), "")
            column = pc.if_else(pc.equal(column, -1), None, text) if name in _IDS else text
        elif pa.types.is_list(column.type):
            separator = " " if pa.types.is_integer(column.type.value_type) else " | "
            values = [None if row is None else separator.join(map(str, row)) for row in column.to_pylist()]
            column = pa.chunked_array([pa.array(values, pa.string())])
        elif not pa.types.is_primitive(column.type):
            # texts of every layout, and what lies within others
            column = as_strings(column)
        if pa.types.is_string(column.type):
            column = pc.replace_substring_regex(column, _LINE_ENDS, " ")
            cut = pc.binary_join_element_wise(pc.utf8_slice_codeunits(column, 0, _CELL_CHARS - 2), "…", "")
            column = pc.if_else(pc.greater(pc.utf8_length(column), _CELL_CHARS - 1), cut, column)
        columns[name] = column
    return pa.table(columns)


def _integers(schema: pa.Schema) -> list[str]:
    return [item.name for item in schema if pa.types.is_integer(item.type)]


def _long_numbers(table: pa.Table) -> set[str]:
    """The columns of ids, and those with a number of more digits than a spreadsheet keeps."""
    return {name for name in table.column_names if name in _IDS or _has_large(table[name])}


def _has_large(column: pa.ChunkedArray) -> bool:
    ends = pc.min_max(column).as_py()
    return ends["max"] is not None and max(-ends["min"], ends["max"]) > _LARGEST_NUMBER


def write_bertopic(job: Job, folder: Path) -> Iterator[str]:
    """`topic_info` and `document_info`, each as Parquet with lists and as CSV with JSON."""
    for name, table in (("topic_info", _topic_info(job)), ("document_info", _document_info(job))):
        for suffix in (".parquet", ".csv"):
            with (
                written(job, folder / f"{name}{suffix}") as temporary,
                WRITERS[suffix](temporary, table.schema) as file,
            ):
                file.write(table)
        yield f"{folder / name}.parquet, .csv: {table.num_rows:,} rows"


def _bertopic_name(topic: Any) -> str:
    return "_".join([str(topic.cluster), *topic.keywords[:_BERTOPIC_WORDS]])


def _topic_info(job: Job) -> pa.Table:
    """As `BERTopic.get_topic_info()` and `set_topic_labels` give it: Topic -1 is noise and stands first."""
    titles, labels = job.headlines.column("title"), job.assigned
    noise = np.flatnonzero(labels < 0)
    sizes = np.bincount(labels[labels >= 0], minlength=len(job.topics)).tolist()
    rows = [
        {
            "Topic": -1,
            "Count": len(noise),
            "Name": "-1_noise",
            "CustomName": "noise",
            "Representation": [],
            "Representative_Docs": [titles[row] for row in noise[:_BERTOPIC_DOCUMENTS]],
        }
    ]
    rows += [
        {
            "Topic": topic.cluster,
            "Count": sizes[topic.cluster],
            "Name": _bertopic_name(topic),
            "CustomName": topic.name,
            "Representation": topic.keywords,
            "Representative_Docs": [titles[row] for row in topic.exemplars[:_BERTOPIC_DOCUMENTS]],
        }
        for topic in job.topics
    ]
    texts = pa.list_(pa.string())
    kinds = [("Topic", pa.int64()), ("Count", pa.int64()), ("Name", pa.string()), ("CustomName", pa.string())]
    schema = pa.schema([*kinds, ("Representation", texts), ("Representative_Docs", texts)])
    return pa.Table.from_pylist(rows if len(noise) else rows[1:], schema)


def _document_info(job: Job) -> pa.Table:
    """As `BERTopic.get_document_info(docs)` gives it, one row per distinct headline."""
    labels = job.assigned
    names = np.array([*map(_bertopic_name, job.topics), "-1_noise"], object)
    custom = np.array([*(topic.name for topic in job.topics), "noise"], object)
    words = np.array([*(" - ".join(topic.keywords) for topic in job.topics), ""], object)
    representative = np.zeros(len(labels), bool)
    representative[[row for topic in job.topics for row in topic.exemplars[:_BERTOPIC_DOCUMENTS]]] = True
    return pa.table(
        {
            "id": job.headlines.ids,
            "Document": job.headlines.table["text"],
            "Topic": pa.array(labels.astype(np.int64)),
            "Name": pa.array(names[labels], pa.string()),
            "CustomName": pa.array(custom[labels], pa.string()),
            "Top_n_words": pa.array(words[labels], pa.string()),
            "Probability": pa.array(job.clusters.probabilities),
            "Representative_document": pa.array(representative),
        }
    )
