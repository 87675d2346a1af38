"""Distances and exact neighbors from the vectors themselves."""

import threading

import numba as nb
import numpy as np
import numpy.typing as npt

from job.data import Floats, Ints, Vectors

_BLOCK_BYTES = 64 * 2**20
# distances and scores closer than this may stand in either order in float32
NEAR_TIE = 4e-6
# numba's own threads, which it takes where the system has no OpenMP, abort the process when two of ours call at once
_ONE_AT_A_TIME = threading.Lock()


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
    with _ONE_AT_A_TIME:
        result: Floats = _pair_distances(vectors, rows, indices)
    return result


@nb.njit(cache=True, parallel=True)
def _keep_best(scores, start, rows, best, who):  # type: ignore[no-untyped-def]
    """A heap a row, its worst on top; of equal scores the first stays."""
    k = best.shape[1]
    for i in nb.prange(len(scores)):
        heap, names, own = best[i], who[i], rows[i] - start
        for j in range(scores.shape[1]):
            score = scores[i, j]
            if score > heap[0] and j != own:
                place = 0
                while 2 * place + 1 < k:
                    child = 2 * place + 1
                    if child + 1 < k and heap[child + 1] < heap[child]:
                        child += 1
                    if heap[child] >= score:
                        break
                    heap[place], names[place] = heap[child], names[child]
                    place = child
                heap[place], names[place] = score, start + j


def nearest(vectors: Vectors, rows: npt.NDArray[np.int64], k: int) -> Ints:
    """The exact k nearest of each `rows[i]` among all n vectors, itself left out: int32 [m, k], unordered.

    Blocked matrix product and a heap a row, O(m (k + block)) memory. Fewer than k others: -1 at the end.
    """
    n, m = len(vectors), len(rows)
    found = min(k, n - 1)
    queries = vectors[rows].astype(np.float32)
    best, who = np.full((m, found), -np.inf, np.float32), np.full((m, found), -1, np.int32)
    step = max(1, _BLOCK_BYTES // (4 * max(m, vectors.shape[1], 1)))
    for start in range(0, n if found else 0, step):
        block = vectors[start : start + step].astype(np.float32)
        scores = queries @ block.T
        # |q - b|^2 = |q|^2 - 2 (q b - |b|^2 / 2), and |q|^2 is the same for all b
        scores -= 0.5 * np.einsum("ij,ij->i", block, block)
        with _ONE_AT_A_TIME:
            _keep_best(scores, start, rows, best, who)
    return np.pad(who, ((0, 0), (0, k - found)), constant_values=-1)


def sort_rows(indices: Ints, distances: Floats, k: int) -> tuple[Ints, Floats]:
    """Each row ascending by distance (>= 0), ties by index, missing (-1) last, cut or padded to k columns."""
    # floats that are not negative order as their bits do, and one sort of whole words beats any of two keys
    keys = np.ascontiguousarray(distances, np.float32).view(np.uint32).astype(np.uint64) << np.uint64(32)
    keys |= np.ascontiguousarray(indices, np.int32).view(np.uint32)
    keys.sort(axis=1)
    if keys.shape[1] < k:
        none = np.uint64(np.float32(np.inf).view(np.uint32)) << np.uint64(32) | np.uint64(0xFFFFFFFF)
        keys = np.pad(keys, ((0, 0), (0, k - keys.shape[1])), constant_values=none)
    keys = keys[:, :k]
    return keys.astype(np.uint32).view(np.int32), (keys >> np.uint64(32)).astype(np.uint32).view(np.float32)
