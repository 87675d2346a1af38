"""Report: the answer, a row an input row; the clusters, a row a cluster; the map."""

import csv
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from job.backends.pages.map import MapPoints, write_map
from job.backends.tables.csv_answer import CsvAnswer, harmless
from job.config import Report
from job.data import Clusters, Floats, Headlines, Ints, Topic
from job.runtime.log import logger
from job.runtime.rundir import RunDir, atomic, digest_file

FILES = ("headlines_clustered.parquet", "headlines_clustered.csv", "topics.csv", "map.html")
_ROWS = 65_536


def report(
    config: Report,
    assigned: Ints | None,
    headlines: Headlines,
    clusters: Clusters,
    topics: list[Topic],
    layout: Floats,
    run: RunDir,
    source: Path,
) -> dict[str, Any]:
    """Write `headlines_clustered.parquet` and `.csv`, `topics.csv` and `map.html`.

    `assigned`: int32 [n], labels with noise given to clusters, for a column of that name and the map's colors.
    `source`: the folder with `rows.parquet` and `input.parquet`, the rows that are answered for.
    """
    ours = _our_columns(headlines, clusters, topics, layout)
    if assigned is not None:
        ours = ours.add_column(2, "assigned", pa.array(assigned))
    rows = _write_answer(ours, run, source)
    titles = headlines.column("title")
    _write_topics(topics, titles, headlines, run)
    points = MapPoints(
        layout,
        clusters.labels if assigned is None else assigned,
        [topic.name for topic in topics],
        titles,
        headlines.column("description"),
        headlines.table["copies"].to_numpy(),
    )
    with atomic(run.file("map.html")) as temporary:
        write_map(points, config.title, config.hover_rows, temporary)
    size = run.file("map.html").stat().st_size
    logger.info("report: %s rows, map of %.1f MB: %s", f"{rows:,}", size / 1e6, run.file("map.html"))
    return {"rows": rows, "map_bytes": size, "output": digest_file(run.file("headlines_clustered.parquet"))}


def _our_columns(headlines: Headlines, clusters: Clusters, topics: list[Topic], layout: Floats) -> pa.Table:
    """What the job says of each distinct headline, in their order."""
    names = np.array([topic.name for topic in topics] + [None], dtype=object)
    columns = {
        "id": pa.array(headlines.ids),
        "cluster": pa.array(clusters.labels),
        "cluster_name": pa.array(names[clusters.labels], pa.string()),
        "probability": pa.array(clusters.probabilities),
        "nearest_cluster": pa.array(clusters.nearest),
        "nearest_distance": pc.if_else(pc.is_nan(pa.array(clusters.nearest_distance)), None, clusters.nearest_distance),
    }
    for axis, values in zip("xyz", layout.T, strict=False):
        columns[axis] = pa.array(np.ascontiguousarray(values))
    return pa.table(columns)


def _write_answer(ours: pa.Table, run: RunDir, folder: Path) -> int:
    """Join the input's own columns with ours, a block of rows at a time; returns the number of rows.

    An input row that `store.filter` left out has its id and nulls.
    """
    ids = ours["id"].to_numpy()
    row_ids = pq.read_table(folder / "rows.parquet", columns=["id"])["id"].to_numpy()
    source = pq.ParquetFile(folder / "input.parquet")
    names = _renamed(source.schema_arrow.names, set(ours.schema.names))
    schema = pa.schema(
        [item.with_name(name) for item, name in zip(source.schema_arrow.remove_metadata(), names, strict=True)]
        + list(ours.schema)
    )
    done = 0
    with ExitStack() as stack:
        parquet_file = stack.enter_context(atomic(run.file("headlines_clustered.parquet")))
        csv_file = stack.enter_context(atomic(run.file("headlines_clustered.csv")))
        parquet = stack.enter_context(pq.ParquetWriter(parquet_file, schema, compression="zstd"))
        as_csv = stack.enter_context(CsvAnswer(csv_file, schema))
        for batch in source.iter_batches(_ROWS):
            here = row_ids[done : done + batch.num_rows]
            place = np.minimum(np.searchsorted(ids, here), len(ids) - 1)
            mine = ours.take(pa.array(place, mask=ids[place] != here)).set_column(0, "id", pa.array(here))
            done += batch.num_rows
            block = pa.Table.from_arrays([*batch.columns, *(c.combine_chunks() for c in mine.columns)], schema=schema)
            parquet.write_table(block)
            as_csv.write(block)
    return done


def _renamed(names: list[str], ours: set[str]) -> list[str]:
    """The input's column names, those that are ours too as `input_NAME`."""
    taken = set(names) | ours
    result = []
    for name in names:
        new = name
        while new in ours or (new != name and new in taken):
            new = f"input_{new}"
        taken.add(new)
        result.append(new)
    return result


def _write_topics(topics: list[Topic], titles: list[str], headlines: Headlines, run: RunDir) -> None:
    ids = headlines.ids
    with atomic(run.file("topics.csv")) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["cluster", "size", "name", "keywords", "exemplar_ids", "exemplars"])
        for topic in topics:
            writer.writerow(
                [
                    topic.cluster,
                    topic.size,
                    harmless(topic.name),
                    harmless(", ".join(topic.keywords)),
                    " ".join(str(ids[row]) for row in topic.exemplars),
                    harmless(" | ".join(titles[row] for row in topic.exemplars)),
                ]
            )
