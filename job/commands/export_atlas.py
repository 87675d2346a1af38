"""A finished run for embedding-atlas: points with their neighbors, labels by zoom, and the table of stories.

The files as embedding-atlas 0.26 reads them: any Parquet file with columns x and y; `neighbors`, a struct of the lists
`ids` (row numbers of this very file, from 0) and `distances`; labels with x, y, text, level and priority.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from job.backends.tables.take import take_rows
from job.commands.export_tables import stories_table
from job.commands.finished import written
from job.context import Job
from job.data import Ints

_NEIGHBORS = 15


def write(job: Job, folder: Path) -> Iterator[str]:
    """`atlas.parquet`, `labels.parquet`, `stories.parquet`; the last line is the command that opens them."""
    tables = {"atlas": points_table(job), "labels": labels_table(job), "stories": stories_table(job)}
    for name, table in tables.items():
        with written(job, folder / f"{name}.parquet") as temporary:
            pq.write_table(table, temporary, compression="zstd")
        yield f"{folder / name}.parquet: {table.num_rows:,} rows"
    yield "open it: " + shlex.join(command(job, folder))


def command(job: Job, folder: Path) -> list[str]:
    """The command line that opens the files."""
    title = job.input_column("title")
    relation = ["--table-relation", "stories", f"mainKey={_story_column(job)};key=cluster"]
    words = ["embedding-atlas", str(folder / "atlas.parquet"), "--text", title, "--x", "x", "--y", "y"]
    words += ["--neighbors", "neighbors", "--labels", str(folder / "labels.parquet")]
    return [*words, "--table", "stories", str(folder / "stories.parquet"), *relation]


def _story_column(job: Job) -> str:
    return "assigned" if job.config.cluster.noise == "nearest" else "cluster"


def points_table(job: Job) -> pa.Table:
    """One row per distinct headline, in their order: the answer's row of its first copy, and its neighbors."""
    answer = pq.read_table(job.run.file("headlines_clustered.parquet"))
    ids, first = np.unique(answer["id"].to_numpy(), return_index=True)
    # rows that `store.filter` left out are in the answer, but are no headlines of the run
    rows = first[np.searchsorted(ids, job.headlines.ids)]
    table = take_rows(answer, rows)
    times = job.headlines.times
    if np.isfinite(times).any():
        micros = pa.array(np.where(np.isfinite(times), times, 0) * 1e6, mask=~np.isfinite(times)).cast(
            pa.int64(), safe=False
        )
        table = table.append_column(_free("published_utc", table), micros.cast(pa.timestamp("us", tz="UTC")))
    if "neighbors" in table.column_names:
        names = [_free("input_neighbors", table) if name == "neighbors" else name for name in table.column_names]
        table = table.rename_columns(names)
    return table.append_column("neighbors", _neighbors(job))


def _free(name: str, table: pa.Table) -> str:
    while name in table.column_names:
        name = f"{name}_"
    return name


def _neighbors(job: Job) -> pa.Array:
    """The nearest headlines of each: a struct of two lists."""
    graph = job.graph.first(min(_NEIGHBORS, job.graph.columns))
    there = graph.indices >= 0
    ends = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32)
    ids = pa.ListArray.from_arrays(ends, pa.array(graph.indices[there].astype(np.int64)))
    distances = pa.ListArray.from_arrays(ends, pa.array(graph.distances[there].astype(np.float64)))
    return pa.StructArray.from_arrays([ids, distances], ["ids", "distances"])


def labels_table(job: Job) -> pa.Table:
    """Names at the middle of their headlines: themes at level 0, topics at 1, stories at 2; without themes, the largest
    stories at level 0, each level with twice as many as the one before."""
    stories = [(topic.cluster, topic.name) for topic in job.topics]
    if job.themes is None:
        levels = [int(np.log2(number / 8 + 1)) for number, _ in stories]
        rows = _labels(job, job.assigned, stories, levels)
    else:
        rows = _labels(job, job.assigned, stories, [2] * len(stories))
        for level, (name, labels) in enumerate((("theme", job.themes.themes), ("topic", job.themes.topics))):
            named = [(row.number, row.name) for row in job.theme_names if row.level == name]
            rows += _labels(job, labels, named, [level] * len(named))
    kinds = [("x", pa.float64()), ("y", pa.float64()), ("text", pa.string()), ("level", pa.int64())]
    return pa.Table.from_pylist(rows, pa.schema([*kinds, ("priority", pa.int64())]))


def _labels(job: Job, labels: Ints, named: list[tuple[int, str]], levels: list[int]) -> list[dict[str, Any]]:
    order = np.argsort(labels, kind="stable")
    ordered, rows = labels[order], []
    for (number, name), level in zip(named, levels, strict=True):
        start, stop = np.searchsorted(ordered, [number, number + 1])
        if start == stop:
            continue
        x, y = np.median(job.layout[order[start:stop], :2].astype(np.float64), axis=0)
        rows.append({"x": x, "y": y, "text": name, "level": level, "priority": int(stop - start)})
    return rows
