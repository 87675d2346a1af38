"""HDBSCAN on vectors and UMAP from the neighbor graph on the CPU, with `hdbscan` and `umap-learn`."""

import warnings

import numpy as np

from job.backends.graph_hdbscan import Linkage
from job.backends.reduce.start import start_of
from job.data import Floats, Ints, KnnGraph


def linkage_of_vectors(vectors: Floats, min_samples: int) -> Linkage:
    """HDBSCAN's single linkage tree of vectors [n, d], by `hdbscan`, exact; distances are Euclidean."""
    import hdbscan

    n = len(vectors)
    if n < 2:
        return Linkage(n, np.zeros((0, 4)), "canonical")
    found = hdbscan.HDBSCAN(
        min_samples=min(min_samples, n - 1),
        min_cluster_size=2,
        # by default the tree is approximate: with clusters that overlap, the labels are quite different ones
        approx_min_span_tree=False,
        core_dist_n_jobs=-1,
    ).fit(np.asarray(vectors, np.float64))
    return Linkage(n, np.asarray(found.single_linkage_tree_.to_numpy(), np.float64), "canonical")


def umap_from_graph(
    graph: KnnGraph, vectors: Floats, dimensions: int, n_neighbors: int, min_dist: float, seed: int
) -> Floats:
    """umap-learn's UMAP from our neighbor graph: float32 [n, dimensions]. It is seeded, so it runs on one thread.

    `n_neighbors` counts the point itself, as UMAP does: the graph must have `n_neighbors` - 1 neighbors of every row.
    """
    _cache_kernels()
    import umap

    indices, distances = neighbors_with_self(graph, n_neighbors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reducer = umap.UMAP(
            n_components=dimensions,
            n_neighbors=n_neighbors,
            min_dist=min_dist,
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(indices, distances, None),
            init=start_of(vectors, dimensions, seed),
        )
        return np.asarray(reducer.fit_transform(vectors), np.float32)


def neighbors_with_self(graph: KnnGraph, n_neighbors: int) -> tuple[Ints, Floats]:
    """The graph as UMAP expects it: each row first lists itself at distance 0, then its n_neighbors - 1 nearest.

    Raises:
        ValueError: a row has fewer neighbors (cuML would read out of bounds).
    """
    k = n_neighbors - 1
    if k > graph.indices.shape[1] or (graph.indices[:, :k] < 0).any():
        raise ValueError(
            f"n_neighbors={n_neighbors} needs {k} neighbors of every row; "
            f"the graph of shape {graph.indices.shape} has rows with fewer"
        )
    rows = np.arange(len(graph), dtype=np.int32)[:, None]
    zeros = np.zeros((len(graph), 1), np.float32)
    return np.concatenate([rows, graph.indices[:, :k]], 1), np.concatenate([zeros, graph.distances[:, :k]], 1)


def _cache_kernels() -> None:
    """Let numba cache umap-learn's kernels on disk: compiling them takes longer than computing a small layout."""
    from umap import layouts, umap_

    for kernel in (
        umap_.smooth_knn_dist,
        umap_.compute_membership_strengths,
        layouts._nb_optimize_layout_euclidean_single_epoch,
    ):
        try:
            kernel.enable_caching()
        except RuntimeError:  # no folder for the cache: the kernels are compiled in every run
            return
