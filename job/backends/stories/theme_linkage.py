"""Average linkage with a penalty for size: between average linkage and Ward's method in how equal its clusters are."""

import numba as nb
import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
_PARTS = 2.0**18


def size_penalized_linkage(distances: Doubles, weights: Doubles, power: float) -> Numbers:
    """All merges int64 [m - 1, 2] of m points, the nearest pair of clusters first: cluster b joins cluster a < b.

    `distances` float64 [m, m]: symmetric, will be overwritten. The distance of two clusters is the mean distance of
    their points, weighted by `weights` [m], times (v w / (v + w))^power, where v and w are the clusters' weights. Of
    equal distances the pair with the smallest a merges first, then the one with the smallest b.
    """
    merges: Numbers = _merge_all(distances, weights.astype(np.float64), power)
    return merges


def cut_merges(merges: Numbers, count: int) -> Numbers:
    """The cluster int64 [m] of each point when `count` clusters are left: the smallest point of each cluster."""
    m = len(merges) + 1
    roots = np.arange(m)
    # backwards, so that the root of a is known when b takes it
    for a, b in merges[: max(m - count, 0)][::-1]:
        roots[b] = roots[a]
    return roots


def join_small(
    roots: Numbers, within: Numbers, rows: Doubles, weights: Doubles, sizes: Numbers, smallest: float
) -> Numbers:
    """The cluster int64 [m] of each point, where clusters of fewer than `smallest` rows have joined a large one.

    `roots` [m] as `cut_merges` gives them; `within` [m]: a number for each coarser cluster, which is not left, and
    whose largest cluster counts as large. `sizes` [m]: the rows of each point. `rows` float64 [m, d]: unit vectors with
    `weights` [m]. The large cluster is the one at the smallest mean squared distance; the first of equal ones.
    """
    m = len(roots)
    found, total = np.unique(roots), np.bincount(roots, sizes, m)
    large = total[found] >= smallest
    by_size = np.argsort(-total[found], kind="stable")
    large[by_size[np.unique(within[found[by_size]], return_index=True)[1]]] = True
    big, small = found[large], found[~large]
    means = np.zeros(rows.shape)
    np.add.at(means, roots, rows * weights[:, None])
    means /= np.maximum(np.bincount(roots, weights, m), 1e-12)[:, None]
    # rounded, which hides the order in which a library adds
    products = np.rint(means[small] @ means[big].T * _PARTS)
    products[within[small][:, None] != within[big]] = -np.inf
    joined = np.arange(m)
    if len(small):
        joined[small] = big[products.argmax(axis=1)]
    result: Numbers = joined[roots]
    return result


@nb.njit(cache=True, nogil=True)
def _nearest_alive(distances, weights, alive, power, i):  # type: ignore[no-untyped-def]
    """The nearest other cluster of cluster i and its penalized distance; the first of equal ones."""
    nearest, smallest = -1, np.inf
    for j in range(len(weights)):
        if alive[j] and j != i:
            value = distances[i, j] * (weights[i] * weights[j] / (weights[i] + weights[j])) ** power
            if value < smallest:
                nearest, smallest = j, value
    return nearest, smallest


@nb.njit(cache=True, nogil=True)
def _merge_all(distances, size, power):  # type: ignore[no-untyped-def]
    m = len(size)
    alive = np.ones(m, np.bool_)
    nearest, smallest = np.empty(m, np.int64), np.empty(m)
    for i in range(m):
        nearest[i], smallest[i] = _nearest_alive(distances, size, alive, power, i)
    merges = np.empty((max(m - 1, 0), 2), np.int64)
    for e in range(m - 1):
        first = np.argmin(smallest)
        # looked for only when its bound is the smallest: of many equal distances few have to be
        while nearest[first] < 0:
            nearest[first], smallest[first] = _nearest_alive(distances, size, alive, power, first)
            first = np.argmin(smallest)
        a, b = min(first, nearest[first]), max(first, nearest[first])
        merges[e, 0], merges[e, 1] = a, b
        alive[b] = False
        smallest[b] = np.inf
        for j in range(m):
            if alive[j] and j != a:
                distances[a, j] = (size[a] * distances[a, j] + size[b] * distances[b, j]) / (size[a] + size[b])
                distances[j, a] = distances[a, j]
        size[a] += size[b]
        nearest[a], smallest[a] = _nearest_alive(distances, size, alive, power, a)
        for j in range(m):
            if alive[j] and j != a:
                _note_merge(distances, size, power, nearest, smallest, j, a, b)
    return merges


@nb.njit(cache=True, nogil=True)
def _note_merge(distances, size, power, nearest, smallest, j, a, b):  # type: ignore[no-untyped-def]
    """Clusters a and b are now a: the nearest of cluster j, or -1 = unknown, no nearer than `smallest[j]`."""
    value = distances[j, a] * (size[j] * size[a] / (size[j] + size[a])) ** power
    if value < smallest[j]:
        nearest[j], smallest[j] = a, value
    elif nearest[j] == a or nearest[j] == b:
        # b was the first of equal ones, so a is before all others that are as near
        nearest[j] = a if value == smallest[j] else -1
    elif value == smallest[j] and a < nearest[j]:
        nearest[j] = a
