"""Core distances: the core distance of a point is the distance to its m-th nearest neighbor."""

import numba as nb
import numpy as np

from job.backends.graph_hdbscan.row_ranges import map_row_ranges
from job.data import Floats, Ints


@nb.njit(cache=True)
def _from_columns(indices, distances, m):  # type: ignore[no-untyped-def]
    n, k = indices.shape
    best = np.full((n, m), np.inf, np.float32)
    for i in range(n):
        for t in range(k):
            j = indices[i, t]
            if j < 0:
                break
            d = distances[i, t]
            row = best[j]
            if d < row[m - 1]:
                p = m - 1
                while p > 0 and row[p - 1] > d:
                    row[p] = row[p - 1]
                    p -= 1
                row[p] = d
    return best[:, m - 1].copy()


def from_columns(indices: Ints, distances: Floats, m: int) -> Floats:
    """The m-th smallest distance at which other points found the point, float32 [n]; inf if fewer than m found it.

    `hdbscan` computes this from a column of the tutorial's matrix, in which the point itself counts with distance 0.
    """
    result: Floats = _from_columns(indices, distances, m)
    return result


@nb.njit(cache=True, nogil=True)
def _one_sided_edges(indices, distances, cores, m, start, stop):  # type: ignore[no-untyped-def]
    """Edges i -> j shorter than cores[j] that are not, with this length, among the first m neighbors of row j."""
    k = indices.shape[1]
    near = min(m, k)
    count = 0
    found = np.empty(1024, np.int32)
    finder = np.empty(1024, np.int32)
    length = np.empty(1024, np.float32)
    for i in range(start, stop):
        for t in range(k):
            j = indices[i, t]
            if j < 0:
                break
            d = distances[i, t]
            if not d < cores[j]:
                continue
            at = np.searchsorted(distances[j, :near], d)
            while at < near and distances[j, at] == d and indices[j, at] != i:
                at += 1
            if at < near and distances[j, at] == d and indices[j, at] == i:
                continue
            if count == len(found):
                found = np.concatenate((found, found))
                finder = np.concatenate((finder, finder))
                length = np.concatenate((length, length))
            found[count] = j
            finder[count] = i
            length[count] = d
            count += 1
    return found[:count].copy(), finder[:count].copy(), length[:count].copy()


@nb.njit(cache=True)
def _merge_found_by(indices, distances, m, found, finder, length, cores):  # type: ignore[no-untyped-def]
    """Merge the edges, sorted by `found`, into each found point's m nearest, each pair once, and lower its core
    distance accordingly."""
    k = indices.shape[1]
    lengths = np.empty(m, np.float32)
    neighbors = np.empty(m, np.int32)
    for e in range(len(found)):
        j = found[e]
        if e == 0 or found[e - 1] != j:
            for q in range(m):
                exists = q < k and indices[j, q] >= 0
                lengths[q] = distances[j, q] if exists else np.float32(np.inf)
                neighbors[q] = indices[j, q] if exists else -1
        if length[e] < lengths[m - 1]:
            p = m - 1
            for q in range(m):
                if neighbors[q] == finder[e]:
                    p = q
                    break
            if length[e] < lengths[p]:
                while p > 0 and lengths[p - 1] > length[e]:
                    lengths[p] = lengths[p - 1]
                    neighbors[p] = neighbors[p - 1]
                    p -= 1
                lengths[p] = length[e]
                neighbors[p] = finder[e]
        cores[j] = lengths[m - 1]


def from_both_sides(indices: Ints, distances: Floats, m: int, threads: int = 1) -> Floats:
    """The distance to the m-th nearest among the points that the point found or that found it, float32 [n].

    In an exact graph, a point that found j from closer than j's m-th nearest neighbor is itself among j's m nearest,
    so almost no edge has to be merged.
    """
    n, k = indices.shape
    cores: Floats = distances[:, m - 1].copy() if m <= k else np.full(n, np.inf, np.float32)
    per_range = map_row_ranges(
        lambda start, stop: _one_sided_edges(indices, distances, cores, m, start, stop), n, threads
    )
    found, finder, length = (np.concatenate(arrays) for arrays in zip(*per_range, strict=True))
    order = np.argsort(found, kind="stable")
    _merge_found_by(indices, distances, m, found[order], finder[order], length[order], cores)
    return cores
