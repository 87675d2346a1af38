"""Selection of clusters from the condensed tree, and the probability with which each point belongs to its cluster.

Inside this module the root cluster is number 0, and a cluster's number is larger than its parent's.
"""

from typing import Literal

import numba as nb
import numpy as np
import numpy.typing as npt

from job.data import CondensedTree, Ints

Selection = Literal["eom", "leaf"]
Components = Literal["joined", "apart"]
# sums of float64 in different orders differ by less than this share
_ROUNDING = 1e-9


@nb.njit(cache=True)
def _cluster_statistics(parent, child, lambdas, sizes, n, apart):  # type: ignore[no-untyped-def]
    """Per cluster: parent, lambda of birth, lambda of death, stability, number of points, whether it splits.

    `apart`: the birth of a connected component, a child of the root at lambda 0, is its own lowest lambda instead.
    """
    count = 1
    for t in range(len(parent)):
        count = max(count, child[t] - n + 1)
    parent_of = np.full(count, -1, np.int64)
    birth = np.zeros(count)
    points = np.zeros(count, np.int64)
    for t in range(len(parent)):
        if child[t] >= n:
            parent_of[child[t] - n] = parent[t] - n
            birth[child[t] - n] = lambdas[t]
            points[child[t] - n] = sizes[t]
    if apart:
        lowest = np.full(count, np.inf)
        for t in range(len(parent)):
            lowest[parent[t] - n] = min(lowest[parent[t] - n], lambdas[t])
        for c in range(1, count):
            if parent_of[c] == 0 and birth[c] == 0.0 and lowest[c] < np.inf:
                birth[c] = lowest[c]
    death = np.zeros(count)
    stability = np.zeros(count)
    splits = np.zeros(count, np.bool_)
    for t in range(len(parent)):
        c = parent[t] - n
        stability[c] += (lambdas[t] - birth[c]) * sizes[t]
        death[c] = max(death[c], lambdas[t])
        if child[t] >= n:
            splits[c] = True
            if c == 0:
                # hdbscan counts the root without the points that fall out of it
                points[0] += sizes[t]
    return parent_of, birth, death, stability, points, splits


@nb.njit(cache=True)
def _excess_of_mass(parent_of, stability, points, max_size, allow_root, in_float32):  # type: ignore[no-untyped-def]
    """The selected clusters, none inside another; `stability` becomes that of the best selection in each cluster.

    A cluster as stable as those in it is selected. `in_float32`: the rounding of the sums in the tree's order decides,
    as in hdbscan.
    """
    count = len(parent_of)
    selected = np.zeros(count, np.bool_)
    first, last, following = np.full(count, -1, np.int64), np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    for c in range(1, count):
        p = parent_of[c]
        if first[p] < 0:
            first[p] = c
        else:
            following[last[p]] = c
        last[p] = c
    for c in range(count - 1, -1 if allow_root else 0, -1):
        below = 0.0
        d = first[c]
        while d >= 0:
            below += stability[d]
            if in_float32:
                below = np.float64(np.float32(below))
            d = following[d]
        least = stability[c] if in_float32 else stability[c] * (1 + _ROUNDING)
        if below > least or points[c] > max_size:
            stability[c] = below
        else:
            selected[c] = True
    return selected


@nb.njit(cache=True)
def _apply_epsilon(selected, parent_of, birth, epsilon, allow_root):  # type: ignore[no-untyped-def]
    """Replace a cluster born below the distance `epsilon` by its nearest ancestor born at or above it."""
    result = np.zeros(len(selected), np.bool_)
    for c in range(1, len(selected)):
        if not selected[c]:
            continue
        a = c
        while birth[a] > 0.0 and 1.0 / birth[a] < epsilon:
            if parent_of[a] == 0:
                a = 0 if allow_root else a
                break
            a = parent_of[a]
        result[a] = True
    return result


@nb.njit(cache=True)
def _outermost_selected(selected, parent_of):  # type: ignore[no-untyped-def]
    """For every cluster, the outermost selected cluster that contains it; -1 if there is none."""
    owner = np.full(len(selected), -1, np.int64)
    for c in range(len(selected)):
        if c > 0:
            owner[c] = owner[parent_of[c]]
        if owner[c] < 0 and selected[c]:
            owner[c] = c
    return owner


@nb.njit(cache=True)
def _label_points(parent, child, lambdas, n, owner, death, stability, level):  # type: ignore[no-untyped-def]
    """Label the points of the selected clusters; of a selected root, only the points still in it at lambda `level`.

    Returns labels, probabilities, and the persistence of each selected cluster.
    """
    number = np.full(len(owner), -1, np.int64)
    chosen = 0
    for c in range(len(owner)):
        if owner[c] == c:
            number[c] = chosen
            chosen += 1
    labels = np.full(n, -1, np.int32)
    probabilities = np.zeros(n)
    members = np.zeros(chosen, np.int64)
    highest = 0.0
    for t in range(len(parent)):
        if np.isfinite(lambdas[t]):
            highest = max(highest, lambdas[t])
        if child[t] >= n:
            continue
        c = owner[parent[t] - n]
        if c < 0 or (c == 0 and lambdas[t] < level):
            continue
        labels[child[t]] = number[c]
        members[number[c]] += 1
        if death[c] == 0.0 or not np.isfinite(lambdas[t]):
            probabilities[child[t]] = 1.0
        else:
            probabilities[child[t]] = min(lambdas[t], death[c]) / death[c]
    persistence = np.ones(chosen)
    for c in range(len(owner)):
        if number[c] >= 0 and highest > 0.0 and members[number[c]] and np.isfinite(stability[c]):
            persistence[number[c]] = min(1.0, stability[c] / (members[number[c]] * highest))
    return labels, probabilities, persistence


def flat(
    tree: CondensedTree,
    n: int,
    selection: Selection = "eom",
    epsilon: float = 0.0,
    max_cluster_size: int = 0,
    allow_single_cluster: bool = False,
    components: Components = "joined",
    in_float32: bool = False,
) -> tuple[Ints, npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Labels int32 [n], probabilities [n], persistence [c] of the selected clusters, and their numbers in the tree [c].

    `selection` eom, excess of mass: the clusters with the largest total stability, none inside another. Stability is
    the sum over a cluster's points of (lambda at which the point leaves - lambda at which the cluster began). Of a
    cluster and those in it with equal stabilities the cluster is selected; with `in_float32` rounding decides, as in
    `hdbscan`, and that depends on the order of rows. `selection` leaf: the clusters that never split. `epsilon`: a
    cluster that splits off below this distance is replaced by its nearest ancestor that does not (Malzer, Baum (2020),
    "A hybrid approach to hierarchical density-based cluster selection"). `max_cluster_size`: eom skips larger clusters
    (0: no limit).
    `allow_single_cluster`: eom may select the root; its points are then those that stay in it until it splits or, if
    given, until `epsilon`. `components`, if the graph has several connected components: `joined` counts the stability
    of each from lambda 0, so that a large component wins over all clusters in it; `apart` counts it from the
    component's own lowest lambda, at which it is complete. Probability: the point's lambda divided by the largest
    lambda of its cluster. Persistence: stability / (size * largest finite lambda of the tree); 1 if the stability is
    infinite.
    """
    columns = (tree.parent, tree.child, tree.lambdas)
    parent_of, birth, death, stability, points, splits = _cluster_statistics(
        *columns, tree.sizes, n, components == "apart"
    )
    if selection == "leaf":
        selected = ~splits
        selected[0] = False
    else:
        max_size = max_cluster_size if max_cluster_size > 0 else n
        selected = _excess_of_mass(parent_of, stability, points, max_size, allow_single_cluster, in_float32)
    owner = _outermost_selected(selected, parent_of)
    if epsilon > 0.0 and owner[0] < 0:
        chosen = owner == np.arange(len(owner))
        owner = _outermost_selected(_apply_epsilon(chosen, parent_of, birth, epsilon, allow_single_cluster), parent_of)
    level = 1.0 / epsilon if epsilon > 0.0 else death[0]
    labels, probabilities, persistence = _label_points(*columns, n, owner, death, stability, level)
    clusters = n + np.flatnonzero(owner == np.arange(len(owner)))
    if owner[0] == 0 and labels.max() < 0:
        # no point stays in the root until `level`: do not report an empty cluster
        persistence, clusters = persistence[:0], clusters[:0]
    return labels, probabilities, persistence, clusters
