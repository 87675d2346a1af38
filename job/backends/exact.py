"""Distances and exact neighbors from the vectors themselves."""

import numba as nb
import numpy as np
import numpy.typing as npt

from job.data import Floats, Ints, Vectors

_BLOCK_BYTES = 64 * 2**20


@nb.njit(cache=True, parallel=True, fastmath={"reassoc", "contract"})
def _pair_distances(vectors, rows, indices):  # type: ignore[no-untyped-def]
    n, k = indices.shape
    out = np.full((n, k), np.inf, np.float32)
    for i in nb.prange(n):
        a = vectors[rows[i]]
        for t in range(k):
            j = indices[i, t]
            if j >= 0:
                b = vectors[j]
                total = 0.0
                for c in range(a.shape[0]):
                    difference = np.float64(a[c] - b[c])
                    total += difference * difference
                out[i, t] = np.float32(np.sqrt(total))
    return out


def pair_distances(vectors: Floats, rows: npt.NDArray[np.int64], indices: Ints) -> Floats:
    """Euclidean distances float32 [m, k] of vector `rows[i]` to `indices[i, t]`; inf where the index is -1.

    Direct differences, summed in float64: exactly 0 for equal vectors and the same in both directions, without
    the cancellation of sqrt(2 - 2 ip). m x k x d work.
    """
    result: Floats = _pair_distances(vectors, rows, indices)
    return result


def nearest(vectors: Vectors, rows: npt.NDArray[np.int64], k: int) -> Ints:
    """The exact k nearest of each `rows[i]` among all n vectors, itself left out: int32 [m, k], unordered.

    Blocked matrix product and partition, O(m (k + block)) memory. Fewer than k others: -1 at the end.
    """
    n, m = len(vectors), len(rows)
    k_found = min(k, n - 1)
    queries = vectors[rows].astype(np.float32)
    best = np.full((m, 0), 0.0, np.float32)
    who = np.full((m, 0), -1, np.int32)
    step = max(1, _BLOCK_BYTES // (4 * max(m, vectors.shape[1], 1)))
    for start in range(0, n, step):
        block = vectors[start : start + step].astype(np.float32)
        # |q - b|^2 = |q|^2 - 2 (q b - |b|^2 / 2), and |q|^2 is the same for all b
        scores = queries @ block.T - 0.5 * np.einsum("ij,ij->i", block, block)
        inside = (rows >= start) & (rows < start + len(block))
        scores[inside, rows[inside] - start] = -np.inf
        names = np.broadcast_to(np.arange(start, start + len(block), dtype=np.int32), scores.shape)
        best, who = np.concatenate([best, scores], 1), np.concatenate([who, names], 1)
        if best.shape[1] > k_found:
            keep = np.argpartition(-best, k_found - 1, axis=1)[:, :k_found] if k_found else np.zeros((m, 0), np.int64)
            best, who = np.take_along_axis(best, keep, 1), np.take_along_axis(who, keep, 1)
    result = np.full((m, k), -1, np.int32)
    result[:, : who.shape[1]] = who
    return result


def sort_rows(indices: Ints, distances: Floats, k: int) -> tuple[Ints, Floats]:
    """Each row ascending by distance, ties by index, missing (-1) last, cut or padded to k columns."""
    last = np.where(indices < 0, np.iinfo(np.int32).max, indices)
    order = np.lexsort((last, distances), axis=1)[:, :k]
    sorted_indices = np.full((len(indices), k), -1, np.int32)
    sorted_distances = np.full((len(indices), k), np.inf, np.float32)
    sorted_indices[:, : order.shape[1]] = np.take_along_axis(indices, order, 1)
    sorted_distances[:, : order.shape[1]] = np.take_along_axis(distances, order, 1)
    return sorted_indices, sorted_distances
