"""Prim's walk over the rows of the tutorial's matrix, as `hdbscan` 0.8.43 walks it, with a heap instead of its scans.

Mutual reachability of an entry is max(distance, core of the row, core of the column). The walk starts at point 0;
equal weights go to the smallest point; where nothing is within reach it goes on at the smallest point not yet
visited, over an edge of weight inf. A row knows its own neighbors only, so this is no spanning tree of an undirected
graph, and where it starts matters.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

from job.data import Floats, Ints

Edges = npt.NDArray[np.float64]


@nb.njit(cache=True)
def _before(key_a, point_a, key_b, point_b):  # type: ignore[no-untyped-def]
    return key_a < key_b or (key_a == key_b and point_a < point_b)


@nb.njit(cache=True)
def _push(keys, points, size, key, point):  # type: ignore[no-untyped-def]
    i = size
    while i > 0:
        parent = (i - 1) >> 1
        if not _before(key, point, keys[parent], points[parent]):
            break
        keys[i] = keys[parent]
        points[i] = points[parent]
        i = parent
    keys[i] = key
    points[i] = point
    return size + 1


@nb.njit(cache=True)
def _pop(keys, points, size):  # type: ignore[no-untyped-def]
    """Take the first entry off; what moves up is the last one."""
    size -= 1
    key = keys[size]
    point = points[size]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and _before(keys[child + 1], points[child + 1], keys[child], points[child]):
            child += 1
        if not _before(keys[child], points[child], key, point):
            break
        keys[i] = keys[child]
        points[i] = points[child]
        i = child
    keys[i] = key
    points[i] = point
    return size


@nb.njit(cache=True)
def _walk(indices, distances, cores):  # type: ignore[no-untyped-def]
    n, k = indices.shape
    edges = np.empty((n - 1, 3))
    reach = np.full(n, np.inf, np.float32)
    visited = np.zeros(n, np.bool_)
    capacity = 1 << 16
    keys = np.empty(capacity, np.float32)
    points = np.empty(capacity, np.int32)
    size = 0
    unvisited = 0
    here = 0
    for step in range(n - 1):
        visited[here] = True
        core = cores[here]
        while size + k + 1 > capacity:
            keys = np.concatenate((keys, np.empty(capacity, np.float32)))
            points = np.concatenate((points, np.empty(capacity, np.int32)))
            capacity *= 2
        if core < np.inf:
            for t in range(k):
                j = indices[here, t]
                if j < 0:
                    break
                if not visited[j]:
                    weight = max(distances[here, t], core, cores[j])
                    if weight < reach[j]:
                        reach[j] = weight
                        size = _push(keys, points, size, weight, j)
        there = -1
        weight = np.float32(np.inf)
        while size > 0:
            weight = keys[0]
            there = points[0]
            size = _pop(keys, points, size)
            if not visited[there]:
                break
            there = -1
        if there < 0:
            weight = np.float32(np.inf)
            while visited[unvisited]:
                unvisited += 1
            there = unvisited
        # the edge from the last point visited: the same tree of merges as the true edge, and hdbscan's order of ties
        edges[step, 0] = here
        edges[step, 1] = there
        edges[step, 2] = weight
        here = there
    return edges


def walk_rows(indices: Ints, distances: Floats, cores: Floats) -> Edges:
    """Prim's walk over each row's own neighbors: edges float64 [n-1, 3] (from, to, weight), in walking order."""
    edges: Edges = _walk(indices, distances, cores)
    return edges
