"""Which clusters of the condensed tree are the answer, and how surely each point belongs."""

from typing import Literal

import numba as nb
import numpy as np
import numpy.typing as npt

from job.data import CondensedTree, Ints


@nb.njit(cache=True)
def _flat(parent, child, lambdas, sizes, n, leaves):  # type: ignore[no-untyped-def]
    m = len(parent)
    count = 1
    for t in range(m):
        if child[t] >= n:
            count = max(count, child[t] - n + 1)
    birth = np.zeros(count)
    above = np.full(count, -1, np.int64)
    for t in range(m):
        if child[t] >= n:
            birth[child[t] - n] = lambdas[t]
            above[child[t] - n] = parent[t] - n
    stability = np.zeros(count)
    death = np.zeros(count)
    below = np.zeros(count, np.float32)
    inner = np.zeros(count, np.bool_)
    for t in range(m):
        c = parent[t] - n
        stability[c] += (lambdas[t] - birth[c]) * sizes[t]
        death[c] = max(death[c], lambdas[t])
        if child[t] >= n:
            inner[c] = True

    # a cluster's number is above its parent's. hdbscan adds the children's stabilities in float32, in tree order
    selected = np.zeros(count, np.bool_)
    if leaves:
        for c in range(1, count):
            selected[c] = not inner[c]
    else:
        heads = np.full(count, -1, np.int64)
        tails = np.full(count, -1, np.int64)
        links = np.full(count, -1, np.int64)
        for t in range(m):
            if child[t] >= n:
                c = child[t] - n
                p = parent[t] - n
                if heads[p] < 0:
                    heads[p] = c
                else:
                    links[tails[p]] = c
                tails[p] = c
        for c in range(count - 1, 0, -1):
            d = heads[c]
            while d >= 0:
                below[c] = np.float32(np.float64(below[c]) + stability[d])
                d = links[d]
            if np.float64(below[c]) > stability[c]:
                stability[c] = np.float64(below[c])
            else:
                selected[c] = True

    owner = np.full(count, -1, np.int64)
    number = np.full(count, -1, np.int64)
    chosen = 0
    for c in range(1, count):
        owner[c] = owner[above[c]]
        if owner[c] < 0 and selected[c]:
            owner[c] = c
            number[c] = chosen
            chosen += 1

    labels = np.full(n, -1, np.int32)
    probabilities = np.zeros(n)
    members = np.zeros(chosen, np.int64)
    highest = 0.0
    for t in range(m):
        if np.isfinite(lambdas[t]):
            highest = max(highest, lambdas[t])
        if child[t] >= n:
            continue
        c = owner[parent[t] - n]
        if c >= 0:
            labels[child[t]] = number[c]
            members[number[c]] += 1
            if death[c] == 0.0 or not np.isfinite(lambdas[t]):
                probabilities[child[t]] = 1.0
            else:
                probabilities[child[t]] = min(lambdas[t], death[c]) / death[c]
    persistence = np.ones(chosen)
    for c in range(1, count):
        if number[c] >= 0 and highest > 0.0 and np.isfinite(stability[c]):
            persistence[number[c]] = min(1.0, stability[c] / (members[number[c]] * highest))
    return labels, probabilities, persistence


def flat(
    tree: CondensedTree, n: int, selection: Literal["eom", "leaf"]
) -> tuple[Ints, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Labels [n], probabilities [n] and persistence [c] of the selected clusters; the root is never one.

    `eom`, excess of mass: the clusters of the largest total stability, none inside another, where stability is
    the sum over a cluster's points of (lambda at which the point leaves - lambda at which the cluster began).
    `leaf`: the clusters that never split. Probability: the point's lambda over its cluster's largest.
    Persistence: stability over size times the tree's largest finite lambda; 1 where it is infinite.
    """
    labels, probabilities, persistence = _flat(
        tree.parent, tree.child, tree.lambdas, tree.sizes, n, selection == "leaf"
    )
    return labels, probabilities, persistence
