"""Neighbor graphs for tests."""

import numpy as np

from job.backends.knn.brute_force import nearest
from job.backends.knn.distances import pair_distances, sort_rows
from job.data import Floats, KnnGraph


def graph_of(vectors: Floats, k: int) -> KnnGraph:
    """The exact graph with k neighbors per row."""
    rows = np.arange(len(vectors))
    found = nearest(vectors, rows, k)
    return KnnGraph(*sort_rows(found, pair_distances(vectors, rows, found), k), k)
