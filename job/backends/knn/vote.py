"""Weighted majority vote among the k nearest neighbors: the nearest cluster of each headline, noise included."""

import numba as nb
import numpy as np

from job.data import Floats, Ints


@nb.njit(cache=True, nogil=True)
def _majority_vote(labels, indices, distances):  # type: ignore[no-untyped-def]
    n, k = indices.shape
    winner = labels.copy()
    distance = np.full(n, np.nan, np.float32)
    candidates = np.empty(k, np.int32)
    weights = np.empty(k)
    for i in range(n):
        if labels[i] < 0:
            count = 0
            for t in range(k):
                j = indices[i, t]
                if j < 0 or labels[j] < 0:
                    continue
                at = 0
                while at < count and candidates[at] != labels[j]:
                    at += 1
                if at == count:
                    candidates[count] = labels[j]
                    weights[count] = 0.0
                    count += 1
                weights[at] += 1.0 / max(distances[i, t], 1e-6)
            best = -1
            for at in range(count):
                if (
                    best < 0
                    or weights[at] > weights[best]
                    or (weights[at] == weights[best] and candidates[at] < candidates[best])
                ):
                    best = at
            if best >= 0:
                winner[i] = candidates[best]
        if winner[i] >= 0:
            for t in range(k):
                j = indices[i, t]
                if j >= 0 and labels[j] == winner[i]:
                    distance[i] = distances[i, t]
                    break
    return winner, distance


def nearest_cluster(labels: Ints, indices: Ints, distances: Floats) -> tuple[Ints, Floats]:
    """Each row's own label; for noise, the weighted majority vote of its neighbors, with weight 1 / distance.

    Returns labels int32 [n], -1 if no neighbor is in a cluster, and the Euclidean distance float32 [n] to the nearest
    neighbor with that label, nan if there is none. A tie goes to the lower label.
    """
    winner, distance = _majority_vote(labels, indices, distances)
    return winner, distance


def nearest_cluster_of_new(labels: Ints, indices: Ints, distances: Floats) -> tuple[Ints, Floats]:
    """`nearest_cluster` of m rows that are not among the n with `labels`.

    `indices` int32 [m, k]: their neighbors among the n, nearest first, -1 = none; `distances` float32 [m, k].
    """
    m = len(indices)
    everything = np.concatenate([np.full(m, -1, np.int32), labels])
    winner, distance = _majority_vote(everything, np.where(indices >= 0, indices + m, -1).astype(np.int32), distances)
    return winner[:m], distance
