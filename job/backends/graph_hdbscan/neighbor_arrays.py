"""What people have, as neighbor arrays: pairs of arrays, SciPy sparse matrices, dense matrices of distances."""

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from job.data import Floats, Ints


def from_pair(indices: npt.ArrayLike, distances: npt.ArrayLike) -> tuple[Ints, Floats]:
    """Neighbor arrays [n, k] in any order, itself among them or not, as the contract has them.

    A row's own number, -1 and distances that are not finite are taken out; rows are sorted by distance, then number.

    Raises:
        ValueError: shapes differ, a row does not exist or is named twice in one row, a distance is negative or NaN.
    """
    raw, lengths = np.asarray(indices), np.asarray(distances)
    if raw.ndim != 2 or raw.shape != lengths.shape:
        raise ValueError(f"indices {raw.shape} and distances {lengths.shape} must be of one shape [n, k]")
    n = len(raw)
    if not np.issubdtype(raw.dtype, np.integer):
        raise ValueError(f"indices must be integers, got {raw.dtype}")
    if raw.size and (raw.min() < -1 or raw.max() >= n):
        raise ValueError(f"indices from {raw.min()} to {raw.max()}, expected -1 (none) to {n - 1}")
    if np.isnan(lengths).any() or (lengths < 0).any():
        raise ValueError("distances must be 0 or larger, and not NaN")
    near = raw.astype(np.int32)
    far = lengths.astype(np.float32) + np.float32(0)  # no -0
    gone = (near < 0) | ~np.isfinite(far) | (near == np.arange(n, dtype=np.int32)[:, None])
    near[gone], far[gone] = -1, np.inf
    if gone.any() or (far[:, 1:] < far[:, :-1]).any():
        order = np.lexsort((np.where(gone, n, near), far))
        near, far = np.take_along_axis(near, order, 1), np.take_along_axis(far, order, 1)
    twice = _names_twice(near)
    if twice >= 0:
        raise ValueError(f"row {twice} names a neighbor twice")
    return near, far


@nb.njit(cache=True)
def _names_twice(indices):  # type: ignore[no-untyped-def]
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
    """Neighbor arrays of a SciPy sparse matrix [n, n] of distances; a stored 0 is a distance, what is not stored is
    infinite, the diagonal is left out. Where (i, j) and (j, i) differ the smaller counts.

    Each edge is kept in the row of the end with fewer of them, so a point that everybody found makes no row long.

    Raises:
        ValueError: the matrix is not square, or a distance is negative or NaN.
    """
    if graph.ndim != 2 or graph.shape[0] != graph.shape[1]:
        raise ValueError(f"a matrix of distances is square, this one is {graph.shape}")
    n = graph.shape[0]
    entries = graph.tocoo()
    lengths = entries.data.astype(np.float32) + np.float32(0)
    if np.isnan(lengths).any() or (lengths < 0).any():
        raise ValueError("distances must be 0 or larger, and not NaN")
    edge = (entries.row != entries.col) & np.isfinite(lengths)
    low = np.minimum(entries.row, entries.col)[edge].astype(np.int64)
    high = np.maximum(entries.row, entries.col)[edge].astype(np.int64)
    lengths = lengths[edge]
    order = np.lexsort((lengths, high, low))
    low, high, lengths = low[order], high[order], lengths[order]
    once = np.ones(len(low), bool)
    once[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    low, high, lengths = low[once], high[once], lengths[once]
    degree = np.bincount(low, minlength=n) + np.bincount(high, minlength=n)
    at_low = degree[low] <= degree[high]
    rows, columns = np.where(at_low, low, high), np.where(at_low, high, low)
    order = np.lexsort((columns, lengths, rows))
    rows, columns, lengths = rows[order], columns[order], lengths[order]
    counts = np.bincount(rows, minlength=n)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    k = int(counts.max(initial=1))
    near, far = np.full((n, k), -1, np.int32), np.full((n, k), np.inf, np.float32)
    near[rows, place], far[rows, place] = columns, lengths
    return near, far


def from_dense(matrix: npt.NDArray[Any]) -> tuple[Ints, Floats]:
    """Neighbor arrays of a dense matrix [n, n] of distances: row i holds i's own neighbors, inf is none.

    Raises:
        ValueError: the matrix is not square, or a distance is negative or NaN.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a matrix of distances is square, this one is {matrix.shape}")
    n = len(matrix)
    found = np.isfinite(matrix) & ~np.eye(n, dtype=bool)
    k = max(1, int(found.sum(1).max(initial=0)))
    lengths = np.where(found | np.isnan(matrix), matrix, np.inf)
    nearest = np.argsort(lengths, axis=1, kind="stable")[:, :k]
    return from_pair(nearest, np.take_along_axis(lengths, nearest, 1))
