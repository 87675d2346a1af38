"""Core distances and the minimum spanning forest as whole-array operations: CuPy on a GPU, NumPy in tests.

Boruvka's algorithm: in each round every set takes its lightest edge to another set, found by a scatter-min of
(weight, edge number) packed into one integer, and the chosen edges merge sets by pointer jumping. About nine rounds
for a million points. Edge numbers order equal weights, so the only possible cycle is two sets that choose one edge.
"""

from typing import Any

import numpy as np

from job.backends.arrays import to_device, to_host
from job.backends.graph_hdbscan.spanning_forest import Edges, join_components
from job.data import Floats, Ints


def spanning_edges_on_gpu(indices: Ints, distances: Floats, m: int) -> Edges:
    """`spanning_edges` by CuPy on the current device, about 80 n k bytes there. The edges come back to the host."""
    import cupy
    import cupyx

    return spanning_edges(cupy, cupyx.scatter_min, to_device(cupy, indices), to_device(cupy, distances), m)


def spanning_edges(xp: Any, scatter_min: Any, indices: Any, distances: Any, m: int) -> Edges:
    """The edges of `spanning_forest.spanning_edges` with `core_distances.from_both_sides`, by array operations.

    `xp` is CuPy or NumPy, `indices` and `distances` are its arrays, and `scatter_min(array, places, values)` is
    `cupyx.scatter_min` or `numpy.minimum.at`.
    """
    n, k = indices.shape
    cores = core_distances(xp, indices, distances, m)
    at = xp.flatnonzero((indices >= 0).ravel())
    left = (at // k).astype(xp.int32)
    right = indices.ravel()[at]
    weights = xp.maximum(xp.maximum(distances.ravel()[at], cores[left]), cores[right])
    finite = weights < xp.inf
    left, right, weights = left[finite], right[finite], weights[finite]
    del at, finite
    # for weights >= 0 the order of the bit patterns, read as integers, is the order of the weights
    keys = weights.view(xp.uint32).astype(xp.uint64) << xp.uint64(32)
    keys |= xp.arange(len(keys), dtype=xp.uint64)
    sets, chosen = _boruvka(xp, scatter_min, n, left, right, keys)
    chosen = xp.sort(chosen)
    edges = (chosen & xp.uint64(0xFFFFFFFF)).astype(xp.int64)
    _, smallest_points = np.unique(to_host(sets), return_index=True)
    return join_components(
        to_host(left[edges]), to_host(right[edges]), to_host(weights[edges]), np.sort(smallest_points)
    )


def core_distances(xp: Any, indices: Any, distances: Any, m: int) -> Any:
    """Core distances float32 [n] by array operations, as `core_distances.from_both_sides`."""
    n, k = indices.shape
    cores = distances[:, m - 1].copy() if m <= k else xp.full(n, xp.inf, xp.float32)
    closer = (indices >= 0) & (distances < cores[indices])
    at = xp.flatnonzero(closer.ravel())
    finder, found, lengths = (at // k).astype(xp.int32), indices.ravel()[at], distances.ravel()[at]
    two_sided = xp.zeros(len(at), bool)
    for q in range(min(m, k)):
        two_sided |= (indices[found, q] == finder) & (distances[found, q] <= lengths)
    finder, found, lengths = finder[~two_sided], found[~two_sided], lengths[~two_sided]
    if not len(found):
        return cores
    points = xp.unique(found)
    own = indices[points, :m]
    exists = own >= 0
    ends = xp.concatenate([found, xp.repeat(points, own.shape[1]).reshape(own.shape)[exists]])
    others = xp.concatenate([finder, own[exists]])
    lengths = xp.concatenate([lengths, distances[points, :m][exists]])
    # keep each pair once, at its smaller distance
    order = xp.argsort(lengths, kind="stable")
    order = order[xp.argsort((ends[order].astype(xp.int64) << 32) | others[order], kind="stable")]
    ends, others, lengths = ends[order], others[order], lengths[order]
    is_first = xp.ones(len(ends), bool)
    is_first[1:] = (ends[1:] != ends[:-1]) | (others[1:] != others[:-1])
    ends, lengths = ends[is_first], lengths[is_first]
    order = xp.argsort((ends.astype(xp.int64) << 32) | lengths.view(xp.uint32).astype(xp.int64), kind="stable")
    ends, lengths = ends[order], lengths[order]
    starts = xp.searchsorted(ends, points)
    sizes = xp.searchsorted(ends, points, side="right") - starts
    enough = sizes >= m
    cores[points] = xp.float32(xp.inf)
    cores[points[enough]] = lengths[starts[enough] + m - 1]
    return cores


def _boruvka(xp: Any, scatter_min: Any, n: int, left: Any, right: Any, keys: Any) -> tuple[Any, Any]:
    """The final set of each point, and the keys of the chosen edges."""
    no_edge = xp.uint64(0xFFFFFFFFFFFFFFFF)
    sets = xp.arange(n, dtype=xp.int32)
    left_sets, right_sets, remaining = left, right, keys
    chosen = [keys[:0]]
    while len(remaining):
        lightest = xp.full(n, no_edge, xp.uint64)
        scatter_min(lightest, left_sets, remaining)
        scatter_min(lightest, right_sets, remaining)
        roots = xp.flatnonzero(lightest != no_edge).astype(xp.int32)
        edges = (lightest[roots] & xp.uint64(0xFFFFFFFF)).astype(xp.int64)
        a, b = sets[left[edges]], sets[right[edges]]
        parents = xp.arange(n, dtype=xp.int32)
        parents[roots] = xp.where(a == roots, b, a)
        # of two sets that chose each other, the smaller number becomes the root
        mutual = (parents[parents] == xp.arange(n, dtype=xp.int32)) & (xp.arange(n, dtype=xp.int32) < parents)
        parents = xp.where(mutual, xp.arange(n, dtype=xp.int32), parents)
        chosen.append(xp.unique(lightest[roots]))
        while True:
            grandparents = parents[parents]
            if bool((grandparents == parents).all()):
                break
            parents = grandparents
        sets = parents[sets]
        left_sets, right_sets = parents[left_sets], parents[right_sets]
        different = left_sets != right_sets
        left_sets, right_sets, remaining = left_sets[different], right_sets[different], remaining[different]
    return sets, xp.concatenate(chosen)
