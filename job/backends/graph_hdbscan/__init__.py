"""HDBSCAN from a k-nearest-neighbor graph alone: O(n k) memory, no n x n matrix, any number of components.

The contract
- `indices` int32 [n, k], `distances` float32 [n, k]: row i's neighbors, itself not among them. -1 is
  none, and only at a row's end.
- Missing means infinitely far. Parts of the graph that no edge joins are joined at distance inf (lambda 0): they
  fall apart at the root, and nothing is refused.
- `canonical`: a neighbor found from either side is an edge of both, at the smaller distance; the core distance is
  read from these edges. Merges of equal height happen at once, so the tree has as many branches as there are
  parts, and labels do not depend on row order, on the choice among equal spanning trees, or on a sort.
- `tutorial`: what `hdbscan` 0.8.43 makes of the dense matrix of squared distances in which row i holds only i's
  own neighbors (0 on the diagonal, inf elsewhere): core distances from columns, Prim's walk over rows, its order
  of ties. Row order does change its answer. Kept for parity with the Milvus tutorial.
- Duplicates (distance 0) have lambda inf. Fewer points than `min_cluster_size`: all noise.

Definitions: Campello, Moulavi, Sander (2013), "Density-based clustering based on hierarchical density estimates";
McInnes, Healy (2017), "Accelerated hierarchical density based clustering".
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from job.backends.graph_hdbscan import condense, core, linkage, select, spanning
from job.data import CondensedTree, Floats, Ints


@dataclass(frozen=True)
class Result:
    """`labels` int32 [n] (-1 noise; by size, then by first row), `probabilities` float32 [n], `persistence` float32 [c]
    and the condensed tree."""

    labels: Ints
    probabilities: Floats
    persistence: Floats
    tree: CondensedTree


def cluster_graph(
    indices: Ints,
    distances: Floats,
    *,
    mode: Literal["canonical", "tutorial"] = "canonical",
    min_samples: int = 3,
    min_cluster_size: int = 5,
    selection: Literal["eom", "leaf"] = "eom",
) -> Result:
    """Cluster a neighbor graph; see the module's contract.

    Raises:
        ValueError: the arrays do not fit each other, or a parameter is out of range.
    """
    _check(indices, distances, min_samples, min_cluster_size)
    n = len(indices)
    if n < 2:
        return Result(np.full(n, -1, np.int32), np.zeros(n, np.float32), np.zeros(0, np.float32), CondensedTree.empty())
    m = min(min_samples, n - 1)
    if mode == "tutorial":
        cores = core.from_columns(indices, distances, m)
        edges = spanning.walk_rows(indices, distances, cores)
        # float32 squares are exact in float64, so squaring the tree's weights is squaring all of them
        edges[:, 2] **= 2
        # hdbscan's own call on its own layout: its order of ties is this sort's
        edges = edges[np.argsort(edges.T[2]), :]
        merges = linkage.single_linkage(edges)
        tree = condense.binary(merges, min_cluster_size)
    else:
        cores = core.from_both_sides(indices, distances, m)
        edges = spanning.walk_both_sides(indices, distances, cores)
        edges = edges[np.argsort(edges[:, 2], kind="stable")]
        merges = linkage.single_linkage(edges)
        tree = condense.multiway(merges, min_cluster_size)
    labels, probabilities, persistence = select.flat(tree, n, selection)
    labels, order = by_size(labels)
    return Result(labels, probabilities.astype(np.float32), persistence[order].astype(np.float32), tree)


def by_size(labels: npt.NDArray[np.integer]) -> tuple[Ints, npt.NDArray[np.int64]]:
    """Labels 0 ... c-1 (-1 stays noise) renumbered by size, largest first, then by the first row of each.

    Returns the new labels int32 [n], and the old label of each new one, int64 [c].
    """
    rows = np.flatnonzero(labels >= 0)
    old, first, sizes = np.unique(labels[rows], return_index=True, return_counts=True)
    order = np.lexsort((rows[first], -sizes))
    new = np.full(int(old.max()) + 2 if len(old) else 1, -1, np.int32)
    new[old[order]] = np.arange(len(order))
    return new[labels], old[order].astype(np.int64)


def _check(indices: Ints, distances: Floats, min_samples: int, min_cluster_size: int) -> None:
    if indices.ndim != 2 or indices.shape != distances.shape:
        raise ValueError(f"indices {indices.shape} and distances {distances.shape} must be of one shape [n, k]")
    if indices.dtype != np.int32 or distances.dtype != np.float32:
        raise ValueError(f"expected int32 indices and float32 distances, got {indices.dtype} and {distances.dtype}")
    if min_samples < 1 or min_cluster_size < 2:
        raise ValueError(
            f"min_samples={min_samples} must be at least 1, min_cluster_size={min_cluster_size} at least 2"
        )
