"""Cluster: HDBSCAN from the neighbor graph, or on the vectors."""

from types import ModuleType
from typing import Any

import numpy as np

from job.backends import cpu, rapids
from job.backends.graph_hdbscan import Result, cluster_graph
from job.backends.votes import nearest_cluster
from job.config import REDUCE_NEIGHBORS, Cluster
from job.data import Clusters, Embeddings, Floats, Headlines, KnnGraph
from job.runtime.device import Choice
from job.runtime.log import logger
from job.runtime.rundir import RunDir, digest

_COLLAPSED = 0.5


def cluster(
    config: Cluster,
    seed: int,
    library: Choice,
    headlines: Headlines,
    graph: KnnGraph,
    embeddings: Embeddings | None,
    run: RunDir,
) -> dict[str, Any]:
    """Write `clusters.parquet` and `tree.npz`. `embeddings` are needed for `cluster.input: vectors` alone."""
    near = graph.first(graph.columns)
    if config.input == "neighbors":
        found = cluster_graph(
            near.indices,
            near.distances,
            mode=config.mode,
            min_samples=config.min_samples,
            min_cluster_size=config.min_cluster_size,
            selection=config.selection,
        )
        implementation = "graph_hdbscan"
    else:
        assert embeddings is not None
        found = _on_vectors(config, seed, library, graph, np.asarray(embeddings.vectors, np.float32))
        implementation = "cuml" if library.value == "rapids" else "hdbscan"
    nearest, distance = nearest_cluster(found.labels, near.indices, near.distances)
    clusters = Clusters(found.labels, found.probabilities, found.persistence, nearest, distance, found.tree)
    clusters.save(run.file("clusters.parquet"), run.file("tree.npz"), headlines.ids)
    warnings = _warnings(clusters)
    for warning in warnings:
        logger.warning("cluster: %s", warning)
    logger.info("cluster: %d clusters, %.1f%% noise (%s)", clusters.count, 100 * clusters.noise_share, implementation)
    return {
        "rows": len(graph),
        "implementation": implementation,
        "device_reason": library.reason if config.input == "vectors" else "the graph code runs on the CPU",
        "clusters": clusters.count,
        "noise_share": round(clusters.noise_share, 4),
        "largest": int(clusters.sizes[0]) if clusters.count else 0,
        "warnings": warnings,
        "output": digest(clusters.labels, clusters.probabilities, clusters.nearest),
    }


def _on_vectors(config: Cluster, seed: int, library: Choice, graph: KnnGraph, vectors: Floats) -> Result:
    backend: ModuleType = rapids if library.value == "rapids" else cpu
    if config.reduce_to is not None and len(vectors) > config.reduce_to + 1:
        neighbors = min(REDUCE_NEIGHBORS, len(vectors) - 1)
        vectors = backend.umap_from_graph(graph, vectors, config.reduce_to, neighbors, 0.0, seed)
    found: Result = backend.hdbscan_vectors(vectors, config.min_samples, config.min_cluster_size, config.selection)
    return found


def _warnings(clusters: Clusters) -> list[str]:
    n = len(clusters.labels)
    if not clusters.count:
        return [f"all {n:,} headlines are noise: lower cluster.min_cluster_size or cluster.min_samples"]
    largest = int(clusters.sizes[0])
    if n < 20 or largest <= _COLLAPSED * n:
        return []
    tree = clusters.tree
    parts = int(((tree.parent == n) & (tree.lambdas == 0) & (tree.sizes > 1)).sum())
    graph = f"the graph falls into {parts} unconnected parts, try a larger neighbors.k; " if parts else ""
    return [
        f"one cluster holds {largest:,} of {n:,} headlines: {graph}"
        "for broad topics try cluster.input=vectors cluster.reduce_to=5"
    ]
