"""What an approximate graph costs in the end: the labels of the exact graph beside its own."""

from typing import Any

import numpy as np

from job.backends.graph_hdbscan import cluster_graph
from job.backends.knn.distances import pair_distances, sort_rows
from job.backends.knn.exact import ExactKnn
from job.config import Cluster
from job.data import Floats, Ints, KnnGraph

ROWS = 50_000
_SETTINGS = {
    "mode",
    "min_samples",
    "min_cluster_size",
    "selection",
    "epsilon",
    "max_cluster_size",
    "allow_single_cluster",
}


def audit_labels(graph: KnnGraph, vectors: Floats, config: Cluster, seed: int, truth: ExactKnn) -> dict[str, Any]:
    """The adjusted Rand index of the graph's labels and the exact graph's, noise being a label of its own.

    Above `ROWS` rows both graphs are cut down to that many: neighbors outside the sample are left out of both.
    """
    from sklearn.metrics import adjusted_rand_score

    n, k = graph.indices.shape
    rows = np.sort(np.random.default_rng(seed).choice(n, min(n, ROWS), replace=False))
    place = np.full(n + 1, -1, np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)
    found = truth.find(rows, k)
    exact_indices = sort_rows(found, pair_distances(vectors, rows, found), k)[0]
    graphs = place[graph.indices[rows]], place[exact_indices]
    labels = [_labels(part, vectors[rows], config, graph.columns) for part in graphs]
    return {
        "rows": len(rows),
        "ari": float(adjusted_rand_score(labels[1], labels[0])),
        "clusters": int(labels[0].max()) + 1,
        "clusters_of_exact_graph": int(labels[1].max()) + 1,
    }


def _labels(indices: Ints, vectors: Floats, config: Cluster, columns: int) -> Ints:
    distances = pair_distances(vectors, np.arange(len(vectors)), indices)
    indices, distances = sort_rows(indices, distances, indices.shape[1])
    result = cluster_graph(
        np.ascontiguousarray(indices[:, :columns]),
        np.ascontiguousarray(distances[:, :columns]),
        **config.model_dump(include=_SETTINGS),
    )
    return result.labels
