"""What else the condensed tree tells: how far out each point lies, and which points stand for a cluster."""

import numba as nb
import numpy as np
import numpy.typing as npt

from job.data import CondensedTree, Floats


@nb.njit(cache=True)
def _glosh(parent, child, lambdas, n):  # type: ignore[no-untyped-def]
    count = 1
    for t in range(len(parent)):
        count = max(count, child[t] - n + 1)
    deaths = np.zeros(count)
    above = np.full(count, -1, np.int64)
    for t in range(len(parent)):
        deaths[parent[t] - n] = max(deaths[parent[t] - n], lambdas[t])
        if child[t] >= n:
            above[child[t] - n] = parent[t] - n
    for c in range(count - 1, 0, -1):
        deaths[above[c]] = max(deaths[above[c]], deaths[c])
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
    """Outlier scores float32 [n] from 0, at the heart of a cluster, to 1: GLOSH.

    1 - lambda / lambda_max, where lambda is the one at which the point leaves its cluster, and lambda_max the one
    at which the last point does, of that cluster and all below it (Campello, Moulavi, Zimek, Sander (2015),
    "Hierarchical density estimates for data clustering, visualization, and outlier detection", definition 5.2).
    """
    scores: Floats = _glosh(tree.parent, tree.child, tree.lambdas, n)
    return scores


def exemplars(tree: CondensedTree, n: int, clusters: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """For each of `clusters` (numbers in the tree) its most persistent points: row numbers, ascending.

    They are the points that stay to the end in the clusters below it which never split, as in `hdbscan`.
    """
    count = int(tree.child.max(initial=n)) - n + 1
    inner = tree.child >= n
    above = np.full(count, -1, np.int64)
    above[tree.child[inner] - n] = tree.parent[inner] - n
    owner = np.full(count, -1, np.int64)
    owner[clusters - n] = np.arange(len(clusters))
    for c in range(1, count):
        if owner[c] < 0:
            owner[c] = owner[above[c]]
    splits = np.zeros(count, bool)
    splits[tree.parent[inner] - n] = True
    deaths = np.zeros(count)
    np.maximum.at(deaths, tree.parent - n, tree.lambdas)
    at = tree.parent - n
    last = ~inner & ~splits[at] & (owner[at] >= 0) & (tree.lambdas == deaths[at])
    rows, of = tree.child[last], owner[at[last]]
    order = np.lexsort((rows, of))
    cuts = np.searchsorted(of[order], np.arange(1, len(clusters)))
    return np.split(rows[order], cuts) if len(clusters) else []
