"""Project: the map's layout by UMAP, from the same neighbor graph that was clustered."""

from typing import Any

import numpy as np

from job.backends.reduce import cpu, gpu
from job.config import Project
from job.data import Embeddings, Floats, KnnGraph
from job.runtime.device import Choice
from job.runtime.log import logger
from job.runtime.rundir import RunDir, atomic, digest


def project(
    config: Project, seed: int, library: Choice, graph: KnnGraph, embeddings: Embeddings, run: RunDir
) -> dict[str, Any]:
    """Write `layout.npy`: float32 [n, 2 or 3]."""
    n = len(graph)
    neighbors = min(config.n_neighbors, n - 1)
    if n <= config.dimensions + 2:
        layout = _row_of_points(n, config.dimensions)
        implementation = "none: too few headlines for UMAP"
    else:
        backend = gpu if library.value == "rapids" else cpu
        vectors = np.asarray(embeddings.vectors, np.float32)
        layout = backend.umap_from_graph(graph, vectors, config.dimensions, neighbors, config.min_dist, seed)
        implementation = "cuml" if library.value == "rapids" else "umap-learn"
    lost = int((~np.isfinite(layout)).any(axis=1).sum())
    layout = np.nan_to_num(layout, nan=0.0, posinf=0.0, neginf=0.0)
    with atomic(run.file("layout.npy")) as temporary:
        np.save(temporary, layout)
    logger.info("project: %s headlines in %d dimensions (%s)", f"{n:,}", config.dimensions, implementation)
    return {
        "rows": n,
        "implementation": implementation,
        "device_reason": library.reason,
        "n_neighbors": neighbors,
        "points_without_place": lost,
        "fallbacks": [f"n_neighbors {neighbors}: there are but {n} headlines"]
        if neighbors < config.n_neighbors
        else [],
        "output": digest(layout),
    }


def _row_of_points(n: int, dimensions: int) -> Floats:
    layout = np.zeros((n, dimensions), np.float32)
    layout[:, 0] = np.arange(n)
    return layout
