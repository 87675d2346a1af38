"""Clustering of vectors and the layout on a GPU: cuML. Written against cuML 26.10's sources, not yet run on a card."""

from typing import Literal

import numpy as np

from job.backends.graph_hdbscan import Result, by_size
from job.backends.reduce.cpu import self_first
from job.data import CondensedTree, Floats, KnnGraph


def hdbscan_vectors(
    vectors: Floats,
    min_samples: int,
    min_cluster_size: int,
    selection: Literal["eom", "leaf"],
    epsilon: float,
    max_cluster_size: int,
    allow_single_cluster: bool,
) -> Result:
    """cuML's HDBSCAN on float32 vectors [n, d], brute force: exact. Its trees are not fetched."""
    if len(vectors) < 2:
        none = np.zeros(len(vectors), np.float32)
        return Result(none.astype(np.int32) - 1, none, none[:0], CondensedTree.empty(), np.zeros(0, np.int64))
    import cupy
    from cuml.cluster import HDBSCAN

    # a device array: from a host array, components left over may be joined at random
    found = HDBSCAN(
        min_samples=min(min_samples, len(vectors) - 1),
        min_cluster_size=min_cluster_size,
        cluster_selection_method=selection,
        cluster_selection_epsilon=epsilon,
        max_cluster_size=max_cluster_size,
        allow_single_cluster=allow_single_cluster,
        build_algo="brute_force",
        output_type="numpy",
    ).fit(cupy.asarray(vectors, dtype=cupy.float32))
    # cuML counts two equal points as so near that a cluster's stability may leave float32
    persistence = np.nan_to_num(np.asarray(found.cluster_persistence_, np.float32), nan=1.0, posinf=1.0).clip(0, 1)
    labels, order = by_size(np.asarray(found.labels_), len(persistence))
    probabilities = np.asarray(found.probabilities_, np.float32)
    return Result(labels, probabilities, persistence[order], CondensedTree.empty(), order)


def umap_from_graph(
    graph: KnnGraph, vectors: Floats, dimensions: int, n_neighbors: int, min_dist: float, seed: int
) -> Floats:
    """cuML's UMAP from our neighbor graph, float32 [n, dimensions]; with a seed its kernels are deterministic."""
    import cupy
    from cuml.manifold import UMAP

    indices, distances = self_first(graph, n_neighbors)
    reducer = UMAP(
        n_components=dimensions,
        n_neighbors=n_neighbors,
        min_dist=min_dist,
        random_state=seed,
        precomputed_knn=(cupy.asarray(indices, dtype=cupy.int64), cupy.asarray(distances)),
        output_type="numpy",
    )
    return np.asarray(reducer.fit_transform(cupy.asarray(vectors, dtype=cupy.float32)), np.float32)
