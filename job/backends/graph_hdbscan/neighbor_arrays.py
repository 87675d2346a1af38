"""Neighbor arrays from the usual forms of a graph: pairs of arrays, SciPy sparse matrices, dense distance matrices."""

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from job.data import Floats, Ints


def from_pair(indices: npt.ArrayLike, distances: npt.ArrayLike) -> tuple[Ints, Floats]:
    """Neighbor arrays as the contract requires, from arrays [n, k] in any order, with or without the point itself.

    A row's own number, -1, and entries with an infinite distance are removed; rows are sorted by distance, then by row
    number.

    Raises:
        ValueError: shapes differ, a row does not exist or occurs twice in one row, a distance is negative or NaN.
    """
    given, given_distances = np.asarray(indices), np.asarray(distances)
    if given.ndim != 2 or given.shape != given_distances.shape:
        raise ValueError(f"indices {given.shape} and distances {given_distances.shape} must have the same shape [n, k]")
    n = len(given)
    if not np.issubdtype(given.dtype, np.integer):
        raise ValueError(f"indices must be integers, got {given.dtype}")
    if given.size and (given.min() < -1 or given.max() >= n):
        raise ValueError(f"indices from {given.min()} to {given.max()}, expected -1 (no neighbor) to {n - 1}")
    _check_distances(given_distances)
    neighbors = given.astype(np.int32)
    lengths = given_distances.astype(np.float32) + np.float32(0)  # turns -0 into 0
    missing = (neighbors < 0) | ~np.isfinite(lengths) | (neighbors == np.arange(n, dtype=np.int32)[:, None])
    neighbors[missing], lengths[missing] = -1, np.inf
    before, after = lengths[:, :-1], lengths[:, 1:]
    in_order = (before < after) | ((before == after) & (neighbors[:, :-1] < neighbors[:, 1:]))
    if missing.any() or not in_order.all():
        order = np.lexsort((np.where(missing, n, neighbors), lengths))
        neighbors, lengths = np.take_along_axis(neighbors, order, 1), np.take_along_axis(lengths, order, 1)
    row = _row_with_duplicate(neighbors)
    if row >= 0:
        raise ValueError(f"row {row} contains a neighbor twice")
    return neighbors, lengths


def _check_distances(distances: npt.NDArray[Any]) -> None:
    if np.isnan(distances).any():
        raise ValueError("NaN in the distances: leave the neighbor out (-1 at distance inf)")
    if (distances < 0).any():
        # scikit-learn's estimator checks look for "Negative values in data"
        raise ValueError(f"Negative values in data: distances must be at least 0, the smallest is {distances.min()}")


@nb.njit(cache=True)
def _row_with_duplicate(indices):  # type: ignore[no-untyped-def]
    """The first row that contains a neighbor twice; -1 if there is none."""
    n, k = indices.shape
    seen = np.full(n, -1, np.int32)
    for i in range(n):
        for t in range(k):
            j = indices[i, t]
            if j >= 0:
                if seen[j] == i:
                    return i
                seen[j] = i
    return -1


def from_sparse(graph: Any) -> tuple[Ints, Floats]:
    """Neighbor arrays of a SciPy sparse matrix [n, n] of distances.

    A stored 0 is a distance; entries that are not stored are infinite; the diagonal is ignored. If (i, j) and (j, i)
    differ, the smaller one counts. Each edge is kept in the row of the end that has fewer edges, so that a point found
    by all others does not make one row long.

    Raises:
        ValueError: the matrix is not square, or a distance is negative or NaN.
    """
    _check_square(graph)
    n = graph.shape[0]
    entries = graph.tocoo()
    lengths = entries.data.astype(np.float32) + np.float32(0)
    _check_distances(lengths)
    is_edge = (entries.row != entries.col) & np.isfinite(lengths)
    low = np.minimum(entries.row, entries.col)[is_edge].astype(np.int64)
    high = np.maximum(entries.row, entries.col)[is_edge].astype(np.int64)
    lengths = lengths[is_edge]
    order = np.lexsort((lengths, high, low))
    low, high, lengths = low[order], high[order], lengths[order]
    is_first = np.ones(len(low), bool)
    is_first[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    low, high, lengths = low[is_first], high[is_first], lengths[is_first]
    degree = np.bincount(low, minlength=n) + np.bincount(high, minlength=n)
    in_row_of_low = degree[low] <= degree[high]
    rows, ends = np.where(in_row_of_low, low, high), np.where(in_row_of_low, high, low)
    order = np.lexsort((ends, lengths, rows))
    rows, ends, lengths = rows[order], ends[order], lengths[order]
    counts = np.bincount(rows, minlength=n)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    k = int(counts.max(initial=1))
    indices, distances = np.full((n, k), -1, np.int32), np.full((n, k), np.inf, np.float32)
    indices[rows, columns], distances[rows, columns] = ends, lengths
    return indices, distances


def from_dense(matrix: npt.NDArray[Any]) -> tuple[Ints, Floats]:
    """Neighbor arrays of a dense matrix [n, n] of distances, in which row i holds only i's own neighbors.

    inf, or NaN if the distance is unknown, means no neighbor.

    Raises:
        ValueError: the matrix is not square, or a distance is negative.
    """
    _check_square(matrix)
    n = len(matrix)
    found = np.isfinite(matrix) & ~np.eye(n, dtype=bool)
    k = max(1, int(found.sum(1).max(initial=0)))
    lengths = np.where(found | (matrix < 0), matrix, np.inf)
    nearest = np.argsort(lengths, axis=1, kind="stable")[:, :k]
    return from_pair(nearest, np.take_along_axis(lengths, nearest, 1))


def _check_square(matrix: Any) -> None:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a distance matrix must be square, this one has shape {matrix.shape}")
