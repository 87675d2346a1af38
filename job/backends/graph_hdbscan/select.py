"""Which clusters of the condensed tree are the answer, and how surely each point belongs.

Clusters are counted from the root, 0; a cluster's number is above its parent's.
"""

from typing import Literal

import numba as nb
import numpy as np
import numpy.typing as npt

from job.data import CondensedTree, Ints


@nb.njit(cache=True)
def _lives(parent, child, lambdas, sizes, n):  # type: ignore[no-untyped-def]
    """Of each cluster: parent, lambda of birth and of death, stability, points, whether it splits."""
    count = 1
    for t in range(len(parent)):
        count = max(count, child[t] - n + 1)
    above = np.full(count, -1, np.int64)
    birth = np.zeros(count)
    points = np.zeros(count, np.int64)
    for t in range(len(parent)):
        if child[t] >= n:
            above[child[t] - n] = parent[t] - n
            birth[child[t] - n] = lambdas[t]
            points[child[t] - n] = sizes[t]
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
                # as hdbscan counts the root: without the points that fall out of it
                points[0] += sizes[t]
    return above, birth, death, stability, points, splits


@nb.njit(cache=True)
def _excess_of_mass(above, stability, points, most, root_too):  # type: ignore[no-untyped-def]
    """Selected clusters, no one inside another; `stability` becomes that of the best selection below each."""
    count = len(above)
    selected = np.zeros(count, np.bool_)
    first, last, following = np.full(count, -1, np.int64), np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    for c in range(1, count):
        p = above[c]
        if first[p] < 0:
            first[p] = c
        else:
            following[last[p]] = c
        last[p] = c
    for c in range(count - 1, -1 if root_too else 0, -1):
        # hdbscan adds the children's stabilities in float32, in the tree's order
        below = np.float32(0)
        d = first[c]
        while d >= 0:
            below = np.float32(np.float64(below) + stability[d])
            d = following[d]
        if np.float64(below) > stability[c] or points[c] > most:
            stability[c] = np.float64(below)
        else:
            selected[c] = True
    return selected


@nb.njit(cache=True)
def _widen(selected, above, birth, epsilon, root_too):  # type: ignore[no-untyped-def]
    """In place of a cluster born below the distance `epsilon`, its nearest ancestor born above it."""
    wide = np.zeros(len(selected), np.bool_)
    for c in range(1, len(selected)):
        if not selected[c]:
            continue
        a = c
        while birth[a] > 0.0 and 1.0 / birth[a] < epsilon:
            if above[a] == 0:
                a = 0 if root_too else a
                break
            a = above[a]
            if birth[a] > 0.0 and not 1.0 / birth[a] > epsilon:
                continue
            break
        wide[a] = True
    return wide


@nb.njit(cache=True)
def _outermost(selected, above):  # type: ignore[no-untyped-def]
    """For every cluster the outermost selected one that holds it, -1 where none does."""
    owner = np.full(len(selected), -1, np.int64)
    for c in range(len(selected)):
        if c > 0:
            owner[c] = owner[above[c]]
        if owner[c] < 0 and selected[c]:
            owner[c] = c
    return owner


@nb.njit(cache=True)
def _label(parent, child, lambdas, n, owner, death, stability, level):  # type: ignore[no-untyped-def]
    """Points of selected clusters; where the root is selected, those that stay in it until `level`."""
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
    selection: Literal["eom", "leaf"] = "eom",
    epsilon: float = 0.0,
    max_cluster_size: int = 0,
    allow_single_cluster: bool = False,
) -> tuple[Ints, npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Labels int32 [n], probabilities [n], persistence [c] of the selected clusters, and their numbers in the tree [c].

    `eom`, excess of mass: the clusters of the largest total stability, none inside another, where stability is
    the sum over a cluster's points of (lambda at which the point leaves - lambda at which the cluster began).
    `leaf`: the clusters that never split. `epsilon`: clusters that split off below this distance are taken as
    their nearest ancestor that did not (Malzer, Baum (2020), "A hybrid approach to hierarchical density-based cluster
    selection"). `max_cluster_size`: eom passes over larger ones (0: no limit). `allow_single_cluster`: eom may choose
    the root, whose points are then those that stay in it until it splits, or until `epsilon` where it is given.
    Probability: the point's lambda over its cluster's largest. Persistence: stability over size times the tree's
    largest finite lambda; 1 where it is infinite.
    """
    columns = (tree.parent, tree.child, tree.lambdas)
    above, birth, death, stability, points, splits = _lives(*columns, tree.sizes, n)
    if selection == "leaf":
        selected = ~splits
        selected[0] = False
    else:
        most = max_cluster_size if max_cluster_size > 0 else n
        selected = _excess_of_mass(above, stability, points, most, allow_single_cluster)
    owner = _outermost(selected, above)
    if epsilon > 0.0 and owner[0] < 0:
        chosen = owner == np.arange(len(owner))
        owner = _outermost(_widen(chosen, above, birth, epsilon, allow_single_cluster), above)
    level = 1.0 / epsilon if epsilon > 0.0 else death[0]
    labels, probabilities, persistence = _label(*columns, n, owner, death, stability, level)
    return labels, probabilities, persistence, n + np.flatnonzero(owner == np.arange(len(owner)))
