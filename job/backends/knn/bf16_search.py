"""Exact nearest neighbors on a CPU with AMX, whose products of bfloat16 matrices are several times as fast.

A bfloat16 keeps 8 bits of a number, so products of rounded vectors do not decide which rows are nearest. Each row
keeps every candidate whose product lies within an error bound of its k-th largest; those are compared by distance.

The bound, for a row's score x y - |y|^2 / 2, which orders all y by their distance from x:

- vectors that rounding moves by at most e, of length at most r: products differ by at most e (2 r + e);
- a product of d numbers is summed in float32: at most d 2^-23 (r + e)^2;
- |y|^2 / 2 is left out: at most the difference of its largest and its smallest value;
- the product is rounded to bfloat16: 2^-8 of itself, twice its rounding error.

With the first two for the k-th largest and for the candidate, a row whose rounded product is below
(1 - 2^-8) p - margin is farther than k others, where p is the k-th largest rounded product.
"""

import math
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from job.backends.knn.brute_force import nearest
from job.backends.knn.distances import NUMBA_LOCK, pair_distances, sort_rows
from job.data import Floats, Ints

RowNumbers = npt.NDArray[np.int64]
# rows of the vectors per product, and scores that are compared with the limit at once
_BLOCK, _GROUP = 8_192, 128
# above it rounding leaves so many candidates that float32 products are faster
_LARGEST_MARGIN = 0.03
_LARGEST_K = 1_024


@nb.njit(cache=True, nogil=True)
def _drop_far(scores, columns, count, k, limits):  # type: ignore[no-untyped-def]
    """Of `count` candidates keep those that reach the limit of the k-th largest; the limit and how many stay."""
    if count < k:
        return np.int16(0), count
    limit = limits[np.sort(scores[:count])[count - k]]
    left = 0
    for t in range(count):
        if scores[t] >= limit:
            scores[left], columns[left] = scores[t], columns[t]
            left += 1
    return limit, left


@nb.njit(cache=True, nogil=True, parallel=True)
def _collect(products, start, rows, k, limits, kept, columns, counts, limit):  # type: ignore[no-untyped-def]
    """Add a block's candidates; a row that has too many of them within the margin gets the count -1."""
    capacity = kept.shape[1]
    for i in nb.prange(len(products)):
        count, least, row, own = counts[i], limit[i], products[i], rows[i] - start
        for first in range(0, len(row) if count >= 0 else 0, _GROUP):
            group = row[first : first + _GROUP]
            # positive bfloat16 numbers have the order of their bits as int16, and negative ones are below them
            any_reaches = np.int16(0)
            for j in range(len(group)):
                any_reaches |= np.int16(group[j] >= least)
            if any_reaches == 0:
                continue
            if count > capacity - _GROUP:
                least, count = _drop_far(kept[i], columns[i], count, k, limits)
                if count > capacity - _GROUP:
                    count = -1
                    break
            for j in range(len(group)):
                if group[j] >= least and first + j != own:
                    kept[i, count], columns[i, count] = group[j], start + first + j
                    count += 1
        counts[i], limit[i] = count, least


@nb.njit(cache=True, nogil=True, parallel=True)
def _finish(k, limits, kept, columns, counts):  # type: ignore[no-untyped-def]
    """Drop what is far, mark the end of each row by -1, and set the count of rows that are not certain to -1."""
    for i in nb.prange(len(counts)):
        if counts[i] >= k:
            limit, counts[i] = _drop_far(kept[i], columns[i], counts[i], k, limits)
            columns[i, counts[i] :] = -1
            # products below 0 were never candidates
            if limit > 0:
                continue
        counts[i] = -1
        columns[i] = -1


class Bf16Search:
    """The exact nearest neighbors among vectors float32 [n, d] of about the same length. Memory: 64 MiB of products.

    Vectors whose lengths differ, and rows with many equal ones, are compared by `brute_force`.
    """

    def __init__(self, vectors: Floats) -> None:
        self._vectors = vectors
        self._limits = _limits(_margin(vectors))

    def find(self, rows: RowNumbers, k: int) -> Ints:
        """The k nearest of each of the m `rows`, itself excluded: int32 [m, k], unordered; -1 where there are fewer."""
        if self._limits is None or not 0 < k <= _LARGEST_K or k >= len(self._vectors):
            return nearest(self._vectors, rows, k)
        columns, certain = self._candidates(rows, k)
        found = np.empty((len(rows), k), np.int32)
        some = rows[certain]
        found[certain] = sort_rows(columns, pair_distances(self._vectors, some, columns), k)[0]
        found[~certain] = nearest(self._vectors, rows[~certain], k)
        return found

    def _candidates(self, rows: RowNumbers, k: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Candidates int32 [c, any] of the c rows for which it is certain that they are among them, and which those
        are, bool [m]."""
        import torch

        m, capacity = len(rows), 4 * k + 2 * _GROUP
        kept, columns = np.empty((m, capacity), np.int16), np.empty((m, capacity), np.int32)
        counts, limit = np.zeros(m, np.int64), np.zeros(m, np.int16)
        queries = _bf16(self._vectors[rows])
        products = torch.empty((m, _BLOCK), dtype=torch.bfloat16)
        for start in range(0, len(self._vectors), _BLOCK):
            block = _bf16(self._vectors[start : start + _BLOCK])
            # a new array for each block would be zeroed by the system first, which takes as long as the product
            out = products if len(block) == _BLOCK else torch.empty((m, len(block)), dtype=torch.bfloat16)
            bits = torch.mm(queries, block.T, out=out).view(torch.int16).numpy()
            with NUMBA_LOCK:
                _collect(bits, start, rows, k, self._limits, kept, columns, counts, limit)
        with NUMBA_LOCK:
            _finish(k, self._limits, kept, columns, counts)
        certain = counts >= 0
        return np.ascontiguousarray(columns[certain, : max(counts.max(initial=0), k)]), certain


def _bf16(vectors: Floats) -> Any:
    import torch

    return _tensor(vectors).to(torch.bfloat16)


def _tensor(vectors: Floats) -> Any:
    """The vectors as torch's, copied where they may not be written to, as torch demands."""
    import torch

    return torch.from_numpy(np.require(vectors, np.float32, ["C", "W"]))


def _margin(vectors: Floats) -> float:
    """How far below the k-th largest product a product may lie whose row is among the k nearest; without the rounding
    of the products themselves."""
    import torch

    moved, least, most = 0.0, math.inf, 0.0
    for start in range(0, len(vectors), _BLOCK):
        block = _tensor(vectors[start : start + _BLOCK])
        lengths = torch.linalg.vector_norm(block, dim=1)
        least, most = min(least, lengths.min().item()), max(most, lengths.max().item())
        rounded = block.to(torch.bfloat16).float()
        moved = max(moved, torch.linalg.vector_norm(block - rounded, dim=1).max().item())
    # of a sum of d numbers in float32
    summed = vectors.shape[1] * 2.0**-23
    moved *= 1 + summed
    product = moved * (2 * most + moved) + summed * (most + moved) ** 2
    return float(2 * product + (most**2 - least**2) / 2 + summed * most**2)


def _limits(margin: float) -> npt.NDArray[np.int16] | None:
    """For each k-th largest product, as the bits of a bfloat16 >= 0, the least that a candidate must have; 0 = any."""
    if not margin <= _LARGEST_MARGIN:
        return None
    values = (np.arange(1 << 15, dtype=np.uint32) << 16).view(np.float32)
    values = np.where(np.isfinite(values), values, 0)
    lowest = (values * (1 - 2.0**-8) - margin).clip(0).astype(np.float32)
    # cut off, not rounded: a bfloat16 that is not larger
    return (np.nextafter(lowest, np.float32(0)).view(np.uint32) >> np.uint32(16)).astype(np.int16)
