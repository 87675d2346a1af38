"""Core distances: how far a point must reach to have `m` others within reach."""

import numba as nb
import numpy as np

from job.backends.graph_hdbscan.row_ranges import over_rows
from job.data import Floats, Ints


@nb.njit(cache=True)
def _columns(indices, distances, m):  # type: ignore[no-untyped-def]
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
    """The m-th smallest distance at which others found the point, float32 [n]; inf where fewer did.

    `hdbscan` reads this off a column of the tutorial's matrix, the point itself counted at 0.
    """
    result: Floats = _columns(indices, distances, m)
    return result


@nb.njit(cache=True, nogil=True)
def _unknown(indices, distances, reach, m, start, stop):  # type: ignore[no-untyped-def]
    """Edges i -> j shorter than reach[j] that j does not have, at this length, among its own m nearest."""
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
            if not d < reach[j]:
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
def _tell(indices, distances, m, found, finder, length, reach):  # type: ignore[no-untyped-def]
    """Put the edges, sorted by `found`, among each point's own m nearest, once, and lower its reach accordingly."""
    k = indices.shape[1]
    near = np.empty(m, np.float32)
    who = np.empty(m, np.int32)
    for e in range(len(found)):
        j = found[e]
        if e == 0 or found[e - 1] != j:
            for q in range(m):
                there = q < k and indices[j, q] >= 0
                near[q] = distances[j, q] if there else np.float32(np.inf)
                who[q] = indices[j, q] if there else -1
        if length[e] < near[m - 1]:
            p = m - 1
            for q in range(m):
                if who[q] == finder[e]:
                    p = q
                    break
            if length[e] < near[p]:
                while p > 0 and near[p - 1] > length[e]:
                    near[p] = near[p - 1]
                    who[p] = who[p - 1]
                    p -= 1
                near[p] = length[e]
                who[p] = finder[e]
        reach[j] = near[m - 1]


def from_both_sides(indices: Ints, distances: Floats, m: int, threads: int = 1) -> Floats:
    """The distance of the m-th nearest among those the point found and those that found it, float32 [n].

    Where the graph is exact, whoever found a point from nearer than its m-th nearest is one of its own m nearest,
    so that nearly nothing is left to tell it.
    """
    n, k = indices.shape
    reach: Floats = distances[:, m - 1].copy() if m <= k else np.full(n, np.inf, np.float32)
    news = over_rows(lambda start, stop: _unknown(indices, distances, reach, m, start, stop), n, threads)
    found, finder, length = (np.concatenate(part) for part in zip(*news, strict=True))
    order = np.argsort(found, kind="stable")
    _tell(indices, distances, m, found[order], finder[order], length[order], reach)
    return reach
