"""Report: the answer with one row per input row, the clusters with one row each, and the map."""

import csv
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from job.backends.pages.map import write_map
from job.backends.pages.points import MapPoints, MapStory, MapTheme
from job.backends.tables.csv_answer import CsvAnswer, without_formula
from job.context import COLLECTION, Job, Stage, StageResult
from job.data import Clusters, Floats, Headlines, Ints
from job.runtime.log import logger
from job.runtime.rundir import RunDir, atomic, digest_file
from job.topics import ThemeName, Themes, Topic

_ROWS = 65_536


class ReportStage(Stage):
    """Write `headlines_clustered.parquet` and `.csv`, `topics.csv` and `map.html`; and `themes.csv` where clusters are
    merged into stories."""

    name = "report"

    def key(self, job: Job) -> list[Any]:
        # the key of ingest, not its output: the answer has every input row, not only the distinct texts
        ingest = job.run.marker("ingest")
        return [
            job.clustered("ingest"),
            ingest.key if ingest else "",
            job.clusters_output,
            *(job.output(stage) for stage in ("project", "describe", *(["themes"] if job.merges else []))),
            [job.config.cluster.noise, job.config.cluster.noise_distance],
            job.config.report.key(),
        ]

    def files(self, job: Job) -> list[str]:
        themes = ["themes.csv"] if job.merges else []
        return ["headlines_clustered.parquet", "headlines_clustered.csv", "topics.csv", *themes, "map.html"]

    def run(self, job: Job) -> StageResult:
        cluster, headlines, topics = job.config.cluster, job.headlines, job.topics
        labels = job.clusters.labels
        ours = _our_columns(headlines, job.clusters, topics, job.layout)
        if job.themes is not None:
            ours = ours.append_column("theme", pa.array(job.themes.themes))
            ours = ours.append_column("topic", pa.array(job.themes.topics))
        if cluster.noise == "nearest":
            labels = job.clusters.assigned(cluster.noise_distance)
            ours = ours.add_column(2, "assigned", pa.array(labels))
        rows_folder = job.run.file(COLLECTION) if job.whole_collection else job.run.path
        rows = _write_answer(ours, job.run, rows_folder)
        titles = headlines.column("title")
        _write_topics(topics, titles, headlines, job.run, job.themes)
        if job.merges:
            _write_themes(job.theme_names, job.run)
        page = job.run.file("map.html")
        with atomic(page) as temporary:
            write_map(_map_points(job, labels), job.config.report.title, int(1e6 * job.config.report.map_mb), temporary)
        size = page.stat().st_size
        logger.info("report: %s rows, map of %.1f MB: %s", f"{rows:,}", size / 1e6, page)
        output = digest_file(job.run.file("headlines_clustered.parquet"))
        return StageResult(rows, output, stats={"map_bytes": size})


def _map_points(job: Job, labels: Ints) -> MapPoints:
    """What the map shows; `labels`: the story of each headline as a reader sees it."""
    headlines, themes = job.headlines, job.themes
    times = headlines.times
    stories = [
        MapStory(
            number=topic.cluster,
            name=topic.name,
            keywords=topic.keywords,
            theme=int(themes.cluster_themes[topic.cluster]) if themes else -1,
            topic=int(themes.cluster_topics[topic.cluster]) if themes else -1,
        )
        for topic in job.topics
    ]
    return MapPoints(
        layout=job.layout,
        labels=labels,
        stories=stories,
        titles=headlines.column("title"),
        descriptions=headlines.column("description"),
        copies=headlines.table["copies"].to_numpy(),
        times=times if np.isfinite(times).any() else None,
        themes=[MapTheme(row.level, row.number, row.name, row.parent) for row in job.theme_names],
    )


def _our_columns(headlines: Headlines, clusters: Clusters, topics: list[Topic], layout: Floats) -> pa.Table:
    """The job's columns, one row per distinct headline, in their order."""
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
    """Join the input's own columns with ours, one block of rows at a time; returns the number of rows.

    `folder` has `rows.parquet` and `input.parquet`. An input row that `store.filter` left out has its id and nulls.
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
    """The input's column names; one that is also ours becomes `input_NAME`."""
    taken = set(names) | ours
    result = []
    for name in names:
        new = name
        while new in ours or (new != name and new in taken):
            new = f"input_{new}"
        taken.add(new)
        result.append(new)
    return result


def _write_topics(
    topics: list[Topic], titles: list[str], headlines: Headlines, run: RunDir, themes: Themes | None
) -> None:
    ids = headlines.ids
    with atomic(run.file("topics.csv")) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        parents = ["theme", "topic"] if themes else []
        writer.writerow(["cluster", "size", "name", "keywords", "exemplar_ids", "exemplars", *parents])
        for topic in topics:
            writer.writerow(
                [
                    topic.cluster,
                    topic.size,
                    without_formula(topic.name),
                    without_formula(", ".join(topic.keywords)),
                    " ".join(str(ids[row]) for row in topic.exemplars),
                    without_formula(" | ".join(titles[row] for row in topic.exemplars)),
                    *([themes.cluster_themes[topic.cluster], themes.cluster_topics[topic.cluster]] if themes else []),
                ]
            )


def _write_themes(names: list[ThemeName], run: RunDir) -> None:
    with atomic(run.file("themes.csv")) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["level", "number", "theme", "name", "keywords", "clusters", "size"])
        for row in names:
            parent = row.parent if row.parent >= 0 else row.number
            words = without_formula(", ".join(row.keywords))
            writer.writerow([row.level, row.number, parent, without_formula(row.name), words, row.clusters, row.size])
