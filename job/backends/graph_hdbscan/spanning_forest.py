"""A minimum spanning forest of the mutual reachability graph, in bands of rising weight.

Kruskal's algorithm needs the edges in order, but sorting them all costs more than the rest together, and most are
never used: their ends are joined long before their turn. So edges are taken in bands: those up to a limit whose ends
are in different parts are gathered, sorted and joined, then the next limit is set so that about n edges fall below
it (Osipov, Sanders, Singler (2009), "The Filter-Kruskal Minimum Spanning Tree Algorithm"). The neighbor arrays serve
as the list of edges as they are: each row is ascending, a row is read up to the limit, and what was joined at its
start is not read again. Beside the input some 30 n bytes are needed.
"""

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from job.backends.graph_hdbscan.row_ranges import over_rows
from job.data import Floats, Ints

_SAMPLE_ROWS = 1 << 14
_BLOCK = 256
_LARGEST = np.finfo(np.float32).max


@dataclass(frozen=True)
class Edges:
    """Tree edges: `left`, `right` int32 [m], `weights` float32 [m], inf where nothing joins two parts."""

    left: Ints
    right: Ints
    weights: Floats

    def __len__(self) -> int:
        return len(self.weights)


@nb.njit(cache=True, nogil=True)
def _gather(indices, distances, cores, parts, heads, limit, start, stop):  # type: ignore[no-untyped-def]
    """Edges of weight <= limit between different parts; `heads` moves past what will be within one part then.

    The loops that read far memory have no branch that waits for it: that makes them several times as fast.
    """
    k = indices.shape[1]
    rows, ends = np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.int64)
    between = np.empty(k, np.float32)
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
            row, lengths, core, part = indices[i, head:end], distances[i, head:end], cores[i], parts[i]
            others = 0
            for t in range(len(row)):
                j = np.uint32(row[t])
                other = parts[j] != part
                between[t] = max(max(lengths[t], core), cores[j]) if other else np.float32(-1)
                others += other
            first = end
            if others:
                for t in range(len(row)):
                    if between[t] > limit:
                        first = min(first, head + t)
                    elif between[t] >= 0:
                        left[count], right[count], weights[count] = i, row[t], between[t]
                        count += 1
            heads[i] = first
    return left[:count].copy(), right[:count].copy(), weights[:count].copy()


@nb.njit(cache=True)
def _sample(indices, distances, cores, parts, heads, step):  # type: ignore[no-untyped-def]
    """The finite weights of edges between different parts, of every `step`-th row."""
    n, k = indices.shape
    weights = np.empty(((n + step - 1) // step) * k, np.float32)
    count = 0
    for i in range(0, n, step):
        for t in range(heads[i], k):
            j = indices[i, t]
            if j < 0:
                break
            weight = max(distances[i, t], cores[i], cores[j])
            if parts[j] != parts[i] and weight < np.inf:
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
def _join(left, right, weights, order, parents, tree_left, tree_right, tree_weights, size):  # type: ignore[no-untyped-def]
    """Kruskal on the gathered edges; a part is named by its smallest point."""
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
    """The n - 1 edges of a spanning tree of least weight, ascending; parts without a way between them at inf.

    An edge is there if either end found the other; its weight is max(distance, core of one end, core of the other).
    Which of several edges of equal weight is taken may differ; the weights do not.
    """
    n = len(indices)
    parts = np.arange(n, dtype=np.int32)
    heads = np.zeros(n, np.int32)
    left, right = np.empty(n - 1, np.int32), np.empty(n - 1, np.int32)
    weights = np.empty(n - 1, np.float32)
    step = max(1, n // _SAMPLE_ROWS)
    size, limit = 0, np.float32(0)
    while size < n - 1 and limit < _LARGEST:
        limit = _next_limit(_sample(indices, distances, cores, parts, heads, step), n // step)
        gathered = over_rows(
            lambda start, stop: _gather(indices, distances, cores, parts, heads, limit, start, stop),  # noqa: B023
            n,
            threads,
        )
        band = tuple(np.concatenate(column) for column in zip(*gathered, strict=True))
        size = _join(*band, _ascending(band[2]), parts, left, right, weights, size)
    roots = np.flatnonzero(parts == np.arange(n, dtype=np.int32))
    return join_parts(left[:size], right[:size], weights[:size], roots)


def join_parts(left: Ints, right: Ints, weights: Floats, firsts: npt.NDArray[np.integer]) -> Edges:
    """A forest's edges, then one at inf from each part to the next; `firsts`: their smallest points, ascending."""
    between = firsts.astype(np.int32)
    return Edges(
        np.concatenate([left, between[:-1]]),
        np.concatenate([right, between[1:]]),
        np.concatenate([weights, np.full(len(between) - 1, np.inf, np.float32)]),
    )


def _next_limit(sample: Floats, rows: int) -> np.float32:
    """The weight below which there is about an edge a row; the largest there is where little more is left."""
    if len(sample) <= 2 * rows:
        return np.float32(_LARGEST)
    return np.float32(np.partition(sample, rows)[rows])


def _ascending(weights: Floats) -> Ints:
    """`argsort` of weights >= 0: as integers their order is the same, and sorting integers with the row number in
    their lower half is several times faster."""
    keys = weights.view(np.uint32).astype(np.uint64) << np.uint64(32)
    keys |= np.arange(len(weights), dtype=np.uint64)
    keys.sort()
    return keys.astype(np.uint32).view(np.int32)
