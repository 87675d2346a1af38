"""Report: the answer with one row per input row, the clusters with one row each, and the map."""

import csv
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from job.backends.pages.map import MapPoints, write_map
from job.backends.tables.answer_rows import WRITERS, AnswerRows
from job.backends.tables.csv_answer import without_formula
from job.context import COLLECTION, Job, Stage, StageResult
from job.data import Clusters, Floats, Headlines
from job.runtime.log import logger
from job.runtime.rundir import RunDir, atomic, digest_file
from job.topics import ThemeName, Topic


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
            *([job.output("ids")] if job.config.keeps_ids else []),
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
        if job.story_ids is not None:
            for name, column in job.story_ids.columns(labels).items():
                ours = ours.append_column(name, column)
        rows_folder = job.run.file(COLLECTION) if job.whole_collection else job.run.path
        rows = _write_answer(ours, job.run, rows_folder)
        titles = headlines.column("title")
        _write_topics(topics, titles, job)
        if job.merges:
            _write_themes(job.theme_names, job.run)
        points = MapPoints(
            job.layout,
            labels,
            [topic.name for topic in topics],
            titles,
            headlines.column("description"),
            headlines.table["copies"].to_numpy(),
        )
        page = job.run.file("map.html")
        with atomic(page) as temporary:
            write_map(points, job.config.report.title, job.config.report.hover_rows, temporary)
        size = page.stat().st_size
        logger.info("report: %s rows, map of %.1f MB: %s", f"{rows:,}", size / 1e6, page)
        output = digest_file(job.run.file("headlines_clustered.parquet"))
        return StageResult(rows, output, stats={"map_bytes": size})


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
    """Write the input's rows with our columns as Parquet and CSV; returns their number. `folder`: as `AnswerRows`."""
    rows = AnswerRows(folder, ours)
    with ExitStack() as stack:
        for suffix in (".parquet", ".csv"):
            file = stack.enter_context(atomic(run.file(f"headlines_clustered{suffix}")))
            rows.writers.append(stack.enter_context(WRITERS[suffix](file, rows.schema)))
        return rows.write()


def _write_topics(topics: list[Topic], titles: list[str], job: Job) -> None:
    ids, themes = job.headlines.ids, job.themes
    kept = job.story_ids.columns(np.arange(len(topics), dtype=np.int32)) if job.story_ids is not None else {}
    with atomic(job.run.file("topics.csv")) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        parents = ["theme", "topic"] if themes else []
        writer.writerow(["cluster", "size", "name", "keywords", "exemplar_ids", "exemplars", *parents, *kept])
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
                    *(column[topic.cluster].as_py() for column in kept.values()),
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
