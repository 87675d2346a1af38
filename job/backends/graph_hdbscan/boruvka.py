"""Core distances and the minimum spanning forest as whole-array steps: on a GPU by CuPy, in tests by NumPy.

Boruvka's algorithm: in each round every part takes its lightest edge to another part, found by a scatter-min of
(weight, edge number) packed into one integer, and the chosen edges merge parts by pointer jumping. Some nine rounds
at a million points. Edge numbers order equal weights, so no cycle can close but that of two parts choosing one edge.
"""

from typing import Any

import numpy as np

from job.backends.graph_hdbscan.spanning_forest import Edges, join_parts
from job.data import Floats, Ints


def spanning_edges_on_gpu(indices: Ints, distances: Floats, m: int) -> Edges:
    """`spanning_edges` by CuPy on the current device: some 40 n k bytes there. The tree comes back to the host."""
    import cupy
    import cupyx

    return spanning_edges(cupy, cupyx.scatter_min, cupy.asarray(indices), cupy.asarray(distances), m)


def spanning_edges(xp: Any, scatter_min: Any, indices: Any, distances: Any, m: int) -> Edges:
    """The edges of `forest.spanning_edges` with core distances of `core.from_both_sides`, by array operations.

    `xp` is CuPy or NumPy, whose arrays `indices` and `distances` are; `scatter_min(array, places, values)` is
    `cupyx.scatter_min` or `numpy.minimum.at`.
    """
    n, k = indices.shape
    cores = core_distances(xp, indices, distances, m)
    there = xp.flatnonzero((indices >= 0).ravel())
    left = (there // k).astype(xp.int32)
    right = indices.ravel()[there]
    weights = xp.maximum(xp.maximum(distances.ravel()[there], cores[left]), cores[right])
    finite = weights < xp.inf
    left, right, weights = left[finite], right[finite], weights[finite]
    # weights >= 0 order as their bits do
    keys = weights.view(xp.uint32).astype(xp.uint64) << xp.uint64(32)
    keys |= xp.arange(len(keys), dtype=xp.uint64)
    parts, chosen = _boruvka(xp, scatter_min, n, left, right, keys)
    chosen = xp.sort(chosen)
    edges = (chosen & xp.uint64(0xFFFFFFFF)).astype(xp.int64)
    _, firsts = np.unique(_host(parts), return_index=True)
    return join_parts(_host(left[edges]), _host(right[edges]), _host(weights[edges]), np.sort(firsts))


def core_distances(xp: Any, indices: Any, distances: Any, m: int) -> Any:
    """float32 [n], as `core.from_both_sides`."""
    n, k = indices.shape
    reach = distances[:, m - 1].copy() if m <= k else xp.full(n, xp.inf, xp.float32)
    told = (indices >= 0) & (distances < reach[indices])
    at = xp.flatnonzero(told.ravel())
    finder, found, lengths = (at // k).astype(xp.int32), indices.ravel()[at], distances.ravel()[at]
    known = xp.zeros(len(at), bool)
    for q in range(min(m, k)):
        known |= (indices[found, q] == finder) & (distances[found, q] <= lengths)
    finder, found, lengths = finder[~known], found[~known], lengths[~known]
    if not len(found):
        return reach
    points = xp.unique(found)
    own = indices[points, :m]
    there = own >= 0
    to = xp.concatenate([found, xp.repeat(points, own.shape[1]).reshape(own.shape)[there]])
    by = xp.concatenate([finder, own[there]])
    lengths = xp.concatenate([lengths, distances[points, :m][there]])
    # each pair once, at its smaller distance
    order = xp.argsort(lengths, kind="stable")
    order = order[xp.argsort((to[order].astype(xp.int64) << 32) | by[order], kind="stable")]
    to, by, lengths = to[order], by[order], lengths[order]
    once = xp.ones(len(to), bool)
    once[1:] = (to[1:] != to[:-1]) | (by[1:] != by[:-1])
    to, lengths = to[once], lengths[once]
    order = xp.argsort((to.astype(xp.int64) << 32) | lengths.view(xp.uint32).astype(xp.int64), kind="stable")
    to, lengths = to[order], lengths[order]
    starts = xp.searchsorted(to, points)
    sizes = xp.searchsorted(to, points, side="right") - starts
    enough = sizes >= m
    reach[points] = xp.float32(xp.inf)
    reach[points[enough]] = lengths[starts[enough] + m - 1]
    return reach


def _boruvka(xp: Any, scatter_min: Any, n: int, left: Any, right: Any, keys: Any) -> tuple[Any, Any]:
    """The part that each point ends in, and the keys of the edges chosen."""
    none = xp.uint64(0xFFFFFFFFFFFFFFFF)
    parts = xp.arange(n, dtype=xp.int32)
    one, other, live = left, right, keys
    chosen = [keys[:0]]
    while len(live):
        best = xp.full(n, none, xp.uint64)
        scatter_min(best, one, live)
        scatter_min(best, other, live)
        roots = xp.flatnonzero(best != none).astype(xp.int32)
        edges = (best[roots] & xp.uint64(0xFFFFFFFF)).astype(xp.int64)
        a, b = parts[left[edges]], parts[right[edges]]
        parents = xp.arange(n, dtype=xp.int32)
        parents[roots] = xp.where(a == roots, b, a)
        both = (parents[parents] == xp.arange(n, dtype=xp.int32)) & (xp.arange(n, dtype=xp.int32) < parents)
        parents = xp.where(both, xp.arange(n, dtype=xp.int32), parents)
        chosen.append(xp.unique(best[roots]))
        while True:
            further = parents[parents]
            if bool((further == parents).all()):
                break
            parents = further
        parts = parents[parts]
        one, other = parents[one], parents[other]
        apart = one != other
        one, other, live = one[apart], other[apart], live[apart]
    return parts, xp.concatenate(chosen)


def _host(array: Any) -> Any:
    return array.get() if hasattr(array, "get") else array
