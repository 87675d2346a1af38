"""Single linkage: from the ascending edges of a spanning tree to the tree of merges."""

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

Merges = npt.NDArray[np.float64]


@nb.njit(cache=True)
def _find(parents, x):  # type: ignore[no-untyped-def]
    root = x
    while parents[root] >= 0:
        root = parents[root]
    while x != root:
        above = parents[x]
        parents[x] = root
        x = above
    return root


@nb.njit(cache=True)
def _single_linkage(left, right, weights):  # type: ignore[no-untyped-def]
    m = len(weights)
    n = m + 1
    merges = np.empty((m, 4))
    parents = np.full(n + m, -1, np.int32)
    for e in range(m):
        a = _find(parents, np.int32(left[e]))
        b = _find(parents, np.int32(right[e]))
        parents[a] = n + e
        parents[b] = n + e
        merges[e, 0] = a
        merges[e, 1] = b
        merges[e, 2] = weights[e]
        merges[e, 3] = (merges[a - n, 3] if a >= n else 1.0) + (merges[b - n, 3] if b >= n else 1.0)
    return merges


def single_linkage(left: npt.NDArray[Any], right: npt.NDArray[Any], weights: npt.NDArray[np.floating]) -> Merges:
    """Merges float64 [n-1, 4] as SciPy writes them: left node, right node, height, size; merge e creates node n + e.

    `left`, `right`, `weights`, each [n-1], are the edges of a spanning tree in ascending order of weight.
    """
    merges: Merges = _single_linkage(left, right, weights)
    return merges
