"""The tree of merges that average linkage leaves behind, and the clusters at any level of it."""

from dataclasses import dataclass
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt

from job.backends.graph_hdbscan import by_size
from job.data import Ints
from job.runtime.files import atomic

Merges = npt.NDArray[np.float64]
Nodes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MergeTree:
    """Which clusters merge, and at which similarity.

    `n` rows; `leaves` int32 [n]: the initial cluster of each row, 0 ... c-1. `merges` float64 [m, 4] as SciPy writes
    them: left node < right node, height, size in rows; merge e creates node c + e. A height is a similarity: heights
    descend. There are c - m connected components.
    """

    n: int
    leaves: Ints
    merges: Merges

    def __post_init__(self) -> None:
        if len(self.leaves) != self.n or self.merges.shape[1:] != (4,):
            raise ValueError(f"{self.n} rows with leaves {self.leaves.shape} and merges {self.merges.shape}")

    @property
    def leaf_count(self) -> int:
        """The number of initial clusters, c."""
        return int(self.leaves.max()) + 1 if self.n else 0

    def save(self, path: Path) -> None:
        with atomic(path) as temporary:
            np.savez(temporary, leaves=self.leaves, merges=self.merges)

    @classmethod
    def load(cls, path: Path) -> "MergeTree":
        with np.load(path) as file:
            return cls(len(file["leaves"]), file["leaves"], file["merges"])


def cut(tree: MergeTree, above: float) -> Ints:
    """The clusters of rows that merged at a similarity of at least `above`: labels int32 [n].

    Numbered by size, largest first, then by the first row of each. A merge only counts if all merges below it do.
    """
    return _after(tree, int(np.searchsorted(-tree.merges[:, 2], -above, side="right")))


def cut_count(tree: MergeTree, count: int) -> Ints:
    """The level of the tree with `count` clusters, or with the nearest number that it has: labels int32 [n] as `cut`.

    The tree has from as many clusters as there are connected components to as many as there were initially.
    """
    return _after(tree, min(max(tree.leaf_count - count, 0), len(tree.merges)))


def _after(tree: MergeTree, merges: int) -> Ints:
    """The labels after the first `merges` merges."""
    topmost = roots(tree.merges[:merges, :2].astype(np.int64), tree.leaf_count)
    found, numbers = np.unique(topmost, return_inverse=True)
    labels, _ = by_size(numbers.astype(np.int32)[tree.leaves], len(found))
    return labels


@nb.njit(cache=True)
def roots(children, leaf_count):  # type: ignore[no-untyped-def]
    """The topmost node that contains each leaf, int64 [c]."""
    m = len(children)
    result = np.arange(leaf_count + m)
    for e in range(m - 1, -1, -1):
        result[children[e, 0]] = result[leaf_count + e]
        result[children[e, 1]] = result[leaf_count + e]
    return result[:leaf_count]


def descending(left: Nodes, right: Nodes, heights: npt.NDArray[np.float64], sizes: npt.NDArray[np.int64]) -> Merges:
    """Merges as `MergeTree` keeps them, from merges in the order in which they happened.

    Merge e of `left[e]` and `right[e]` has created node c + e, where c = `len(sizes)` clusters were there before. A
    merge above one of lower similarity gets the lower one: both happen at the same level. The order is stable.
    """
    m, c = len(heights), len(sizes)
    heights, node_sizes = _levels(left, right, heights, sizes)
    order = np.argsort(-heights, kind="stable")
    number = np.arange(c + m)
    number[c + order] = c + np.arange(m)
    ends = np.sort(np.column_stack([number[left[order]], number[right[order]]]), axis=1)
    return np.column_stack([ends, heights[order], node_sizes[order]]).astype(np.float64)


@nb.njit(cache=True)
def _levels(left, right, heights, sizes):  # type: ignore[no-untyped-def]
    """The lowest height in each merge's subtree, and its size."""
    c = len(sizes)
    levels, totals = heights.copy(), np.empty(len(heights), np.int64)
    for e in range(len(heights)):
        total = 0
        for child in (left[e], right[e]):
            if child < c:
                total += sizes[child]
            else:
                total += totals[child - c]
                levels[e] = min(levels[e], levels[child - c])
        totals[e] = total
    return levels, totals
