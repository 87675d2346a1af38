"""The loop of average linkage: compute the similarity of the pair with the largest bound, or merge it if it is known.

The bounds. Clusters a and x of |a| and |x| rows merge; c is another cluster. Then
s(ax, c) = (|a| s(a, c) + |x| s(x, c)) / (|a| + |x|), so bounds of both similarities on the right give a bound of the
new one. Of two clusters that are no candidates, s(a, c) <= |mean a| |mean c| is known (Cauchy-Schwarz
inequality). Pairs of the larger cluster, a, that it owns are not visited: their bounds rise by the distance that its
mean moves times the largest norm of a mean. Every bound exceeds the similarity by more than rounding can change: when
the pair at the top has a known similarity, no other pair is more similar, and none that is unknown is equally similar.
"""

import numba as nb
import numpy as np
import numpy.typing as npt

from job.backends.graph_hdbscan.row_ranges import map_row_ranges
from job.backends.stories.dot import dot
from job.backends.stories.pair_queue import (
    Clusters,
    Doubles,
    Pairs,
    attach,
    detach,
    empty_buckets,
    empty_tournament,
    find,
    push,
    remove,
    update,
)
from job.data import Floats, Ints

# checksums of the files whose kernels those here contain; see dot.py
PAIR_QUEUE_CRC32, DOT_CRC32 = 2858800607, 2372281026
# in quanta: a mean rounded to float32 changes a similarity by less than five, rounding a similarity by half of one
_SLACK, _DRIFT_SLACK = 16.0, 2.0

Nodes = npt.NDArray[np.int64]


@nb.njit(cache=True, nogil=True)
def _similarity(clusters, means, quantum, a, b):  # type: ignore[no-untyped-def]
    """The similarity of clusters a and b, rounded to a multiple of `quantum`."""
    exact = dot(means[clusters[a].row], means[clusters[b].row])
    return np.rint(exact / quantum) * quantum


@nb.njit(cache=True, nogil=True)
def _write_similarities(clusters, means, quantum, left, right, result, start, stop):  # type: ignore[no-untyped-def]
    for p in range(start, stop):
        result[p] = _similarity(clusters, means, quantum, left[p], right[p])


def similarities(clusters: Clusters, means: Floats, quantum: float, left: Ints, right: Ints, threads: int) -> Doubles:
    """The similarities float64 [p] of pairs of clusters, multiples of `quantum`."""
    result = np.empty(len(left))
    map_row_ranges(
        lambda start, stop: _write_similarities(clusters, means, quantum, left, right, result, start, stop),
        len(left),
        threads,
    )
    return result


@nb.njit(cache=True, nogil=True)
def _ceiling(clusters, a, b):  # type: ignore[no-untyped-def]
    """The largest similarity that the norms of two clusters allow."""
    return clusters[a].norm * clusters[b].norm


@nb.njit(cache=True, nogil=True)
def _bound(clusters, pairs, p):  # type: ignore[no-untyped-def]
    return pairs[p].key + clusters[pairs[p].owner].drift


@nb.njit(cache=True, nogil=True)
def _push_bound(clusters, pairs, p, bound, is_similarity):  # type: ignore[no-untyped-def]
    """Put the pair with this bound into its owner's heap."""
    owner = pairs[p].owner
    pairs[p].key = bound - clusters[owner].drift
    pairs[p].version = clusters[owner].version if is_similarity else -1
    push(clusters, pairs, p)


@nb.njit(cache=True, nogil=True)
def _collect_pairs(clusters, pairs, buckets, x, found, ends, bounds):  # type: ignore[no-untyped-def]
    """Take out all pairs of x. Returns their count; writes the pairs, their other ends and their bounds."""
    count, at = 0, 0
    if clusters[x].top >= 0:
        found[0], count = clusters[x].top, 1
    # the heap of x is not used again: its links stay as they are while its pairs are listed
    while at < count:
        p = found[at]
        for below in (pairs[p].child, pairs[p].after):
            if below >= 0:
                found[count] = below
                count += 1
        ends[at], bounds[at] = pairs[p].other, _bound(clusters, pairs, p)
        detach(clusters, pairs, buckets, p)
        at += 1
    clusters[x].top = -1
    p = clusters[x].first
    while p >= 0:
        found[count], ends[count], bounds[count] = p, pairs[p].owner, _bound(clusters, pairs, p)
        remove(clusters, pairs, p)
        detach(clusters, pairs, buckets, p)
        p = pairs[p].following
        count += 1
    return count


@nb.njit(cache=True, nogil=True)
def _pairs_of_union(clusters, pairs, buckets, a, x, found, ends, bounds):  # type: ignore[no-untyped-def]
    """Take out the pairs of x, and those of a that others own. Returns their count, a pair of both counted once;
    writes the pairs, their other ends, and bounds that hold after the merge."""
    share_x = clusters[x].size / (clusters[a].size + clusters[x].size)
    share_a = 1.0 - share_x
    count = _collect_pairs(clusters, pairs, buckets, x, found, ends, bounds)
    for at in range(count):
        p = find(pairs, buckets, a, ends[at])
        if p >= 0:
            bound = _bound(clusters, pairs, p)
            remove(clusters, pairs, p)
            detach(clusters, pairs, buckets, p)
        else:
            bound = _ceiling(clusters, a, ends[at])
        bounds[at] = share_x * bounds[at] + share_a * bound
    p = clusters[a].first
    while p >= 0:
        owner = pairs[p].owner
        found[count], ends[count] = p, owner
        bounds[count] = share_a * _bound(clusters, pairs, p) + share_x * _ceiling(clusters, x, owner)
        remove(clusters, pairs, p)
        detach(clusters, pairs, buckets, p)
        p = pairs[p].following
        count += 1
    return count


# the mean has no sums to reorder; the two norms only enter bounds
@nb.njit(cache=True, nogil=True, fastmath={"reassoc"})
def _move(mean, size, other, other_size):  # type: ignore[no-untyped-def]
    """Make `mean` the mean of both; returns the distance it moved and its new norm, both squared."""
    moved, square = 0.0, 0.0
    for c in range(len(mean)):
        before = np.float64(mean[c])
        mean[c] = (size * before + other_size * np.float64(other[c])) / (size + other_size)
        after = np.float64(mean[c])
        moved += (after - before) * (after - before)
        square += after * after
    return moved, square


@nb.njit(cache=True, nogil=True)
def _absorb(clusters, means, quantum, largest_norm, a, x):  # type: ignore[no-untyped-def]
    """Make a the union of a and x; its mean does not depend on which of the two is a."""
    size, other_size = np.float64(clusters[a].size), np.float64(clusters[x].size)
    moved, square = _move(means[clusters[a].row], size, means[clusters[x].row], other_size)
    rise = np.sqrt(moved) * largest_norm
    # a multiple of the quantum: key + drift is then exact for similarities
    clusters[a].drift += (np.ceil(rise / quantum) + _DRIFT_SLACK) * quantum
    clusters[a].norm = np.sqrt(square)
    clusters[a].size += clusters[x].size
    clusters[a].rank = min(clusters[a].rank, clusters[x].rank)
    clusters[a].version += 1


@nb.njit(cache=True, nogil=True)
def _merge(clusters, pairs, buckets, winners, means, quantum, largest_norm, p, found, ends, bounds):  # type: ignore[no-untyped-def]
    """Merge the clusters of pair p into its owner. Returns how many similarities were computed."""
    a, x, height = pairs[p].owner, pairs[p].other, _bound(clusters, pairs, p)
    remove(clusters, pairs, p)
    detach(clusters, pairs, buckets, p)
    count = _pairs_of_union(clusters, pairs, buckets, a, x, found, ends, bounds)
    _absorb(clusters, means, quantum, largest_norm, a, x)
    computed = 0
    for at in range(count):
        attach(clusters, pairs, buckets, found[at], a, ends[at])
        bound = min(bounds[at], _ceiling(clusters, a, ends[at])) + _SLACK * quantum
        # a bound above the height of this merge would reach the top before the next merge; now the mean is in the cache
        is_next = bound >= height
        if is_next:
            bound = _similarity(clusters, means, quantum, a, ends[at])
            computed += 1
        _push_bound(clusters, pairs, found[at], bound, is_next)
    for at in range(count):
        update(clusters, pairs, winners, ends[at])
    update(clusters, pairs, winners, x)
    update(clusters, pairs, winners, a)
    return computed


@nb.njit(cache=True, nogil=True)
def _merge_all(clusters, pairs, buckets, winners, means, quantum, largest_norm, left, right, heights):  # type: ignore[no-untyped-def]
    """Merge until no pair remains. Returns the number of merges, and of similarities computed on the way."""
    c = len(clusters)
    # int32 as everywhere else: each kernel is compiled for one type of number
    for p in np.arange(len(pairs), dtype=np.int32):
        attach(clusters, pairs, buckets, p, pairs[p].owner, pairs[p].other)
        _push_bound(clusters, pairs, p, pairs[p].key, True)
    for a in np.arange(c, dtype=np.int32):
        update(clusters, pairs, winners, a)
    node = np.arange(c)
    found, ends, bounds = np.empty(c, np.int32), np.empty(c, np.int32), np.empty(c)
    merges, computed, runner_up = 0, 0, np.inf
    while True:
        owner = winners[1]
        p = clusters[owner].top
        if p < 0:
            return merges, computed
        if pairs[p].version == clusters[owner].version:
            other = pairs[p].other
            left[merges], right[merges], heights[merges] = node[owner], node[other], _bound(clusters, pairs, p)
            computed += _merge(clusters, pairs, buckets, winners, means, quantum, largest_norm, p, found, ends, bounds)
            node[owner] = c + merges
            merges += 1
            runner_up = np.inf
            continue
        while True:
            remove(clusters, pairs, p)
            _push_bound(clusters, pairs, p, _similarity(clusters, means, quantum, owner, pairs[p].other), True)
            computed += 1
            p = clusters[owner].top
            # as long as its first pair beats the runner-up, the owner still wins the tournament
            if pairs[p].version == clusters[owner].version or not _bound(clusters, pairs, p) > runner_up:
                break
        runner_up = update(clusters, pairs, winners, owner)


def merge_all(
    clusters: Clusters, pairs: Pairs, means: Floats, quantum: float, largest_norm: float
) -> tuple[Nodes, Nodes, Doubles, int]:
    """Merge the most similar pair until no pair remains; of equally similar pairs, the one of the smallest ranks.

    `pairs.key` must hold the similarities. Overwrites `clusters`, `pairs` and `means`. Returns the merges in order,
    left and right node int64 [m] and height float64 [m], where merge e creates node c + e; and the number of
    similarities that were computed on the way.
    """
    c = len(clusters)
    left, right, heights = np.empty(c, np.int64), np.empty(c, np.int64), np.empty(c)
    buckets, winners = empty_buckets(len(pairs)), empty_tournament(c)
    m, computed = _merge_all(clusters, pairs, buckets, winners, means, quantum, largest_norm, left, right, heights)
    return left[:m], right[:m], heights[:m], computed
