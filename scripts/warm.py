"""Compile the numba kernels once, into their caches: `python scripts/warm.py`."""

import numpy as np

from job.backends import cpu, exact
from job.backends.graph_hdbscan import cluster_graph
from job.backends.votes import nearest_cluster
from job.data import KnnGraph


def main() -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    rows = np.arange(len(vectors))
    near = exact.nearest(vectors, rows, 20)
    graph = KnnGraph(*exact.sort_rows(near, exact.pair_distances(vectors, rows, near), 20), 20)
    for mode in ("canonical", "tutorial"):
        labels = cluster_graph(graph.indices, graph.distances, mode=mode).labels
    nearest_cluster(labels, graph.indices, graph.distances)
    cpu.umap_from_graph(graph, vectors, 2, 10, 0.1, 42)


if __name__ == "__main__":
    main()
