"""Exact nearest neighbors on the CPU: a blocked matrix product, and one heap per row."""

import numba as nb
import numpy as np
import numpy.typing as npt

from job.backends.knn.distances import NUMBA_LOCK, pair_distances, sort_rows
from job.data import Floats, Ints, Vectors

_BLOCK_BYTES = 64 * 2**20
# candidates beyond k, so that rounded scores decide nothing
_SPARE = 9
_QUERIES = 1_024


@nb.njit(cache=True, nogil=True, parallel=True)
def _keep_best(scores, start, rows, best_scores, best_rows):  # type: ignore[no-untyped-def]
    """One heap per row with its lowest score on top; which of equal scores stay is not defined."""
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
    return _nearest(vectors[rows], vectors, rows, k, min(k, len(vectors) - 1))


def nearest_to(queries: Vectors, vectors: Vectors, k: int) -> tuple[Ints, Floats]:
    """The exact k nearest rows of `vectors` [n, d] to each of the m `queries` that are not among them.

    Row numbers int32 [m, k] and Euclidean distances float32 [m, k], ascending, ties by row number; -1 and inf where
    there are fewer.
    """
    starts = range(0, len(queries), _QUERIES)
    blocks = [_nearest_to(queries[start : start + _QUERIES], vectors, k) for start in starts]
    none = np.zeros((0, k))
    indices = np.concatenate([none.astype(np.int32), *(block[0] for block in blocks)])
    return indices, np.concatenate([none.astype(np.float32), *(block[1] for block in blocks)])


def _nearest_to(queries: Vectors, vectors: Vectors, k: int) -> tuple[Ints, Floats]:
    m = len(queries)
    candidates = _nearest(queries, vectors, np.full(m, -1), k + _SPARE, min(k + _SPARE, len(vectors)))
    # the distances are computed from a table of the candidates alone, with the queries behind it
    used = np.unique(candidates[candidates >= 0])
    table = np.concatenate([vectors[used], queries]).astype(np.float32)
    places = np.where(candidates >= 0, np.searchsorted(used, candidates), -1).astype(np.int32)
    return sort_rows(candidates, pair_distances(table, len(used) + np.arange(m), places), k)


def _nearest(queries: Vectors, vectors: Vectors, rows: npt.NDArray[np.int64], k: int, found: int) -> Ints:
    """`rows` [m]: each query's own row, which is left out, -1: it has none. `found`: how many of the k there are."""
    n, m = len(vectors), len(queries)
    queries = queries.astype(np.float32)
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
