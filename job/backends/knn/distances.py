"""Euclidean distances between rows of vectors, and each row's neighbors in order."""

import threading

import numba as nb
import numpy as np
import numpy.typing as npt

from job.data import Floats, Ints

# float32 rounding may swap two scores of unit vectors that differ by less than this; squared distances differ by twice
# as much, so near-equal vectors may be swapped whose distances differ by far more
NEAR_TIE = 4e-6
# numba's own thread pool, used where the system has no OpenMP, aborts the process on calls from two threads at once
NUMBA_LOCK = threading.Lock()


@nb.njit(cache=True, nogil=True, parallel=True, fastmath={"reassoc", "contract"})
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
    """Euclidean distances float32 [m, k] from vector `rows[i]` to vector `indices[i, t]`; inf where the index is -1.

    Direct differences, summed in float64: exactly 0 for equal vectors and the same in both directions, without
    the cancellation of sqrt(2 - 2 ip). m x k x d work.
    """
    with NUMBA_LOCK:
        result: Floats = _pair_distances(vectors, rows, indices)
    return result


def sort_rows(indices: Ints, distances: Floats, k: int) -> tuple[Ints, Floats]:
    """Each row ascending by distance (>= 0), ties by index, missing (-1) last, cut or padded to k columns."""
    # floats >= 0 have the same order as their bits, and one sort of 64-bit words is faster than any sort by two keys
    keys = np.ascontiguousarray(distances, np.float32).view(np.uint32).astype(np.uint64) << np.uint64(32)
    keys |= np.ascontiguousarray(indices, np.int32).view(np.uint32)
    keys.sort(axis=1)
    if keys.shape[1] < k:
        missing = np.uint64(np.float32(np.inf).view(np.uint32)) << np.uint64(32) | np.uint64(0xFFFFFFFF)
        keys = np.pad(keys, ((0, 0), (0, k - keys.shape[1])), constant_values=missing)
    keys = keys[:, :k]
    return keys.astype(np.uint32).view(np.int32), (keys >> np.uint64(32)).astype(np.uint32).view(np.float32)
