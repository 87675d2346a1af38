"""The condensed tree: only those merges that join two or more branches of at least `min_cluster_size` points.

A node that splits into two or more branches of that size ends its cluster and begins new ones. The points of smaller
branches fall out of the cluster at the lambda (1 / height) of the split. If only one branch is that large, it continues
the cluster.
"""

import numba as nb
import numpy as np

from job.backends.graph_hdbscan.linkage import Merges
from job.data import CondensedTree


@nb.njit(cache=True)
def _lambda(height):  # type: ignore[no-untyped-def]
    return 1.0 / height if height > 0.0 else np.inf


@nb.njit(cache=True)
def _size(merges, n, node):  # type: ignore[no-untyped-def]
    return np.int64(merges[node - n, 3]) if node >= n else np.int64(1)


@nb.njit(cache=True)
def _fall_out(merges, n, node, cluster, level, queue, out, at):  # type: ignore[no-untyped-def]
    """Write the points of `node`, breadth first, as leaving `cluster` at lambda `level`; returns the next free row."""
    parent, child, lambdas, sizes = out
    queue[0] = node
    head, tail = 0, 1
    while head < tail:
        x = queue[head]
        head += 1
        if x < n:
            parent[at] = cluster
            child[at] = x
            lambdas[at] = level
            sizes[at] = 1
            at += 1
        else:
            queue[tail] = np.int64(merges[x - n, 0])
            queue[tail + 1] = np.int64(merges[x - n, 1])
            tail += 2
    return at


@nb.njit(cache=True)
def _empty_tree(n):  # type: ignore[no-untyped-def]
    return np.empty(2 * n, np.int64), np.empty(2 * n, np.int64), np.empty(2 * n), np.empty(2 * n, np.int64)


@nb.njit(cache=True)
def _binary(merges, min_size):  # type: ignore[no-untyped-def]
    n = len(merges) + 1
    root = 2 * n - 2
    label = np.zeros(root + 1, np.int64)
    label[root] = n
    out = _empty_tree(n)
    parent, child, lambdas, sizes = out
    queue = np.empty(root + 1, np.int32)
    nodes = np.empty(n, np.int32)
    nodes[0] = root
    head, tail, at, new = 0, 1, 0, n + 1
    while head < tail:
        x = nodes[head]
        head += 1
        left = np.int64(merges[x - n, 0])
        right = np.int64(merges[x - n, 1])
        level = _lambda(merges[x - n, 2])
        large = _size(merges, n, left) >= min_size, _size(merges, n, right) >= min_size
        if large[0] and large[1]:
            for side in (left, right):
                label[side] = new
                parent[at] = label[x]
                child[at] = new
                lambdas[at] = level
                sizes[at] = _size(merges, n, side)
                new += 1
                at += 1
        for side, is_large in ((left, large[0]), (right, large[1])):
            if not is_large:
                at = _fall_out(merges, n, side, label[x], level, queue, out, at)
            else:
                if not (large[0] and large[1]):
                    label[side] = label[x]
                if side >= n:
                    nodes[tail] = side
                    tail += 1
    return parent[:at].copy(), child[:at].copy(), lambdas[:at].copy(), sizes[:at].copy()


@nb.njit(cache=True)
def _sort_by_smallest_point(branches, count, smallest):  # type: ignore[no-untyped-def]
    """Sort the branches by their smallest point; by insertion where they are few: nearly always there are two."""
    if count > 16:
        unsorted = branches[:count].copy()
        branches[:count] = unsorted[np.argsort(smallest[unsorted])]
        return
    for a in range(1, count):
        x = branches[a]
        b = a
        while b > 0 and smallest[branches[b - 1]] > smallest[x]:
            branches[b] = branches[b - 1]
            b -= 1
        branches[b] = x


@nb.njit(cache=True)
def _multiway(merges, min_size):  # type: ignore[no-untyped-def]
    n = len(merges) + 1
    root = 2 * n - 2
    smallest = np.empty(root + 1, np.int32)
    for i in range(n):
        smallest[i] = i
    for e in range(n - 1):
        smallest[n + e] = min(smallest[np.int64(merges[e, 0])], smallest[np.int64(merges[e, 1])])
    label = np.zeros(root + 1, np.int32)
    label[root] = n
    out = _empty_tree(n)
    parent, child, lambdas, sizes = out
    queue = np.empty(root + 1, np.int32)
    nodes = np.empty(n, np.int32)
    stack = np.empty(n + 1, np.int32)
    branches = np.empty(n, np.int32)
    nodes[0] = root
    head, tail, at, new = 0, 1, 0, n + 1
    while head < tail:
        x = nodes[head]
        head += 1
        height = merges[x - n, 2]
        level = _lambda(height)
        count, large = 0, 0
        stack[0] = x
        depth = 1
        while depth > 0:
            depth -= 1
            y = stack[depth]
            if y >= n and merges[y - n, 2] == height:
                stack[depth] = np.int64(merges[y - n, 0])
                stack[depth + 1] = np.int64(merges[y - n, 1])
                depth += 2
            else:
                branches[count] = y
                count += 1
                large += _size(merges, n, y) >= min_size
        _sort_by_smallest_point(branches, count, smallest)
        for p in range(count):
            y = branches[p]
            if _size(merges, n, y) < min_size:
                at = _fall_out(merges, n, y, label[x], level, queue, out, at)
                continue
            if large == 1:
                label[y] = label[x]
            else:
                label[y] = new
                parent[at] = label[x]
                child[at] = new
                lambdas[at] = level
                sizes[at] = _size(merges, n, y)
                new += 1
                at += 1
            if y >= n:
                nodes[tail] = y
                tail += 1
    return parent[:at].copy(), child[:at].copy(), lambdas[:at].copy(), sizes[:at].copy()


def binary(merges: Merges, min_cluster_size: int) -> CondensedTree:
    """The condensed tree as `hdbscan` computes it: merges of equal height happen one by one, in the given order."""
    return CondensedTree(*_binary(merges, min_cluster_size))


def multiway(merges: Merges, min_cluster_size: int) -> CondensedTree:
    """The condensed tree in which merges of equal height happen at once: independent of the order of ties.

    Children are ordered by their smallest point.
    """
    return CondensedTree(*_multiway(merges, min_cluster_size))
