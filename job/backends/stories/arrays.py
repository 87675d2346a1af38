"""The steps of story merging that are operations on whole arrays: CuPy on a GPU, NumPy on a CPU and in tests.

`xp` is CuPy or NumPy. Arguments and results are arrays of the host, unless a docstring says "on the device"; large ones
pass through the device in blocks, so that device memory does not limit the number of headlines.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from job.backends.arrays import free_bytes, to_host
from job.data import Floats, Ints

Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

_ROWS = 8_192
_EDGE_ROWS = 262_144
_PAIRS = 16_384
# a rounded component is a multiple of 1 / _PARTS
_PARTS = 2_048.0


def rounded(xp: Any, vectors: Floats) -> Any:
    """The vectors on the device, their components rounded to multiples of 2^-11.

    Of vectors of length 1 or less, rounding changes a dot product by about 2e-4. In return every partial sum of it is a
    multiple of 2^-22 below 2, which float32 holds exactly: the product depends neither on the order of the sums nor on
    the library or the device.
    """
    return xp.rint(xp.asarray(vectors) * xp.float32(_PARTS)) / xp.float32(_PARTS)


def most_similar(xp: Any, rows: Floats, nodes: Any) -> tuple[Numbers, Floats]:
    """For each of `rows` [n, d] the most similar node int64 [n], of equal ones the first, and the product float32 [n].

    `nodes` [m, d]: on the device, as `rounded` returns them. n m numbers must fit into the device's memory.
    """
    products = rounded(xp, rows) @ nodes.T
    return to_host(products.argmax(axis=1)).astype(np.int64), to_host(products.max(axis=1))


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


def pair_similarities(xp: Any, means: Floats, rows: Ints, quantum: float, left: Ints, right: Ints) -> Doubles:
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
    result: Doubles = to_host(xp.rint(total / quantum) * quantum)
    return result


def _sent(xp: Any, means: Floats, rows: Ints, columns: slice) -> Any:
    """These rows and columns of the means on the device, float32, without a second copy of all of them on the host."""
    part = xp.empty((len(rows), len(range(*columns.indices(means.shape[1])))), xp.float32)
    for start in range(0, len(rows), _ROWS):
        part[start : start + _ROWS] = xp.asarray(means[rows[start : start + _ROWS], columns])
    return part
