"""Cluster: HDBSCAN from the neighbor graph, or on the vectors; one tree, cut as asked."""

from collections.abc import Callable
from types import ModuleType
from typing import Any
from zipfile import BadZipFile

import numpy as np

from job.backends.graph_hdbscan import Linkage, Result, cut, linkage_of
from job.backends.knn.vote import nearest_cluster
from job.backends.reduce import cpu, gpu
from job.config import REDUCE_NEIGHBORS, Cluster
from job.data import Clusters, Embeddings, Floats, Headlines, KnnGraph
from job.runtime.device import Choice
from job.runtime.log import logger
from job.runtime.rundir import RunDir, atomic, digest

TREE_FILE = "linkage.npz"
# settings that cut the tree; all others shape it
CUT_KEYS = (
    "min_cluster_size",
    "selection",
    "epsilon",
    "max_cluster_size",
    "allow_single_cluster",
    "parts",
    "noise",
    "noise_distance",
)
_NOT_OF_THE_TREE = {"noise", "noise_distance"}
_COLLAPSED = 0.5


def cluster(
    config: Cluster,
    seed: int,
    tree_key: str,
    graph_code: Choice,
    library: Choice,
    headlines: Headlines,
    graph: KnnGraph,
    embeddings: Callable[[], Embeddings],
    run: RunDir,
) -> dict[str, Any]:
    """Write `clusters.parquet`, `tree.npz` and `linkage.npz`; the last is kept where it was made with `tree_key`.

    `graph_code`: where the graph is clustered (`cpu`, `cuda`); `library`: who clusters vectors (`cpu`, `rapids`).
    `embeddings` are asked for with `cluster.input: vectors` alone, where there is no tree yet.
    """
    near = graph.first(min(graph.columns, config.k or graph.columns))
    tree = load_linkage(run, tree_key)
    reused = tree is not None
    if config.input == "neighbors":
        choice, implementation = graph_code, "graph_hdbscan"
        if tree is None:
            tree = linkage_of(
                near.indices,
                near.distances,
                mode=config.mode,
                min_samples=config.min_samples,
                device="cuda" if graph_code.value == "cuda" else "cpu",
            )
    else:
        choice, implementation = library, "cuml" if library.value == "rapids" else "hdbscan"
        if tree is None:
            vectors = _reduced(config, seed, library, graph, np.asarray(embeddings().vectors, np.float32))
            if library.value != "rapids":
                tree = cpu.linkage_of_vectors(vectors, config.min_samples)
    if tree is not None:
        found = cut_as(config, tree)
    else:
        found = gpu.hdbscan_vectors(vectors, min_samples=config.min_samples, **_parameters(config, "parts"))
    if tree is not None and not reused:
        _save_linkage(tree, tree_key, run)
    nearest, distance = nearest_cluster(found.labels, near.indices, near.distances)
    clusters = Clusters(found.labels, found.probabilities, found.persistence, nearest, distance, found.tree)
    clusters.save(run.file("clusters.parquet"), run.file("tree.npz"), headlines.ids)
    warnings = _warnings(config, clusters)
    for warning in warnings:
        logger.warning("cluster: %s", warning)
    logger.info(
        "cluster: %s clusters, %.1f%% noise (%s%s)",
        f"{clusters.count:,}",
        100 * clusters.noise_share,
        implementation,
        ", from the tree there is" if reused else "",
    )
    return {
        "rows": len(graph),
        "implementation": implementation,
        "device_reason": choice.reason,
        "tree_reused": reused,
        "clusters": clusters.count,
        "noise_share": round(clusters.noise_share, 4),
        **_assigned(config, clusters),
        "largest": int(clusters.sizes[0]) if clusters.count else 0,
        "warnings": warnings,
        "output": digest(clusters.labels, clusters.probabilities, clusters.nearest),
    }


def load_linkage(run: RunDir, key: str) -> Linkage | None:
    """The run's single linkage tree, None where there is none or it was made with another key."""
    try:
        with np.load(run.file(TREE_FILE)) as file:
            if str(file["key"]) != key:
                return None
            return Linkage(int(file["n"]), file["merges"], "tutorial" if bool(file["tutorial"]) else "canonical")
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _save_linkage(tree: Linkage, key: str, run: RunDir) -> None:
    with atomic(run.file(TREE_FILE)) as temporary:
        np.savez(temporary, merges=tree.merges, n=tree.n, tutorial=tree.mode == "tutorial", key=key)


def cut_as(config: Cluster, tree: Linkage) -> Result:
    """The tree's clusters as the configuration asks for them."""
    return cut(tree, **_parameters(config))


def _parameters(config: Cluster, *without: str) -> dict[str, Any]:
    return config.model_dump(include={*CUT_KEYS} - _NOT_OF_THE_TREE - {*without})


def _reduced(config: Cluster, seed: int, library: Choice, graph: KnnGraph, vectors: Floats) -> Floats:
    if config.reduce_to is None or len(vectors) <= config.reduce_to + 1:
        return vectors
    backend: ModuleType = gpu if library.value == "rapids" else cpu
    neighbors = min(REDUCE_NEIGHBORS, len(vectors) - 1)
    reduced: Floats = backend.umap_from_graph(graph, vectors, config.reduce_to, neighbors, 0.0, seed)
    return reduced


def _assigned(config: Cluster, clusters: Clusters) -> dict[str, Any]:
    if config.noise == "keep" or not len(clusters.labels):
        return {}
    return {"unassigned_share": round(float((clusters.assigned(config.noise_distance) < 0).mean()), 4)}


def _warnings(config: Cluster, clusters: Clusters) -> list[str]:
    n = len(clusters.labels)
    if not clusters.count:
        return [f"all {n:,} headlines are noise: lower cluster.min_cluster_size or cluster.min_samples"]
    largest = int(clusters.sizes[0])
    if n < 20 or largest <= _COLLAPSED * n:
        return []
    tree = clusters.tree
    parts = int(((tree.parent == n) & (tree.lambdas == 0) & (tree.sizes > 1)).sum())
    remedy = (
        "cluster.parts=apart" if config.parts == "joined" and config.mode == "canonical" else "a larger neighbors.k"
    )
    graph = f"the graph falls into {parts} unconnected parts, try {remedy}; " if parts else ""
    return [f"one cluster holds {largest:,} of {n:,} headlines: {graph}for broad topics try cluster.recipe=topics"]
