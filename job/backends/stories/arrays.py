"""The steps of story merging that are operations on whole arrays: CuPy on a GPU, NumPy on a CPU and in tests.

`xp` is CuPy or NumPy. Arguments and results are arrays of the host, unless a docstring says "on the device"; large ones
pass through the device in blocks, so that device memory does not limit the number of headlines.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from job.backends.arrays import free_bytes, to_host
from job.data import Floats, Ints, Vectors

Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

_ROWS = 8_192
_EDGE_ROWS = 262_144
_PAIRS = 16_384
# of one rounded component, for `background`
_STEPS = 2_048.0


def write_centered(xp: Any, dense: Vectors, scale: float, out: Floats) -> None:
    """Write the vectors `dense` [n, d], moved to mean 0 and scaled to length `scale`, to `out` float32 [n, d].

    A vector that equals the mean becomes 0. The mean and the lengths are rounded to float32, which hides the order of
    the sums: CPU and GPU give the same vectors.
    """
    n = len(dense)
    total = np.zeros(dense.shape[1])
    for start in range(0, n, _ROWS):
        total += to_host(xp.asarray(dense[start : start + _ROWS]).sum(axis=0, dtype=xp.float64))
    mean = xp.asarray((total / max(n, 1)).astype(np.float32))
    for start in range(0, n, _ROWS):
        moved = xp.asarray(dense[start : start + _ROWS]).astype(xp.float64) - mean
        lengths = xp.sqrt((moved * moved).sum(axis=1, keepdims=True)).astype(xp.float32)
        moved /= xp.where(lengths > 0, lengths, xp.float32(1))
        moved *= scale
        out[start : start + _ROWS] = to_host(moved.astype(xp.float32))


def quantile_of_products(xp: Any, vectors: Floats, chosen: Numbers, quantile: float) -> Floats:
    """For each vector the `quantile` of its dot products with the vectors `chosen` [m], float32 [n], itself left out.

    `chosen`: row numbers, ascending, at least two. Components are rounded to multiples of 2^-11, so a product has an
    error of about 2e-4. In return, for vectors of length 1 or less, every partial sum is a multiple of 2^-22 below 2,
    which float32 holds exactly: the result depends neither on the order of the sums nor on the device.
    """
    n, m = len(vectors), len(chosen)
    others = _rounded(xp, vectors[chosen]).T
    place = np.full(n, -1)
    place[chosen] = np.arange(m)
    result = np.empty(n, np.float32)
    for start in range(0, n, _ROWS):
        products = _rounded(xp, vectors[start : start + _ROWS]) @ others
        own = place[start : start + _ROWS]
        itself = np.flatnonzero(own >= 0)
        products[xp.asarray(itself), xp.asarray(own[itself])] = -xp.inf
        products.sort(axis=1)
        # the vector itself, if it is among the chosen, stands first
        first = (own >= 0).astype(np.int64)
        at = first + np.floor(quantile * (m - 1 - first)).astype(np.int64)
        result[start : start + _ROWS] = to_host(products[xp.arange(len(at)), xp.asarray(at)])
    return result


def _rounded(xp: Any, vectors: Floats) -> Any:
    """The vectors on the device, their components rounded."""
    return xp.rint(xp.asarray(vectors) * xp.float32(_STEPS)) / xp.float32(_STEPS)


def candidate_keys(xp: Any, labels: Ints, indices: Ints) -> Numbers:
    """The pairs of `candidates.candidate_pairs` as smaller cluster * 2^32 + larger cluster, int64 [p] ascending."""
    of_row = xp.asarray(labels).astype(xp.int64)
    found = [xp.zeros(0, xp.int64)]
    for start in range(0, len(labels), _EDGE_ROWS):
        neighbors = xp.asarray(indices[start : start + _EDGE_ROWS])
        own = xp.broadcast_to(of_row[start : start + _EDGE_ROWS, None], neighbors.shape)
        other = of_row[neighbors]
        between = (neighbors >= 0) & (own != other)
        own, other = own[between], other[between]
        found.append(xp.unique((xp.minimum(own, other) << 32) | xp.maximum(own, other)))
    keys: Numbers = to_host(xp.unique(xp.concatenate(found)))
    return keys


def pair_similarities(
    xp: Any, means: Floats, rows: Ints, backgrounds: Doubles, quantum: float, left: Ints, right: Ints
) -> Doubles:
    """The similarities of `greedy.similarities`: float64 [p], multiples of `quantum`, of pairs of clusters int32 [p].

    The mean of cluster a is `means[rows[a]]`. Products and sums are in float64, as on the CPU. If the means take more
    than half of the device's free memory, some of their columns are sent at a time.
    """
    left, right = xp.asarray(left), xp.asarray(right)
    total = xp.zeros(len(left), xp.float64)
    width = max(1, free_bytes(xp) // 2 // (4 * max(len(rows), 1)))
    for column in range(0, means.shape[1], width):
        part = _sent(xp, means, rows, slice(column, column + width))
        for start in range(0, len(left), _PAIRS):
            pairs = slice(start, start + _PAIRS)
            products = part[left[pairs]].astype(xp.float64)
            products *= part[right[pairs]]
            total[pairs] += products.sum(axis=1)
        del part
    level = xp.asarray(backgrounds)
    total -= (level[left] + level[right]) / 2.0
    result: Doubles = to_host(xp.rint(total / quantum) * quantum)
    return result


def _sent(xp: Any, means: Floats, rows: Ints, columns: slice) -> Any:
    """These rows and columns of the means on the device, float32, without a second copy of all of them on the host."""
    part = xp.empty((len(rows), len(range(*columns.indices(means.shape[1])))), xp.float32)
    for start in range(0, len(rows), _ROWS):
        part[start : start + _ROWS] = xp.asarray(means[rows[start : start + _ROWS], columns])
    return part
