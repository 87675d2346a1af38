"""Exact nearest neighbors on the CPU: a blocked matrix product, and one heap per row."""

import numba as nb
import numpy as np
import numpy.typing as npt

from job.backends.knn.distances import NUMBA_LOCK
from job.data import Ints, Vectors

_BLOCK_BYTES = 64 * 2**20


@nb.njit(cache=True, parallel=True)
def _keep_best(scores, start, rows, best_scores, best_rows):  # type: ignore[no-untyped-def]
    """One heap per row with its lowest score on top; of equal scores the first stays."""
    k = best_scores.shape[1]
    for i in nb.prange(len(scores)):
        heap, heap_rows, own = best_scores[i], best_rows[i], rows[i] - start
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
                    heap[place], heap_rows[place] = heap[child], heap_rows[child]
                    place = child
                heap[place], heap_rows[place] = score, start + j


def nearest(vectors: Vectors, rows: npt.NDArray[np.int64], k: int) -> Ints:
    """The exact k nearest of each of the m `rows` among all n vectors, itself excluded: int32 [m, k], unordered.

    Blocked matrix product and one heap per row, O(m (k + block)) memory. -1 at the end where there are fewer than k.
    """
    n, m = len(vectors), len(rows)
    found = min(k, n - 1)
    queries = vectors[rows].astype(np.float32)
    best_scores, best_rows = np.full((m, found), -np.inf, np.float32), np.full((m, found), -1, np.int32)
    step = max(1, _BLOCK_BYTES // (4 * max(m, vectors.shape[1], 1)))
    for start in range(0, n if found else 0, step):
        block = vectors[start : start + step].astype(np.float32)
        scores = queries @ block.T
        # |q - b|^2 = |q|^2 - 2 (q b - |b|^2 / 2), and |q|^2 is the same for all b
        scores -= 0.5 * np.einsum("ij,ij->i", block, block)
        with NUMBA_LOCK:
            _keep_best(scores, start, rows, best_scores, best_rows)
    return np.pad(best_rows, ((0, 0), (0, k - found)), constant_values=-1)
