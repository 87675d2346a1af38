"""HDBSCAN from a k-nearest-neighbor graph alone: O(n k) memory, no n x n matrix, any number of components.

    core distances -> minimum spanning forest -> parts joined -> single linkage -> condensed tree -> labels
    core.py           forest.py                                  linkage.py        condense.py       select.py

`cluster_graph` does it all; `linkage_of` and `cut` are its two halves: one tree, many granularities.
`GraphHDBSCAN` (estimator.py) is the same with scikit-learn's conventions.

The contract
- `indices` int32 [n, k], `distances` float32 [n, k] >= 0: row i's neighbors, itself not among them, none twice,
  ascending by distance. -1 (at distance inf) is none, and only at a row's end.
- Missing means infinitely far. Parts of the graph that no edge joins are joined at distance inf (lambda 0): they
  fall apart at the root, and nothing is refused. Counted from there, excess of mass takes a large part whole as soon
  as there is a second one; `parts="apart"` counts each from its own largest distance instead.
- Asymmetry: a neighbor found from either side is an edge of both, at the smaller distance where the two differ;
  core distances are read from these edges. `min_samples` does not count the point itself; a point with fewer edges
  has core distance inf, and is a part of its own.
- Ties: merges of equal height happen at once, so the tree has as many branches as there are parts. Labels do not
  depend on row order, on the choice among equal spanning trees, on a sort, on threads, on CPU or GPU.
- Duplicates (distance 0) have lambda inf: a cluster of them is infinitely stable. Collapse them beforehand.
- Fewer points than `min_cluster_size`: all noise. One point: noise. The root is no cluster unless
  `allow_single_cluster`.
- That is `canonical`. `tutorial` is what `hdbscan` 0.8.43 makes of the dense matrix of squared distances in which
  row i holds only i's own neighbors (0 on the diagonal, inf elsewhere): core distances from columns, Prim's walk
  over rows, its order of ties. Row order does change its answer. Kept for parity with the Milvus tutorial.

Definitions: Campello, Moulavi, Sander (2013), "Density-based clustering based on hierarchical density estimates";
McInnes, Healy (2017), "Accelerated hierarchical density based clustering".
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from job.backends.graph_hdbscan import condense, linkage, prim, scores, select
from job.backends.graph_hdbscan import core_distances as core
from job.backends.graph_hdbscan import spanning_forest as forest
from job.backends.graph_hdbscan.linkage import Merges
from job.backends.graph_hdbscan.row_ranges import usable_cores
from job.data import CondensedTree, Floats, Ints

if TYPE_CHECKING:
    from job.backends.graph_hdbscan.estimator import GraphHDBSCAN

__all__ = ["GraphHDBSCAN", "Linkage", "Result", "by_size", "cluster_graph", "cut", "linkage_of"]

Mode = Literal["canonical", "tutorial"]
Selection = Literal["eom", "leaf"]
Parts = Literal["joined", "apart"]


@dataclass(frozen=True)
class Linkage:
    """The single linkage tree: `merges` float64 [n-1, 4] as SciPy writes them (left, right, height, size).

    Heights ascend; they are distances in `canonical` mode, squared distances in `tutorial` mode.
    """

    n: int
    merges: Merges
    mode: Mode


@dataclass(frozen=True)
class Result:
    """`labels` int32 [n] (-1 noise; by size, then by first row), `probabilities` float32 [n], `persistence` float32
    [c], the condensed tree, and `clusters` int64 [c]: the labels' numbers in it."""

    labels: Ints
    probabilities: Floats
    persistence: Floats
    tree: CondensedTree
    clusters: npt.NDArray[np.int64]

    def outlier_scores(self) -> Floats:
        """GLOSH, float32 [n]: see `scores.glosh`."""
        return scores.glosh(self.tree, len(self.labels))

    def exemplars(self) -> list[npt.NDArray[np.int64]]:
        """The row numbers of each cluster's most persistent points: see `scores.exemplars`."""
        return scores.exemplars(self.tree, len(self.labels), self.clusters)


def cluster_graph(
    indices: Ints,
    distances: Floats,
    *,
    mode: Mode = "canonical",
    min_samples: int = 3,
    min_cluster_size: int = 5,
    selection: Selection = "eom",
    epsilon: float = 0.0,
    max_cluster_size: int = 0,
    allow_single_cluster: bool = False,
    parts: Parts = "joined",
    threads: int | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
) -> Result:
    """Cluster a neighbor graph; see the module's contract, and `linkage_of` and `cut` for the parameters.

    Raises:
        ValueError: the arrays do not fit each other, or a parameter is out of range.
    """
    return cut(
        linkage_of(indices, distances, mode=mode, min_samples=min_samples, threads=threads, device=device),
        min_cluster_size=min_cluster_size,
        selection=selection,
        epsilon=epsilon,
        max_cluster_size=max_cluster_size,
        allow_single_cluster=allow_single_cluster,
        parts=parts,
    )


def linkage_of(
    indices: Ints,
    distances: Floats,
    *,
    mode: Mode = "canonical",
    min_samples: int = 3,
    threads: int | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
) -> Linkage:
    """The single linkage tree of the graph's mutual reachability, O(n k) time and O(n) memory beside the input.

    `threads`: all usable cores where None. `device` cuda: the steps before the linkage run on the GPU (CuPy), to
    the same tree up to ties; `tutorial` mode is a walk, and stays on the CPU.

    Raises:
        ValueError: the arrays do not fit each other, or `min_samples` is below 1.
    """
    _check(indices, distances, min_samples)
    n = len(indices)
    if n < 2:
        return Linkage(n, np.zeros((0, 4)), mode)
    m = min(min_samples, n - 1)
    if mode == "tutorial":
        walk = prim.walk_rows(indices, distances, core.from_columns(indices, distances, m))
        # float32 squares are exact in float64, so squaring the tree's weights is squaring all of them
        walk[:, 2] **= 2
        # hdbscan's own call on its own layout: its order of ties is this sort's
        walk = walk[np.argsort(walk.T[2]), :]
        return Linkage(n, linkage.single_linkage(*walk.T), mode)
    if device == "cuda":
        from job.backends.graph_hdbscan import boruvka

        edges = boruvka.spanning_edges_on_gpu(indices, distances, m)
    else:
        threads = usable_cores() if threads is None else threads
        cores = core.from_both_sides(indices, distances, m, threads)
        edges = forest.spanning_edges(indices, distances, cores, threads)
    return Linkage(n, linkage.single_linkage(edges.left, edges.right, edges.weights), mode)


def cut(
    tree: Linkage,
    *,
    min_cluster_size: int = 5,
    selection: Selection = "eom",
    epsilon: float = 0.0,
    max_cluster_size: int = 0,
    allow_single_cluster: bool = False,
    parts: Parts = "joined",
) -> Result:
    """The clusters of a single linkage tree; see `select.flat`. `epsilon` is a distance in either mode.

    Raises:
        ValueError: a parameter is out of range.
    """
    if min_cluster_size < 2 or epsilon < 0 or max_cluster_size < 0:
        raise ValueError(
            f"min_cluster_size={min_cluster_size} must be at least 2, epsilon={epsilon} and "
            f"max_cluster_size={max_cluster_size} at least 0"
        )
    if tree.n < 2:
        none = np.zeros(tree.n, np.float32)
        empty = CondensedTree.empty()
        return Result(np.full(tree.n, -1, np.int32), none, none[:0], empty, np.zeros(0, np.int64))
    tutorial = tree.mode == "tutorial"
    condensed = (condense.binary if tutorial else condense.multiway)(tree.merges, min_cluster_size)
    labels, probabilities, persistence, clusters = select.flat(
        condensed,
        tree.n,
        selection,
        epsilon**2 if tutorial else epsilon,
        max_cluster_size,
        allow_single_cluster,
        "joined" if tutorial else parts,
    )
    labels, order = by_size(labels, len(clusters))
    return Result(
        labels,
        probabilities.astype(np.float32),
        persistence[order].astype(np.float32),
        condensed,
        clusters[order],
    )


def by_size(labels: npt.NDArray[np.integer], count: int) -> tuple[Ints, npt.NDArray[np.int64]]:
    """Labels 0 ... count-1 (-1 stays noise) renumbered by size, largest first, then by the first row of each.

    Returns the new labels int32 [n], and the old label of each new one, int64 [count].
    """
    rows = np.flatnonzero(labels >= 0)
    old, at, numbers = np.unique(labels[rows], return_index=True, return_counts=True)
    first, sizes = np.full(count, len(labels)), np.zeros(count, np.int64)
    first[old], sizes[old] = rows[at], numbers
    order = np.lexsort((first, -sizes)).astype(np.int64)
    new = np.full(count + 1, -1, np.int32)
    new[order] = np.arange(count)
    return new[labels], order


def _check(indices: Ints, distances: Floats, min_samples: int) -> None:
    if indices.ndim != 2 or indices.shape != distances.shape:
        raise ValueError(f"indices {indices.shape} and distances {distances.shape} must be of one shape [n, k]")
    if indices.dtype != np.int32 or distances.dtype != np.float32:
        raise ValueError(f"expected int32 indices and float32 distances, got {indices.dtype} and {distances.dtype}")
    if min_samples < 1:
        raise ValueError(f"min_samples={min_samples} must be at least 1")


def __getattr__(name: str) -> Any:
    # scikit-learn takes a second to import: only who asks for the estimator pays it
    if name == "GraphHDBSCAN":
        from job.backends.graph_hdbscan.estimator import GraphHDBSCAN

        return GraphHDBSCAN
    raise AttributeError(name)
