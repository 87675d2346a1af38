"""Report: the answer with one row per input row, the clusters with one row each, and the map."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from job.backends.pages.map import write_map
from job.backends.pages.report import write_report
from job.backends.tables.answer_rows import WRITERS, AnswerRows
from job.context import Job, Stage, StageResult
from job.data import Clusters, Floats, Headlines, Ints
from job.runtime.files import atomic, digest_file
from job.runtime.log import logger
from job.runtime.needs import GIB, Need, Size
from job.runtime.rundir import RunDir
from job.stages.report_map import map_points
from job.stages.report_page import page_title, report_page
from job.stages.report_tables import write_themes, write_topics
from job.topics import Themes, Topic


class ReportStage(Stage):
    """Write `headlines_clustered.parquet` and `.csv`, `topics.csv`, `map.html` and `report.html`.

    And `themes.csv` where clusters are merged into stories.
    """

    name = "report"
    version = 12

    def __init__(self, earlier: Sequence[Stage]) -> None:
        """`earlier`: the stages before this one, in order; the report says how long they took."""
        self._earlier = earlier

    def key(self, job: Job) -> list[Any]:
        # the key of ingest, not its output: the answer has every input row, not only the distinct texts
        ingest = job.run.marker("ingest")
        return [
            job.clustered("ingest"),
            ingest.key if ingest else "",
            job.clusters_output,
            *(job.output(stage) for stage in ("project", "describe", *(["themes"] if job.merges else []))),
            *([job.output("ids")] if job.config.keeps_ids else []),
            job.config.cluster.assign_within,
            job.config.report.key(),
        ]

    def files(self, job: Job) -> list[str]:
        themes = ["themes.csv"] if job.merges else []
        return [
            "headlines_clustered.parquet",
            "headlines_clustered.csv",
            "topics.csv",
            *themes,
            "map.html",
            "report.html",
        ]

    def need(self, job: Job, size: Size) -> Need:
        return Need(
            memory=size.held + 0.1 * GIB + size.graph + 15 * size.text,
            disk=10e6 + 2.6 * size.text + 120 * size.rows,
            loops=0.17 + 4e-6 * size.rows + 1.2e-7 * size.text,
            remedy="give it fewer headlines",
        )

    def run(self, job: Job) -> StageResult:
        headlines, topics = job.headlines, job.topics
        ours = _our_columns(headlines, job.clusters, topics, job.layout)
        if job.themes is not None:
            for name, column in _themes(job.themes, job.assigned).items():
                ours = ours.append_column(name, column)
        if job.config.cluster.noise == "nearest":
            ours = ours.add_column(2, "assigned", pa.array(job.assigned))
            ours = ours.add_column(3, "assigned_name", _names(topics, job.assigned))
        if job.story_ids is not None:
            for name, column in job.story_ids.columns(job.assigned).items():
                ours = ours.append_column(name, column)
        files = job.run.stats("ingest").get("files", [])
        rows = _write_answer(job.run, AnswerRows(job.answer_folder, ours, files))
        write_topics(job)
        if job.merges:
            write_themes(job)
        else:
            # of other settings: it is no part of this answer
            job.run.file("themes.csv").unlink(missing_ok=True)
        if job.story_ids is None:
            job.run.file("story_changes.csv").unlink(missing_ok=True)
        page = job.run.file("map.html")
        with atomic(page) as temporary:
            write_map(map_points(job), page_title(job), int(1e6 * job.config.report.map_mb), temporary)
        with atomic(job.run.file("report.html")) as temporary:
            write_report(report_page(job, self._earlier), temporary)
        size = page.stat().st_size
        logger.info("report: %s rows, map of %.1f MB: %s", f"{rows:,}", size / 1e6, page)
        output = digest_file(job.run.file("headlines_clustered.parquet"))
        return StageResult(rows, output, stats={"map_bytes": size})


def _our_columns(headlines: Headlines, clusters: Clusters, topics: list[Topic], layout: Floats) -> pa.Table:
    """The job's columns, one row per distinct headline, in their order."""
    columns = {
        "id": pa.array(headlines.ids),
        "cluster": pa.array(clusters.labels),
        "cluster_name": _names(topics, clusters.labels),
        "probability": pa.array(clusters.probabilities),
        "nearest_cluster": pa.array(clusters.nearest),
        "nearest_distance": pc.if_else(pc.is_nan(pa.array(clusters.nearest_distance)), None, clusters.nearest_distance),
    }
    for axis, values in zip("xyz", layout.T, strict=False):
        columns[axis] = pa.array(np.ascontiguousarray(values))
    return pa.table(columns)


def _themes(themes: Themes, assigned: Ints) -> dict[str, pa.Array]:
    """Theme and topic of each headline: those of the story that it is assigned to; of one in none, its own."""
    inside = assigned >= 0
    found = {"theme": (themes.themes, themes.cluster_themes), "topic": (themes.topics, themes.cluster_topics)}
    return {
        name: pa.array(np.where(inside, np.append(of_stories, -1)[assigned], own).astype(np.int32))
        for name, (own, of_stories) in found.items()
    }


def _names(topics: list[Topic], labels: Ints) -> pa.Array:
    names = np.array([topic.name for topic in topics] + [None], dtype=object)
    return pa.array(names[labels], pa.string())


def _write_answer(run: RunDir, rows: AnswerRows) -> int:
    """Write the rows as Parquet and CSV; returns their number."""
    with ExitStack() as stack:
        for suffix in (".parquet", ".csv"):
            file = stack.enter_context(atomic(run.file(f"headlines_clustered{suffix}")))
            rows.writers.append(stack.enter_context(WRITERS[suffix](file, rows.schema)))
        return rows.write()
