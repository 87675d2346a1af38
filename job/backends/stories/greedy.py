"""The loop of average linkage: evaluate the pair with the largest bound, or merge it if its similarity is known.

The bounds. Let a and x merge, of |a| and |x| rows, and let c be another cluster. Then
s(ax, c) = (|a| s(a, c) + |x| s(x, c)) / (|a| + |x|), so bounds of the two similarities on the right give a bound of
the new one. For a pair that is no candidate, s(a, c) <= |mean a| |mean c| - background (Cauchy, Schwarz). The pairs
that the larger cluster owns are not visited: their bounds rise by the distance that its mean moves, times the largest
norm of a mean. A bound is always larger than the similarity by at least half of the slack, which covers rounding; so
when the pair at the top has been evaluated, no other pair is more similar.
"""

from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from job.backends.stories.candidates import similarity
from job.backends.stories.pair_queue import (
    Clusters,
    Doubles,
    Pairs,
    Queue,
    delist,
    empty_queue,
    enlist,
    find,
    forget,
    push,
    record,
    remove,
    update,
)
from job.data import Floats, Ints

# in quanta: the rounding of a mean to float32 changes a similarity by less than five
_SLACK, _DRIFT_SLACK = 16.0, 2.0


class Scale(NamedTuple):
    """`quantum`: similarities are its multiples; `largest`: no mean has a larger norm."""

    quantum: float
    largest: float


@nb.njit(cache=True, nogil=True)
def _ceiling(clusters, a, b):  # type: ignore[no-untyped-def]
    """What the similarity of two clusters cannot exceed, by their norms."""
    return clusters.norm[a] * clusters.norm[b] - (clusters.background[a] + clusters.background[b]) / 2.0


@nb.njit(cache=True, nogil=True)
def _bound(clusters, pairs, p):  # type: ignore[no-untyped-def]
    return pairs.key[p] + clusters.drift[pairs.owner[p]]


@nb.njit(cache=True, nogil=True)
def _attach(clusters, pairs, queue, p, a, b):  # type: ignore[no-untyped-def]
    """Make p the pair of a and b, owned by the larger one; its key is set by the caller afterwards."""
    is_larger = clusters.size[a] >= clusters.size[b]
    pairs.owner[p] = a if is_larger else b
    pairs.other[p] = b if is_larger else a
    record(pairs, queue, p)
    enlist(clusters, pairs, p)


@nb.njit(cache=True, nogil=True)
def _set_bound(clusters, pairs, p, bound, is_similarity):  # type: ignore[no-untyped-def]
    """Put the pair into its owner's heap."""
    owner = pairs.owner[p]
    pairs.key[p] = bound - clusters.drift[owner]
    pairs.version[p] = clusters.version[owner] if is_similarity else -1
    push(clusters, pairs, p)


@nb.njit(cache=True, nogil=True)
def _detach_pairs(clusters, pairs, queue, a, x, work, ends, bounds):  # type: ignore[no-untyped-def]
    """Take out all pairs of x, and those of a that a does not own; returns how many will be pairs of the union.

    For each of them: its number in `work`, its other end in `ends`, and in `bounds` a bound after the merge.
    """
    share_x = clusters.size[x] / (clusters.size[a] + clusters.size[x])
    share_a = 1.0 - share_x
    count = 0
    if clusters.top[x] >= 0:
        work[0], count = clusters.top[x], 1
    at = 0
    while at < count:
        p = work[at]
        for below in (pairs.left[p], pairs.right[p]):
            if below >= 0:
                work[count] = below
                count += 1
        ends[at] = pairs.other[p]
        bounds[at] = _bound(clusters, pairs, p)
        delist(clusters, pairs, p)
        forget(pairs, queue, p)
        at += 1
    p = clusters.first[x]
    while p >= 0:
        work[count], ends[count], bounds[count] = p, pairs.owner[p], _bound(clusters, pairs, p)
        remove(clusters, pairs, p)
        forget(pairs, queue, p)
        p = pairs.following[p]
        count += 1
    for at in range(count):
        q = find(pairs, queue, a, ends[at])
        if q >= 0:
            of_a = _bound(clusters, pairs, q)
            remove(clusters, pairs, q)
            delist(clusters, pairs, q)
            forget(pairs, queue, q)
        else:
            of_a = _ceiling(clusters, a, ends[at])
        bounds[at] = share_x * bounds[at] + share_a * of_a
    p = clusters.first[a]
    while p >= 0:
        owner = pairs.owner[p]
        work[count], ends[count] = p, owner
        bounds[count] = share_a * _bound(clusters, pairs, p) + share_x * _ceiling(clusters, x, owner)
        remove(clusters, pairs, p)
        forget(pairs, queue, p)
        p = pairs.following[p]
        count += 1
    clusters.top[x] = clusters.first[x] = clusters.first[a] = -1
    return count


@nb.njit(cache=True, nogil=True)
def _absorb(clusters, means, scale, a, x):  # type: ignore[no-untyped-def]
    """Make a the union of a and x. The result does not depend on which of the two is a."""
    size_a, size_x = clusters.size[a], clusters.size[x]
    size = size_a + size_x
    mean, other = means[clusters.row[a]], means[clusters.row[x]]
    moved, square = 0.0, 0.0
    for c in range(len(mean)):
        before = np.float64(mean[c])
        mean[c] = (size_a * before + size_x * np.float64(other[c])) / size
        after = np.float64(mean[c])
        moved += (after - before) * (after - before)
        square += after * after
    background = (size_a * clusters.background[a] + size_x * clusters.background[x]) / size
    rise = np.sqrt(moved) * scale.largest - (background - clusters.background[a]) / 2.0
    # a multiple of the quantum, so that key + drift is exact where it is a similarity
    clusters.drift[a] += (np.ceil(rise / scale.quantum) + _DRIFT_SLACK) * scale.quantum
    clusters.norm[a] = np.sqrt(square)
    clusters.background[a] = background
    clusters.size[a] = size
    clusters.rank[a] = min(clusters.rank[a], clusters.rank[x])
    clusters.version[a] += 1


@nb.njit(cache=True, nogil=True)
def _evaluate(clusters, means, scale, a, b):  # type: ignore[no-untyped-def]
    return similarity(means, clusters.row, clusters.background, scale.quantum, a, b)


@nb.njit(cache=True, nogil=True)
def _merge(clusters, pairs, queue, means, scale, p, work, ends, bounds):  # type: ignore[no-untyped-def]
    """Merge the two clusters of an evaluated pair: the smaller one ends. Returns how many pairs were evaluated."""
    a, x = pairs.owner[p], pairs.other[p]
    height = _bound(clusters, pairs, p)
    remove(clusters, pairs, p)
    delist(clusters, pairs, p)
    forget(pairs, queue, p)
    count = _detach_pairs(clusters, pairs, queue, a, x, work, ends, bounds)
    _absorb(clusters, means, scale, a, x)
    evaluated = 0
    for at in range(count):
        q, end = work[at], ends[at]
        _attach(clusters, pairs, queue, q, a, end)
        bound = min(bounds[at], _ceiling(clusters, a, end)) + _SLACK * scale.quantum
        # a bound above the last merge would be evaluated next: do it while the mean of a is in the cache
        is_next = bound >= height
        if is_next:
            bound = _evaluate(clusters, means, scale, a, end)
            evaluated += 1
        _set_bound(clusters, pairs, q, bound, is_next)
    for at in range(count):
        update(clusters, pairs, queue, ends[at])
    update(clusters, pairs, queue, x)
    update(clusters, pairs, queue, a)
    return evaluated


@nb.njit(cache=True, nogil=True)
def _merge_all(clusters, pairs, queue, means, scale, left, right, heights):  # type: ignore[no-untyped-def]
    """Merge until no pair is left; returns the number of merges and of similarities computed on the way."""
    c = len(clusters.row)
    for p in range(len(pairs.key)):
        _attach(clusters, pairs, queue, p, pairs.owner[p], pairs.other[p])
        _set_bound(clusters, pairs, p, pairs.key[p], True)
    for a in range(c):
        update(clusters, pairs, queue, a)
    node = np.arange(c)
    work, ends, bounds = np.empty(c, np.int32), np.empty(c, np.int32), np.empty(c)
    merges, evaluated = 0, 0
    while True:
        owner = queue.winners[1]
        p = clusters.top[owner]
        if p < 0:
            return merges, evaluated
        other = pairs.other[p]
        if pairs.version[p] != clusters.version[owner]:
            remove(clusters, pairs, p)
            _set_bound(clusters, pairs, p, _evaluate(clusters, means, scale, owner, other), True)
            update(clusters, pairs, queue, owner)
            evaluated += 1
            continue
        left[merges], right[merges], heights[merges] = node[owner], node[other], _bound(clusters, pairs, p)
        evaluated += _merge(clusters, pairs, queue, means, scale, p, work, ends, bounds)
        node[owner] = c + merges
        merges += 1


def merge_all(
    clusters: Clusters, pairs: Pairs, means: Floats, scale: Scale
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Doubles]:
    """Merge the most similar pair until no pair is left; of equally similar pairs, that of the smallest ranks.

    Returns the merges in this order: left and right node int64 [m], height float64 [m]; merge e creates node c + e.
    All arguments are used up; `pairs.key` must hold the similarities.
    """
    c = len(clusters.row)
    left, right, heights = np.empty(max(c - 1, 0), np.int64), np.empty(max(c - 1, 0), np.int64), np.empty(max(c - 1, 0))
    queue: Queue = empty_queue(c, len(pairs.key))
    merges, _ = _merge_all(clusters, pairs, queue, means, scale, left, right, heights)
    return left[:merges], right[:merges], heights[:merges]
