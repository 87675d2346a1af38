"""Compile the numba kernels once, so that later runs load them from the cache: `python scripts/warm.py`."""

import numpy as np

from job.backends.graph_hdbscan import cluster_graph
from job.backends.knn.brute_force import nearest
from job.backends.knn.distances import pair_distances, sort_rows
from job.backends.knn.vote import nearest_cluster
from job.backends.reduce import cpu
from job.data import KnnGraph


def main() -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    rows = np.arange(len(vectors))
    indices = nearest(vectors, rows, 20)
    graph = KnnGraph(*sort_rows(indices, pair_distances(vectors, rows, indices), 20), 20)
    for mode in ("canonical", "tutorial"):
        labels = cluster_graph(graph.indices, graph.distances, mode=mode).labels
    nearest_cluster(labels, graph.indices, graph.distances)
    cpu.umap_from_graph(graph, vectors, 2, 10, 0.1, 42)


if __name__ == "__main__":
    main()
