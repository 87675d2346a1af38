"""A minimum spanning forest of the mutual reachability graph, built in bands of rising weight.

Kruskal's algorithm needs the edges in ascending order, but sorting all of them costs more than everything else
together, and most edges are never used: their ends are already joined when their turn comes. So edges are taken in
bands: the edges up to a limit whose ends are in different union-find sets are gathered, sorted and joined; then the
next limit is set so that about n edges fall below it (Osipov, Sanders, Singler (2009), "The Filter-Kruskal Minimum
Spanning Tree Algorithm"). The neighbor arrays themselves are the list of edges: each row is ascending, it is read up
to the limit, and edges at its start that are within one set are not read again. About 75 n bytes are needed in
addition to the input.
"""

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from job.backends.graph_hdbscan.row_ranges import map_row_ranges
from job.data import Floats, Ints

_SAMPLE_ROWS = 1 << 14
_BLOCK = 256
_LARGEST_FLOAT = np.finfo(np.float32).max


@dataclass(frozen=True)
class Edges:
    """Spanning tree edges: `left`, `right` int32 [m], `weights` float32 [m]; inf between connected components."""

    left: Ints
    right: Ints
    weights: Floats

    def __len__(self) -> int:
        return len(self.weights)


@nb.njit(cache=True, nogil=True)
def _gather_band(indices, distances, cores, sets, heads, limit, start, stop):  # type: ignore[no-untyped-def]
    """Edges of weight <= limit between different sets; `heads` moves past the edges that will then be within one set.

    The loops that read scattered memory have no branch that depends on it: this makes them several times as fast.
    """
    k = indices.shape[1]
    rows, ends = np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.int64)
    weight_between = np.empty(k, np.float32)
    count = 0
    left, right, weights = np.empty(4096, np.int32), np.empty(4096, np.int32), np.empty(4096, np.float32)
    for block in range(start, stop, _BLOCK):
        active = 0
        for i in range(block, min(block + _BLOCK, stop)):
            end = 0
            for t in range(k):
                end += distances[i, t] <= limit
            rows[active], ends[active] = i, end
            active += (cores[i] <= limit) & (heads[i] < end)
        while count + active * k > len(weights):
            left = np.concatenate((left, left))
            right = np.concatenate((right, right))
            weights = np.concatenate((weights, weights))
        for a in range(active):
            i, head, end = rows[a], np.int64(heads[rows[a]]), ends[a]
            row, lengths, core, own_set = indices[i, head:end], distances[i, head:end], cores[i], sets[i]
            outside_count = 0
            for t in range(len(row)):
                j = np.uint32(row[t])
                outside = sets[j] != own_set
                weight_between[t] = max(max(lengths[t], core), cores[j]) if outside else np.float32(-1)
                outside_count += outside
            first = end
            if outside_count:
                for t in range(len(row)):
                    if weight_between[t] > limit:
                        first = min(first, head + t)
                    elif weight_between[t] >= 0:
                        left[count], right[count], weights[count] = i, row[t], weight_between[t]
                        count += 1
            heads[i] = first
    return left[:count].copy(), right[:count].copy(), weights[:count].copy()


@nb.njit(cache=True)
def _sample_weights(indices, distances, cores, sets, heads, step):  # type: ignore[no-untyped-def]
    """The finite weights of the edges between different sets in every `step`-th row."""
    n, k = indices.shape
    weights = np.empty(((n + step - 1) // step) * k, np.float32)
    count = 0
    for i in range(0, n, step):
        for t in range(heads[i], k):
            j = indices[i, t]
            if j < 0:
                break
            weight = max(distances[i, t], cores[i], cores[j])
            if sets[j] != sets[i] and weight < np.inf:
                weights[count] = weight
                count += 1
    return weights[:count]


@nb.njit(cache=True)
def _find(parents, x):  # type: ignore[no-untyped-def]
    while parents[x] != x:
        parents[x] = parents[parents[x]]
        x = parents[x]
    return x


@nb.njit(cache=True)
def _kruskal(left, right, weights, order, parents, tree_left, tree_right, tree_weights, size):  # type: ignore[no-untyped-def]
    """Kruskal's algorithm on the gathered edges; the root of a set is its smallest point."""
    for e in order:
        a = _find(parents, left[e])
        b = _find(parents, right[e])
        if a == b:
            continue
        if a < b:
            parents[b] = a
        else:
            parents[a] = b
        tree_left[size] = left[e]
        tree_right[size] = right[e]
        tree_weights[size] = weights[e]
        size += 1
    # a parent is smaller than its children, so one ascending pass reaches every root
    for i in range(len(parents)):
        parents[i] = parents[parents[i]]
    return size


def spanning_edges(indices: Ints, distances: Floats, cores: Floats, threads: int = 1) -> Edges:
    """The n - 1 edges of a minimum spanning tree, ascending; edges of weight inf join the connected components.

    Two points share an edge if either found the other; its weight is max(distance, core distances of both ends).
    Different runs may take different edges of equal weight; the weights are always the same.
    """
    n = len(indices)
    sets = np.arange(n, dtype=np.int32)
    heads = np.zeros(n, np.int32)
    left, right = np.empty(n - 1, np.int32), np.empty(n - 1, np.int32)
    weights = np.empty(n - 1, np.float32)
    step = max(1, n // _SAMPLE_ROWS)
    size, limit = 0, np.float32(0)
    while size < n - 1 and limit < _LARGEST_FLOAT:
        limit = _next_limit(_sample_weights(indices, distances, cores, sets, heads, step), n // step)
        gathered = map_row_ranges(
            lambda start, stop: _gather_band(indices, distances, cores, sets, heads, limit, start, stop),  # noqa: B023
            n,
            threads,
        )
        band = tuple(np.concatenate(column) for column in zip(*gathered, strict=True))
        del gathered
        size = _kruskal(*band, _argsort_weights(band[2]), sets, left, right, weights, size)
    roots = np.flatnonzero(sets == np.arange(n, dtype=np.int32))
    return join_components(left[:size], right[:size], weights[:size], roots)


def join_components(left: Ints, right: Ints, weights: Floats, smallest_points: npt.NDArray[np.integer]) -> Edges:
    """The forest's edges, then one of weight inf from each component to the next.

    `smallest_points`: the smallest point of each component, ascending.
    """
    ends = smallest_points.astype(np.int32)
    return Edges(
        np.concatenate([left, ends[:-1]]),
        np.concatenate([right, ends[1:]]),
        np.concatenate([weights, np.full(len(ends) - 1, np.inf, np.float32)]),
    )


def _next_limit(sample: Floats, rows: int) -> np.float32:
    """The weight below which there is about one edge per row; the largest float32 if few more edges are left."""
    if len(sample) <= 2 * rows:
        return np.float32(_LARGEST_FLOAT)
    return np.float32(np.partition(sample, rows)[rows])


def _argsort_weights(weights: Floats) -> Ints:
    """`argsort` of weights >= 0, several times faster than NumPy's.

    Their bit patterns, read as integers, have the same order; so integers are sorted that hold the weight in the upper
    half and the edge number in the lower half.
    """
    keys = weights.view(np.uint32).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(len(weights), dtype=np.uint32)
    keys.sort()
    return keys.astype(np.uint32).view(np.int32)
