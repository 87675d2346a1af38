"""Which cluster a headline's neighbors are in."""

import numba as nb
import numpy as np

from job.data import Floats, Ints


@nb.njit(cache=True)
def _vote(labels, indices, distances):  # type: ignore[no-untyped-def]
    n, k = indices.shape
    winner = labels.copy()
    distance = np.full(n, np.nan, np.float32)
    seen = np.empty(k, np.int32)
    weights = np.empty(k)
    for i in range(n):
        if labels[i] < 0:
            count = 0
            for t in range(k):
                j = indices[i, t]
                if j < 0 or labels[j] < 0:
                    continue
                at = 0
                while at < count and seen[at] != labels[j]:
                    at += 1
                if at == count:
                    seen[count] = labels[j]
                    weights[count] = 0.0
                    count += 1
                weights[at] += 1.0 / max(distances[i, t], 1e-6)
            best = -1
            for at in range(count):
                if best < 0 or weights[at] > weights[best] or (weights[at] == weights[best] and seen[at] < seen[best]):
                    best = at
            if best >= 0:
                winner[i] = seen[best]
        if winner[i] >= 0:
            for t in range(k):
                j = indices[i, t]
                if j >= 0 and labels[j] == winner[i]:
                    distance[i] = distances[i, t]
                    break
    return winner, distance


def nearest_cluster(labels: Ints, indices: Ints, distances: Floats) -> tuple[Ints, Floats]:
    """Each row's own label, for noise the label that its neighbors vote for, each with weight 1 / distance.

    Returns labels int32 [n], -1 where no neighbor is in a cluster, and the Euclidean distance float32 [n] to the
    nearest neighbor with that label, nan where there is none. Equal votes go to the lower label.
    """
    winner, distance = _vote(labels, indices, distances)
    return winner, distance
