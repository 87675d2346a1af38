"""The candidate pairs of average linkage in order of an upper bound of their similarity.

Each pair has an owner, the larger of its two clusters; the smaller one is the `other`. A cluster's own pairs form a
heap, and a tournament over the clusters finds the largest bound of all. When a cluster grows, the bounds of all its own
pairs rise by the same amount, so only one number of the cluster is raised (`drift`): a cluster with 100,000 candidates
costs no more than a small one. The pairs of a cluster that others own are in a linked list, so that they can be updated
one by one. A hash table finds the pair of two clusters.

All memory is allocated at the start: 56 to 64 bytes per pair with its buckets of the hash table, 64 to 72 per cluster
with its place in the tournament. Pairs only become fewer. The heaps are pairing heaps: Fredman, Sedgewick, Sleator,
Tarjan (1986), "The pairing heap: a new form of self-adjusting heap".
"""

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from job.data import Ints

Doubles = npt.NDArray[np.float64]
# structured arrays with the fields of `CLUSTER` and `PAIR`; a link of -1 means "none"
Clusters = npt.NDArray[Any]
Pairs = npt.NDArray[Any]

CLUSTER = np.dtype(
    [
        ("size", np.int64),  # in rows
        ("norm", np.float64),  # Euclidean, of the mean
        ("drift", np.float64),  # by how much the bounds of its own pairs have risen so far
        ("best", np.float64),  # the bound of `top`
        ("row", np.int32),  # where its mean is
        ("rank", np.int32),  # the smallest of its members
        ("version", np.int32),  # the number of its merges
        ("top", np.int32),  # the first pair of its heap
        ("first", np.int32),  # the first pair of its list
    ],
    align=True,
)
# one record instead of an array per field: most steps read several fields of one pair
PAIR = np.dtype(
    [
        ("key", np.float64),  # the bound is key + the owner's drift
        ("version", np.int32),  # the owner's if the bound is the similarity itself, else -1 or an earlier one
        ("owner", np.int32),
        ("other", np.int32),
        ("child", np.int32),  # its first child in the owner's heap
        ("after", np.int32),  # the next child of its parent
        ("before", np.int32),  # the previous child of its parent; of the first child, the parent
        ("following", np.int32),  # in the list of the other cluster
        ("previous", np.int32),
        ("chained", np.int32),  # in its bucket of the hash table
    ],
    align=True,
)


def empty_clusters(count: int) -> Clusters:
    """Clusters without pairs."""
    clusters = np.zeros(count, CLUSTER)
    clusters["top"] = clusters["first"] = -1
    return clusters


def loose_pairs(left: Ints, right: Ints, similarities: Doubles) -> Pairs:
    """Pairs that are in no heap, list or hash table yet."""
    pairs = np.zeros(len(left), PAIR)
    pairs["owner"], pairs["other"], pairs["key"] = left, right, similarities
    return pairs


def empty_buckets(pairs: int) -> Ints:
    """The buckets of an empty hash table: at least as many as pairs, a power of two."""
    return np.full(1 << (2 * pairs - 1).bit_length(), -1, np.int32)


def empty_tournament(clusters: int) -> Ints:
    """A tournament without clusters: entry 1 is the winner, cluster a enters at a + half of the length."""
    return np.full(2 << max(1, (clusters - 1).bit_length()), -1, np.int32)


# ---- heaps


@nb.njit(cache=True, nogil=True)
def _before(clusters, pairs, p, q):  # type: ignore[no-untyped-def]
    """Whether pair p comes before pair q of the same owner."""
    if pairs[p].key != pairs[q].key:
        return pairs[p].key > pairs[q].key
    return clusters[pairs[p].other].rank < clusters[pairs[q].other].rank


@nb.njit(cache=True, nogil=True)
def _join(clusters, pairs, p, q):  # type: ignore[no-untyped-def]
    """Make one heap of two: the later of the two tops becomes the first child of the other. Returns the top."""
    if _before(clusters, pairs, q, p):
        p, q = q, p
    child = pairs[p].child
    pairs[q].after, pairs[q].before = child, p
    if child >= 0:
        pairs[child].before = q
    pairs[p].child = q
    return p


@nb.njit(cache=True, nogil=True)
def _join_siblings(clusters, pairs, first):  # type: ignore[no-untyped-def]
    """Make one heap of a list of siblings: two by two from left to right, then all from right to left."""
    joined = np.int32(-1)
    while first >= 0:
        second, rest = pairs[first].after, np.int32(-1)
        if second >= 0:
            rest = pairs[second].after
            first = _join(clusters, pairs, first, second)
        pairs[first].after = joined
        joined, first = first, rest
    if joined < 0:
        return joined
    top, rest = joined, pairs[joined].after
    while rest >= 0:
        left = pairs[rest].after
        top, rest = _join(clusters, pairs, top, rest), left
    return top


@nb.njit(cache=True, nogil=True)
def _set_top(clusters, pairs, owner, p):  # type: ignore[no-untyped-def]
    clusters[owner].top = p
    if p >= 0:
        pairs[p].after = -1


@nb.njit(cache=True, nogil=True)
def push(clusters, pairs, p):  # type: ignore[no-untyped-def]
    """Put the pair into its owner's heap."""
    owner = pairs[p].owner
    top = clusters[owner].top
    pairs[p].child = -1
    _set_top(clusters, pairs, owner, p if top < 0 else _join(clusters, pairs, top, p))


@nb.njit(cache=True, nogil=True)
def remove(clusters, pairs, p):  # type: ignore[no-untyped-def]
    """Take the pair out of its owner's heap."""
    owner = pairs[p].owner
    top = clusters[owner].top
    below = _join_siblings(clusters, pairs, pairs[p].child)
    if p == top:
        _set_top(clusters, pairs, owner, below)
        return
    before, after = pairs[p].before, pairs[p].after
    if pairs[before].child == p:
        pairs[before].child = after
    else:
        pairs[before].after = after
    if after >= 0:
        pairs[after].before = before
    if below >= 0:
        _set_top(clusters, pairs, owner, _join(clusters, pairs, top, below))


# ---- lists and the hash table


@nb.njit(cache=True, nogil=True)
def _bucket(buckets, a, b):  # type: ignore[no-untyped-def]
    key = (np.uint64(min(a, b)) << np.uint64(32)) | np.uint64(max(a, b))
    key = (key ^ (key >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((key ^ (key >> np.uint64(32))) & np.uint64(len(buckets) - 1))


@nb.njit(cache=True, nogil=True)
def find(pairs, buckets, a, b):  # type: ignore[no-untyped-def]
    """The pair of clusters a and b; -1 if they are no candidates."""
    low, high = min(a, b), max(a, b)
    p = buckets[_bucket(buckets, a, b)]
    while p >= 0:
        owner, other = pairs[p].owner, pairs[p].other
        if min(owner, other) == low and max(owner, other) == high:
            break
        p = pairs[p].chained
    return p


@nb.njit(cache=True, nogil=True)
def attach(clusters, pairs, buckets, p, a, b):  # type: ignore[no-untyped-def]
    """Make p the pair of clusters a and b: in the hash table and in the list of the smaller one, not yet in a heap."""
    if clusters[a].size < clusters[b].size:
        a, b = b, a
    following, bucket = clusters[b].first, _bucket(buckets, a, b)
    pairs[p].owner, pairs[p].other = a, b
    pairs[p].previous, pairs[p].following = -1, following
    if following >= 0:
        pairs[following].previous = p
    clusters[b].first = p
    pairs[p].chained = buckets[bucket]
    buckets[bucket] = p


@nb.njit(cache=True, nogil=True)
def detach(clusters, pairs, buckets, p):  # type: ignore[no-untyped-def]
    """Take the pair out of the hash table and of the list of its other cluster; its own links in the list remain."""
    previous, following = pairs[p].previous, pairs[p].following
    if previous >= 0:
        pairs[previous].following = following
    else:
        clusters[pairs[p].other].first = following
    if following >= 0:
        pairs[following].previous = previous
    bucket = _bucket(buckets, pairs[p].owner, pairs[p].other)
    q = buckets[bucket]
    if q == p:
        buckets[bucket] = pairs[p].chained
        return
    while pairs[q].chained != p:
        q = pairs[q].chained
    pairs[q].chained = pairs[p].chained


# ---- tournament


@nb.njit(cache=True, nogil=True)
def _winner(clusters, pairs, a, b):  # type: ignore[no-untyped-def]
    """Of two clusters the one whose first pair has the larger bound; of equal bounds, the pair of smaller ranks."""
    if clusters[a].best != clusters[b].best:
        return a if clusters[a].best > clusters[b].best else b
    if clusters[a].top < 0 or clusters[b].top < 0:
        return a
    other_a, other_b = pairs[clusters[a].top].other, pairs[clusters[b].top].other
    low_a, high_a = min(clusters[a].rank, clusters[other_a].rank), max(clusters[a].rank, clusters[other_a].rank)
    low_b, high_b = min(clusters[b].rank, clusters[other_b].rank), max(clusters[b].rank, clusters[other_b].rank)
    return a if low_a < low_b or (low_a == low_b and high_a < high_b) else b


@nb.njit(cache=True, nogil=True)
def update(clusters, pairs, winners, a):  # type: ignore[no-untyped-def]
    """Report the first pair of cluster a to the tournament. If a wins it: the best bound of all others, else inf."""
    p = clusters[a].top
    clusters[a].best = pairs[p].key + clusters[a].drift if p >= 0 else -np.inf
    at = len(winners) // 2 + a
    winners[at] = a
    winner, runner_up = a, -np.inf
    while at > 1:
        sibling = winners[at ^ 1]
        at //= 2
        if sibling >= 0:
            if winner == a:
                runner_up = max(runner_up, clusters[sibling].best)
            winner = _winner(clusters, pairs, winner, sibling)
        if winner == winners[at] and winner != a:
            return np.inf
        winners[at] = winner
    return runner_up if winner == a else np.inf
