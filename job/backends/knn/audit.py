"""What an approximate graph does to the clusters: its labels compared with those of the exact graph."""

from typing import Any

import numpy as np

from job.backends.graph_hdbscan import cluster_graph
from job.backends.knn.distances import pair_distances, sort_rows
from job.backends.knn.exact import ExactSearch
from job.config import Cluster
from job.data import Floats, Ints, KnnGraph

ROWS = 50_000


def audit_labels(
    graph: KnnGraph, vectors: Floats, settings: Cluster, seed: int, exact_search: ExactSearch
) -> dict[str, Any]:
    """The adjusted Rand index between the labels of the graph and of the exact graph; noise is a label of its own.

    Both are clustered as the run clusters: with all settings of `cluster`, and the columns that it reads. Above `ROWS`
    rows both graphs are reduced to a sample of that many: neighbors outside the sample are left out of both.
    """
    from sklearn.metrics import adjusted_rand_score

    n = len(graph)
    k = min(graph.columns, settings.k or graph.columns)
    rows = np.sort(np.random.default_rng(seed).choice(n, min(n, ROWS), replace=False))
    place = np.full(n + 1, -1, np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)
    found = exact_search.find(rows, k)
    exact_indices = sort_rows(found, pair_distances(vectors, rows, found), k)[0]
    labels, exact_labels = (
        _labels(indices, vectors[rows], settings) for indices in (place[graph.indices[rows, :k]], place[exact_indices])
    )
    return {
        "rows": len(rows),
        "ari": float(adjusted_rand_score(exact_labels, labels)),
        "clusters": int(labels.max()) + 1,
        "clusters_of_exact_graph": int(exact_labels.max()) + 1,
    }


def _labels(indices: Ints, vectors: Floats, settings: Cluster) -> Ints:
    distances = pair_distances(vectors, np.arange(len(vectors)), indices)
    indices, distances = sort_rows(indices, distances, indices.shape[1])
    result = cluster_graph(
        indices, distances, mode=settings.mode, min_samples=settings.min_samples, **settings.cut_settings()
    )
    return result.labels
