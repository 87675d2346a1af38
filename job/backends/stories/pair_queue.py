"""The candidate pairs of average linkage, ordered by an upper bound of their similarity.

Each pair has an owner: the larger of its two clusters. A cluster's own pairs form a heap, and a tournament over the
clusters finds the largest bound of all. When a large cluster moves, the bounds of all its own pairs rise by the same
amount, so one number per cluster (`drift`) is raised instead: a cluster with 100,000 candidates costs no more than a
small one. The pairs that a cluster does not own are in a linked list, so that they can be updated one by one. A hash
table finds the pair of two clusters.

All memory is allocated at the start: 48 bytes per pair and 68 per cluster. Pairs become fewer with every merge.
The heaps are skew heaps: Sleator, Tarjan (1986), "Self-adjusting heaps".
"""

from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from job.data import Ints

Doubles = npt.NDArray[np.float64]


class Clusters(NamedTuple):
    """One entry per cluster, [c] each.

    `row`: the row of the means that holds its mean; `rank`: the smallest rank of its members; `size` in rows; `norm` of
    the mean; `background`; `drift`: what the bounds of its own pairs have risen by so far; `version`: the number of its
    merges; `top`: the first pair of its heap; `first`: the first pair of its list (both -1 = none); `best`: the bound
    of `top`.
    """

    row: Ints
    rank: Ints
    size: npt.NDArray[np.int64]
    norm: Doubles
    background: Doubles
    drift: Doubles
    version: Ints
    top: Ints
    first: Ints
    best: Doubles


class Pairs(NamedTuple):
    """One entry per pair, [p] each; links are pair numbers, -1 = none.

    The bound is `key` + the owner's drift. It is the similarity itself if `version` is the owner's. `left`, `right`,
    `above`: links of the owner's heap; `following`, `previous`: of the other cluster's list; `chained`: of the hash
    table.
    """

    owner: Ints
    other: Ints
    key: Doubles
    version: Ints
    left: Ints
    right: Ints
    above: Ints
    following: Ints
    previous: Ints
    chained: Ints


class Queue(NamedTuple):
    """`buckets` of the hash table, a power of two; `winners` of the tournament: cluster a stands at a + half of them."""

    buckets: Ints
    winners: Ints


def empty_clusters(
    rows: Ints, ranks: Ints, sizes: npt.NDArray[np.int64], norms: Doubles, backgrounds: Doubles
) -> Clusters:
    """Clusters without pairs."""
    c = len(rows)
    zeros, none = np.zeros(c, np.int32), np.full(c, -1, np.int32)
    return Clusters(rows, ranks, sizes, norms, backgrounds, np.zeros(c), zeros, none, none.copy(), np.full(c, -np.inf))


def empty_pairs(left: Ints, right: Ints, keys: Doubles) -> Pairs:
    """The pairs before the first `attach`: none is in a heap, a list or the hash table."""
    p = len(left)
    return Pairs(left, right, keys, *(np.full(p, value, np.int32) for value in (0, -1, -1, -1, -1, -1, -1)))


def empty_queue(clusters: int, pairs: int) -> Queue:
    """No pair in the hash table, no cluster in the tournament."""
    buckets, half = (1 << max(1, int(number - 1).bit_length()) for number in (max(pairs, 2), max(clusters, 2)))
    return Queue(np.full(buckets, -1, np.int32), np.full(2 * half, -1, np.int32))


# ---- heaps


@nb.njit(cache=True, nogil=True)
def _before(clusters, pairs, p, q):  # type: ignore[no-untyped-def]
    """Whether pair p comes before pair q of the same owner."""
    if pairs.key[p] != pairs.key[q]:
        return pairs.key[p] > pairs.key[q]
    return clusters.rank[pairs.other[p]] < clusters.rank[pairs.other[q]]


@nb.njit(cache=True, nogil=True)
def _meld(clusters, pairs, p, q):  # type: ignore[no-untyped-def]
    """The top of two heaps made one; `above` of the top is left to the caller."""
    if p < 0:
        return q
    if q < 0:
        return p
    if _before(clusters, pairs, q, p):
        p, q = q, p
    top = p
    while True:
        below = pairs.right[p]
        pairs.right[p] = pairs.left[p]
        if below >= 0 and _before(clusters, pairs, below, q):
            below, q = q, below
        pairs.left[p] = q
        pairs.above[q] = p
        if below < 0:
            return top
        p, q = q, below


@nb.njit(cache=True, nogil=True)
def push(clusters, pairs, p):  # type: ignore[no-untyped-def]
    owner = pairs.owner[p]
    pairs.left[p] = pairs.right[p] = -1
    top = _meld(clusters, pairs, clusters.top[owner], p)
    pairs.above[top] = -1
    clusters.top[owner] = top


@nb.njit(cache=True, nogil=True)
def remove(clusters, pairs, p):  # type: ignore[no-untyped-def]
    """Take the pair out of its owner's heap."""
    below, above = _meld(clusters, pairs, pairs.left[p], pairs.right[p]), pairs.above[p]
    if below >= 0:
        pairs.above[below] = above
    if above < 0:
        clusters.top[pairs.owner[p]] = below
    elif pairs.left[above] == p:
        pairs.left[above] = below
    else:
        pairs.right[above] = below


# ---- lists


@nb.njit(cache=True, nogil=True)
def enlist(clusters, pairs, p):  # type: ignore[no-untyped-def]
    other = pairs.other[p]
    following = clusters.first[other]
    pairs.previous[p] = -1
    pairs.following[p] = following
    if following >= 0:
        pairs.previous[following] = p
    clusters.first[other] = p


@nb.njit(cache=True, nogil=True)
def delist(clusters, pairs, p):  # type: ignore[no-untyped-def]
    previous, following = pairs.previous[p], pairs.following[p]
    if previous >= 0:
        pairs.following[previous] = following
    else:
        clusters.first[pairs.other[p]] = following
    if following >= 0:
        pairs.previous[following] = previous


# ---- hash table


@nb.njit(cache=True, nogil=True)
def _bucket(queue, a, b):  # type: ignore[no-untyped-def]
    key = (np.uint64(min(a, b)) << np.uint64(32)) | np.uint64(max(a, b))
    key = (key ^ (key >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((key ^ (key >> np.uint64(32))) & np.uint64(len(queue.buckets) - 1))


@nb.njit(cache=True, nogil=True)
def find(pairs, queue, a, b):  # type: ignore[no-untyped-def]
    """The pair of clusters a and b; -1 if they are no candidates."""
    p = queue.buckets[_bucket(queue, a, b)]
    while p >= 0 and not (
        (pairs.owner[p] == a and pairs.other[p] == b) or (pairs.owner[p] == b and pairs.other[p] == a)
    ):
        p = pairs.chained[p]
    return p


@nb.njit(cache=True, nogil=True)
def record(pairs, queue, p):  # type: ignore[no-untyped-def]
    bucket = _bucket(queue, pairs.owner[p], pairs.other[p])
    pairs.chained[p] = queue.buckets[bucket]
    queue.buckets[bucket] = p


@nb.njit(cache=True, nogil=True)
def forget(pairs, queue, p):  # type: ignore[no-untyped-def]
    bucket = _bucket(queue, pairs.owner[p], pairs.other[p])
    q = queue.buckets[bucket]
    if q == p:
        queue.buckets[bucket] = pairs.chained[p]
        return
    while pairs.chained[q] != p:
        q = pairs.chained[q]
    pairs.chained[q] = pairs.chained[p]


# ---- tournament


@nb.njit(cache=True, nogil=True)
def _winner(clusters, pairs, a, b):  # type: ignore[no-untyped-def]
    """Of two clusters the one whose first pair has the larger bound; of equal bounds, the pair of smaller ranks."""
    if a < 0 or b < 0:
        return max(a, b)
    if clusters.best[a] != clusters.best[b]:
        return a if clusters.best[a] > clusters.best[b] else b
    if clusters.top[a] < 0:
        return a
    rank_a, rank_b = clusters.rank[a], clusters.rank[b]
    other_a, other_b = clusters.rank[pairs.other[clusters.top[a]]], clusters.rank[pairs.other[clusters.top[b]]]
    low_a, low_b = min(rank_a, other_a), min(rank_b, other_b)
    if low_a != low_b:
        return a if low_a < low_b else b
    return a if max(rank_a, other_a) < max(rank_b, other_b) else b


@nb.njit(cache=True, nogil=True)
def update(clusters, pairs, queue, a):  # type: ignore[no-untyped-def]
    """Let the tournament know the first pair of cluster a."""
    p = clusters.top[a]
    clusters.best[a] = pairs.key[p] + clusters.drift[a] if p >= 0 else -np.inf
    at = len(queue.winners) // 2 + a
    queue.winners[at] = a
    at //= 2
    while at >= 1:
        winner = _winner(clusters, pairs, queue.winners[2 * at], queue.winners[2 * at + 1])
        if winner == queue.winners[at] and winner != a:
            break
        queue.winners[at] = winner
        at //= 2
