"""Outlier scores of points and exemplars of clusters, from the condensed tree."""

import numba as nb
import numpy as np
import numpy.typing as npt

from job.data import CondensedTree, Floats, Ints


@nb.njit(cache=True)
def _glosh(parent, child, lambdas, n):  # type: ignore[no-untyped-def]
    count = 1
    for t in range(len(parent)):
        count = max(count, child[t] - n + 1)
    deaths = np.zeros(count)
    parent_of = np.full(count, -1, np.int64)
    for t in range(len(parent)):
        deaths[parent[t] - n] = max(deaths[parent[t] - n], lambdas[t])
        if child[t] >= n:
            parent_of[child[t] - n] = parent[t] - n
    for c in range(count - 1, 0, -1):
        deaths[parent_of[c]] = max(deaths[parent_of[c]], deaths[c])
    scores = np.zeros(n, np.float32)
    for t in range(len(parent)):
        if child[t] < n and np.isfinite(lambdas[t]):
            death = deaths[parent[t] - n]
            if np.isinf(death):
                scores[child[t]] = 1.0
            elif death > 0.0:
                scores[child[t]] = (death - lambdas[t]) / death
    return scores


def glosh(tree: CondensedTree, n: int) -> Floats:
    """GLOSH outlier scores float32 [n], from 0 in the core of a cluster to 1.

    The score is 1 - lambda / lambda_max. The point leaves its cluster at lambda; the last point of that cluster and all
    clusters below it leaves at lambda_max (Campello, Moulavi, Zimek, Sander (2015), "Hierarchical density estimates for
    data clustering, visualization, and outlier detection", definition 5.2).
    """
    scores: Floats = _glosh(tree.parent, tree.child, tree.lambdas, n)
    return scores


def exemplars(tree: CondensedTree, labels: Ints, clusters: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """The most persistent points of each of `clusters` (numbers in the tree): one array of ascending row numbers each.

    As in `hdbscan`, these are the points that leave last in each cluster at or below it that never splits. `labels`
    int32 [n]: of a root that `epsilon` cuts, points that are noise are left out.
    """
    n = len(labels)
    count = int(tree.child.max(initial=n)) - n + 1
    is_cluster = tree.child >= n
    parent_of = np.full(count, -1, np.int64)
    parent_of[tree.child[is_cluster] - n] = tree.parent[is_cluster] - n
    owner = np.full(count, -1, np.int64)
    owner[clusters - n] = np.arange(len(clusters))
    for c in range(1, count):
        if owner[c] < 0:
            owner[c] = owner[parent_of[c]]
    splits = np.zeros(count, bool)
    splits[tree.parent[is_cluster] - n] = True
    deaths = np.zeros(count)
    np.maximum.at(deaths, tree.parent - n, tree.lambdas)
    at = tree.parent - n
    last = ~is_cluster & ~splits[at] & (owner[at] >= 0) & (tree.lambdas == deaths[at])
    last[last] = labels[tree.child[last]] == owner[at[last]]
    rows, owners = tree.child[last], owner[at[last]]
    order = np.lexsort((rows, owners))
    cuts = np.searchsorted(owners[order], np.arange(1, len(clusters)))
    return np.split(rows[order], cuts) if len(clusters) else []
