"""Single linkage: spanning tree edges, ascending, to the tree of merges."""

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
def _single_linkage(edges):  # type: ignore[no-untyped-def]
    m = len(edges)
    n = m + 1
    merges = np.empty((m, 4))
    parents = np.full(n + m, -1, np.int64)
    sizes = np.ones(n + m, np.int64)
    for e in range(m):
        a = _find(parents, np.int64(edges[e, 0]))
        b = _find(parents, np.int64(edges[e, 1]))
        sizes[n + e] = sizes[a] + sizes[b]
        parents[a] = n + e
        parents[b] = n + e
        merges[e, 0] = a
        merges[e, 1] = b
        merges[e, 2] = edges[e, 2]
        merges[e, 3] = sizes[n + e]
    return merges


def single_linkage(edges: npt.NDArray[np.float64]) -> Merges:
    """Merges float64 [n-1, 4] as SciPy writes them: left node, right node, height, size; merge e makes node n + e."""
    merges: Merges = _single_linkage(edges)
    return merges
