"""Project: the map's layout by UMAP, from the same neighbor graph that was clustered."""

from typing import Any

import numpy as np

from job.context import Job, Stage, StageResult
from job.data import Floats
from job.runtime.files import atomic, digest, write_array
from job.runtime.log import logger
from job.runtime.needs import GIB, Need, Size, umap_need


class ProjectStage(Stage):
    """Write `layout.npy`: float32 [n, 2 or 3]."""

    name = "project"

    def key(self, job: Job) -> list[Any]:
        config = job.config
        return [job.clustered("embed"), job.output("neighbors"), config.project.key(), config.seed, config.device]

    def files(self, job: Job) -> list[str]:
        return ["layout.npy"]

    def need(self, job: Job, size: Size) -> Need:
        n, config = size.headlines, job.config.project
        umap = umap_need(n, config.n_neighbors)
        return Need(
            memory=size.held + 0.08 * GIB + size.graph + size.floats + umap.memory,
            gpu=size.floats + umap.gpu,
            disk=4 * config.dimensions * n,
            loops=1.05 + umap.loops,
            remedy="lower project.n_neighbors",
        )

    def run(self, job: Job) -> StageResult:
        config, n = job.config.project, len(job.graph)
        n_neighbors = min(config.n_neighbors, n - 1)
        if n <= config.dimensions + 2:
            layout = _points_in_a_line(n, config.dimensions)
            implementation = "none: too few headlines for UMAP"
        else:
            layout = _umap(job, n_neighbors)
            implementation = "cuml" if job.rapids.value == "rapids" else "umap-learn"
        without_place = int((~np.isfinite(layout)).any(axis=1).sum())
        layout = np.nan_to_num(layout, nan=0.0, posinf=0.0, neginf=0.0)
        with atomic(job.run.file("layout.npy")) as temporary:
            write_array(temporary, layout)
        logger.info("project: %s headlines in %d dimensions (%s)", f"{n:,}", config.dimensions, implementation)
        fallbacks = []
        if n_neighbors < config.n_neighbors:
            fallbacks = [f"project.n_neighbors {config.n_neighbors} -> {n_neighbors}: there are only {n} headlines"]
        return StageResult(
            n,
            digest(layout),
            fallbacks,
            stats={
                "implementation": implementation,
                "device_reason": job.rapids.reason,
                "n_neighbors": n_neighbors,
                "points_without_place": without_place,
            },
        )


def _umap(job: Job, n_neighbors: int) -> Floats:
    from job.backends.reduce import cpu, gpu

    library = gpu if job.rapids.value == "rapids" else cpu
    vectors = np.asarray(job.embeddings.vectors, np.float32)
    settings = job.config.project
    layout: Floats = library.umap_from_graph(
        job.graph, vectors, settings.dimensions, n_neighbors, settings.min_dist, job.config.seed
    )
    return layout


def _points_in_a_line(n: int, dimensions: int) -> Floats:
    layout = np.zeros((n, dimensions), np.float32)
    layout[:, 0] = np.arange(n)
    return layout
