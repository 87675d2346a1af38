"""Core distances: how far a point must reach to have `m` others within reach."""

import numba as nb
import numpy as np

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


@nb.njit(cache=True)
def _offer(near, who, m, point, d):  # type: ignore[no-untyped-def]
    """Put `point` at `d` into a sorted list of the m nearest, once, at its smaller distance."""
    if not d < near[m - 1]:
        return
    p = m - 1
    for q in range(m):
        if who[q] == point:
            if d >= near[q]:
                return
            p = q
            break
    while p > 0 and near[p - 1] > d:
        near[p] = near[p - 1]
        who[p] = who[p - 1]
        p -= 1
    near[p] = d
    who[p] = point


@nb.njit(cache=True)
def _both_sides(indices, distances, m):  # type: ignore[no-untyped-def]
    n, k = indices.shape
    near = np.full((n, m), np.inf, np.float32)
    who = np.full((n, m), -1, np.int32)
    for i in range(n):
        for t in range(k):
            j = indices[i, t]
            if j < 0:
                break
            _offer(near[i], who[i], m, j, distances[i, t])
            _offer(near[j], who[j], m, i, distances[i, t])
    return near[:, m - 1].copy()


def from_both_sides(indices: Ints, distances: Floats, m: int) -> Floats:
    """The distance of the m-th nearest among those the point found and those that found it, float32 [n]."""
    result: Floats = _both_sides(indices, distances, m)
    return result
