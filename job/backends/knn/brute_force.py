"""Exact nearest neighbors on the CPU: a blocked matrix product, and a heap for each row."""

import numba as nb
import numpy as np
import numpy.typing as npt

from job.backends.knn.distances import NUMBA_LOCK
from job.data import Ints, Vectors

_BLOCK_BYTES = 64 * 2**20


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
        with NUMBA_LOCK:
            _keep_best(scores, start, rows, best, who)
    return np.pad(who, ((0, 0), (0, k - found)), constant_values=-1)
