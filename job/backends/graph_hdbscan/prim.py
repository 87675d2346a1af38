"""Prim's algorithm over the rows of the tutorial's matrix, as in `hdbscan` 0.8.43, with a heap instead of scans.

The mutual reachability of an entry is max(distance, core distance of the row, core distance of the column). The walk
starts at point 0. Among equal weights the smallest point is next. If no unvisited point is reachable, the walk
continues at the smallest unvisited point, over an edge of weight inf. A row contains only its own neighbors, so the
result is not a spanning tree of an undirected graph and depends on the starting point.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

from job.data import Floats, Ints

WalkEdges = npt.NDArray[np.float64]


@nb.njit(cache=True)
def _comes_before(key_a, point_a, key_b, point_b):  # type: ignore[no-untyped-def]
    return key_a < key_b or (key_a == key_b and point_a < point_b)


@nb.njit(cache=True)
def _push(keys, points, size, key, point):  # type: ignore[no-untyped-def]
    i = size
    while i > 0:
        parent = (i - 1) >> 1
        if not _comes_before(key, point, keys[parent], points[parent]):
            break
        keys[i] = keys[parent]
        points[i] = points[parent]
        i = parent
    keys[i] = key
    points[i] = point
    return size + 1


@nb.njit(cache=True)
def _pop(keys, points, size):  # type: ignore[no-untyped-def]
    """Remove the first entry; the last one takes its place and sinks down."""
    size -= 1
    key = keys[size]
    point = points[size]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and _comes_before(keys[child + 1], points[child + 1], keys[child], points[child]):
            child += 1
        if not _comes_before(keys[child], points[child], key, point):
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
    first_unvisited = 0
    current = 0
    for step in range(n - 1):
        visited[current] = True
        core = cores[current]
        while size + k + 1 > capacity:
            keys = np.concatenate((keys, np.empty(capacity, np.float32)))
            points = np.concatenate((points, np.empty(capacity, np.int32)))
            capacity *= 2
        if core < np.inf:
            for t in range(k):
                j = indices[current, t]
                if j < 0:
                    break
                if not visited[j]:
                    weight = max(distances[current, t], core, cores[j])
                    if weight < reach[j]:
                        reach[j] = weight
                        size = _push(keys, points, size, weight, j)
        next_point = -1
        weight = np.float32(np.inf)
        while size > 0:
            weight = keys[0]
            next_point = points[0]
            size = _pop(keys, points, size)
            if not visited[next_point]:
                break
            next_point = -1
        if next_point < 0:
            weight = np.float32(np.inf)
            while visited[first_unvisited]:
                first_unvisited += 1
            next_point = first_unvisited
        # an edge from the previously visited point gives the same merges as the true edge, and hdbscan's order of ties
        edges[step, 0] = current
        edges[step, 1] = next_point
        edges[step, 2] = weight
        current = next_point
    return edges


def walk_rows(indices: Ints, distances: Floats, cores: Floats) -> WalkEdges:
    """Prim's algorithm over each row's own neighbors: edges float64 [n-1, 3] (from, to, weight), in visiting order."""
    edges: WalkEdges = _walk(indices, distances, cores)
    return edges
