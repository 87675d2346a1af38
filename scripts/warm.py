"""Compile the numba kernels once, so that later runs load them from the cache: `python scripts/warm.py`."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pyarrow as pa

from job.backends.graph_hdbscan import cluster_graph
from job.backends.knn.brute_force import nearest
from job.backends.knn.distances import pair_distances, sort_rows
from job.backends.knn.vote import nearest_cluster
from job.backends.reduce import cpu
from job.backends.stories.level import score_levels
from job.backends.stories.linkage import average_linkage, cut
from job.backends.stories.themes import find_themes
from job.backends.stories.vectors import Shares, story_vectors
from job.data import Floats, KnnGraph


def find_clusters() -> None:
    _, graph = _headlines()
    for mode in ("canonical", "tutorial"):
        labels = cluster_graph(graph.indices, graph.distances, mode=mode).labels
    nearest_cluster(labels, graph.indices, graph.distances)


def draw() -> None:
    vectors, graph = _headlines()
    cpu.umap_from_graph(graph, vectors, 2, 10, 0.1, 42)


def tell_stories() -> None:
    """As the stages merge, stories and themes do."""
    vectors, graph = _headlines()
    rows = np.arange(len(vectors), dtype=np.int32)
    texts = pa.array([f"{row} ferries: strike {row % 7}" for row in rows])
    told = story_vectors(vectors, texts, 3600.0 * rows, Shares())
    # as those of half-precision files
    story_vectors(vectors.copy(), texts, 3600.0 * rows, Shares())
    tree = average_linkage(told.copy(), rows, graph.indices, overwrite_vectors=True)
    score_levels(tree, told, graph.indices, overwrite_vectors=True)
    find_themes(vectors, cut(tree, 0.1))


def _headlines() -> tuple[Floats, KnnGraph]:
    """Vectors of 60 headlines, and their graph."""
    vectors = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.arange(len(vectors))
    indices = nearest(vectors, rows, 20)
    # as the files of embeddings are, if they are float32; numba compiles for that anew
    pair_distances(vectors, rows, indices)
    vectors.setflags(write=False)
    return vectors, KnnGraph(*sort_rows(indices, pair_distances(vectors, rows, indices), 20), 20)


PARTS = (find_clusters, draw, tell_stories)


def main() -> None:
    # which all parts use
    _headlines()
    # numba compiles on one core
    with ProcessPoolExecutor(len(PARTS), multiprocessing.get_context("spawn")) as processes:
        for part in [processes.submit(part) for part in PARTS]:
            part.result()


if __name__ == "__main__":
    main()
