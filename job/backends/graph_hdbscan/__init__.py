"""HDBSCAN from a k-nearest-neighbor graph only: O(n k) memory, no n x n matrix, any number of connected components.

    core distances -> minimum spanning forest -> components joined -> single linkage -> condensed tree -> labels
    core_distances.py  spanning_forest.py                             linkage.py        condense.py       select.py

`cluster_graph` runs all steps. `linkage_of` and `cut` are its two halves, so that one tree can be cut at several
granularities. `GraphHDBSCAN` (estimator.py) is the same algorithm with scikit-learn's conventions.

The contract
- Input: `indices` int32 [n, k], `distances` float32 [n, k] >= 0. Row i holds the neighbors of point i, ascending by
  distance, without i itself and without duplicates. -1 (with distance inf) means "no neighbor" and stands only at the
  end of a row.
- Missing edges are infinitely long. Connected components of the graph are joined at distance inf (lambda 0): they
  separate at the root, and no graph is refused. `components="joined"` counts stability from there, so excess of mass
  selects a large component as one cluster as soon as there is a second component; `components="apart"` counts each
  component from its own largest distance instead.
- Asymmetry: two points share an edge if either found the other; if the two distances differ, the smaller one counts.
  Core distances use these edges. `min_samples` does not count the point itself; a point with fewer edges has core
  distance inf and is a component of its own.
- Ties: merges of equal height happen at once, so a node of the tree has one branch per set that merges there. A
  cluster as stable as those in it, up to rounding, is selected.
  Labels do not depend on row order, on which of several minimum spanning trees is taken, on a sorting algorithm, on
  threads, on CPU or GPU.
- Duplicate points (distance 0) have lambda inf: a cluster of them is infinitely stable. Collapse them beforehand.
- Fewer points than `min_cluster_size`, or only one point: all noise. The root is no cluster unless
  `allow_single_cluster` is set.
- All this holds for the mode `canonical`. The mode `tutorial` gives what `hdbscan` 0.8.43 computes from the dense
  matrix of squared distances in which row i holds only i's own neighbors (0 on the diagonal, inf elsewhere): core
  distances from columns, Prim's algorithm over rows, its order of ties. Its result depends on row order. It is kept
  for parity with the Milvus tutorial. That is true of labels and probabilities, unless `epsilon` equals a height of
  the tree: a cluster born at exactly `epsilon` stands here for those in it, where `hdbscan` climbs on. The rest
  differs at the edges: with duplicates `hdbscan` gives all clusters persistence 1, where ours divides by the largest
  finite lambda; the persistence of a selected root is at most 1 here; outlier scores that are NaN there are 1 here;
  and a root without points is not reported.

Definitions: Campello, Moulavi, Sander (2013), "Density-based clustering based on hierarchical density estimates";
McInnes, Healy (2017), "Accelerated hierarchical density based clustering".
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from job.backends.graph_hdbscan import condense, core_distances, linkage, prim, scores, select, spanning_forest
from job.backends.graph_hdbscan.linkage import Merges
from job.backends.graph_hdbscan.row_ranges import usable_cores
from job.backends.graph_hdbscan.select import Components, Selection
from job.data import CondensedTree, Floats, Ints

if TYPE_CHECKING:
    from job.backends.graph_hdbscan.estimator import GraphHDBSCAN

__all__ = ["GraphHDBSCAN", "Linkage", "Result", "by_size", "cluster_graph", "cut", "linkage_of"]

Mode = Literal["canonical", "tutorial"]


@dataclass(frozen=True)
class Linkage:
    """The single linkage tree: `merges` float64 [n-1, 4] as SciPy writes them (left, right, height, size).

    Heights ascend. They are distances in `canonical` mode, squared distances in `tutorial` mode.
    """

    n: int
    merges: Merges
    mode: Mode


@dataclass(frozen=True)
class Result:
    """The clusters of n points.

    `labels` int32 [n] (-1 is noise; numbered by size, then by first row), `probabilities` float32 [n], `persistence`
    float32 [c], the condensed tree, and `clusters` int64 [c]: the number of each label's cluster in the tree.
    """

    labels: Ints
    probabilities: Floats
    persistence: Floats
    tree: CondensedTree
    clusters: npt.NDArray[np.int64]

    def outlier_scores(self) -> Floats:
        """GLOSH outlier scores, float32 [n]; see `scores.glosh`."""
        return scores.glosh(self.tree, len(self.labels))

    def exemplars(self) -> list[npt.NDArray[np.int64]]:
        """The row numbers of each cluster's most persistent points; see `scores.exemplars`."""
        return scores.exemplars(self.tree, self.labels, self.clusters)


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
    components: Components = "joined",
    threads: int | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
) -> Result:
    """Cluster a neighbor graph; see the module's contract, and `linkage_of` and `cut` for the parameters.

    Raises:
        ValueError: the two arrays do not match, or a parameter is out of range.
    """
    return cut(
        linkage_of(indices, distances, mode=mode, min_samples=min_samples, threads=threads, device=device),
        min_cluster_size=min_cluster_size,
        selection=selection,
        epsilon=epsilon,
        max_cluster_size=max_cluster_size,
        allow_single_cluster=allow_single_cluster,
        components=components,
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
    """The single linkage tree of the graph's mutual reachability: O(n k) time, O(n) memory in addition to the input.

    `threads` None: all usable cores. `device` cuda: the steps before the linkage run on the GPU (CuPy) and give the
    same tree up to ties. `tutorial` mode is sequential and always runs on the CPU.

    Raises:
        ValueError: the two arrays do not match, or `min_samples` is below 1.
    """
    _check(indices, distances, min_samples)
    n = len(indices)
    if n < 2:
        return Linkage(n, np.zeros((0, 4)), mode)
    m = min(min_samples, n - 1)
    if mode == "tutorial":
        walk = prim.walk_rows(indices, distances, core_distances.from_columns(indices, distances, m))
        # squares of float32 are exact in float64, so squaring the tree's weights equals squaring all distances first
        walk[:, 2] **= 2
        # the same call on the same memory layout as in hdbscan: its order of ties is the order of this sort
        walk = walk[np.argsort(walk.T[2]), :]
        return Linkage(n, linkage.single_linkage(*walk.T), mode)
    if device == "cuda":
        from job.backends.graph_hdbscan import boruvka

        edges = boruvka.spanning_edges_on_gpu(indices, distances, m)
    else:
        threads = usable_cores() if threads is None else threads
        cores = core_distances.from_both_sides(indices, distances, m, threads)
        edges = spanning_forest.spanning_edges(indices, distances, cores, threads)
    return Linkage(n, linkage.single_linkage(edges.left, edges.right, edges.weights), mode)


def cut(
    tree: Linkage,
    *,
    min_cluster_size: int = 5,
    selection: Selection = "eom",
    epsilon: float = 0.0,
    max_cluster_size: int = 0,
    allow_single_cluster: bool = False,
    components: Components = "joined",
) -> Result:
    """The clusters of a single linkage tree; see `select.flat`. `epsilon` is a distance in both modes.

    `components` has no effect in `tutorial` mode.

    Raises:
        ValueError: a parameter is out of range.
    """
    if min_cluster_size < 2 or epsilon < 0 or max_cluster_size < 0:
        raise ValueError(
            f"min_cluster_size={min_cluster_size} must be at least 2, epsilon={epsilon} and "
            f"max_cluster_size={max_cluster_size} at least 0"
        )
    if tree.n < 2:
        zeros = np.zeros(tree.n, np.float32)
        return Result(np.full(tree.n, -1, np.int32), zeros, zeros[:0], CondensedTree.empty(), np.zeros(0, np.int64))
    if tree.mode == "tutorial":
        condensed = condense.binary(tree.merges, min_cluster_size)
        epsilon, components = epsilon**2, "joined"
    else:
        condensed = condense.multiway(tree.merges, min_cluster_size)
    labels, probabilities, persistence, clusters = select.flat(
        condensed,
        tree.n,
        selection,
        epsilon,
        max_cluster_size,
        allow_single_cluster,
        components,
        in_float32=tree.mode == "tutorial",
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
    """Renumber labels 0 ... count-1 by size, largest first, then by the first row of each; -1 stays noise.

    Returns the new labels int32 [n], and the old label of each new one, int64 [count].
    """
    rows = np.flatnonzero(labels >= 0)
    old, at, counts = np.unique(labels[rows], return_index=True, return_counts=True)
    first, sizes = np.full(count, len(labels)), np.zeros(count, np.int64)
    first[old], sizes[old] = rows[at], counts
    order = np.lexsort((first, -sizes)).astype(np.int64)
    new = np.full(count + 1, -1, np.int32)
    new[order] = np.arange(count)
    return new[labels], order


def _check(indices: Ints, distances: Floats, min_samples: int) -> None:
    if indices.ndim != 2 or indices.shape != distances.shape:
        raise ValueError(f"indices {indices.shape} and distances {distances.shape} must have the same shape [n, k]")
    if indices.dtype != np.int32 or distances.dtype != np.float32:
        raise ValueError(f"expected int32 indices and float32 distances, got {indices.dtype} and {distances.dtype}")
    if min_samples < 1:
        raise ValueError(f"min_samples={min_samples} must be at least 1")


def __getattr__(name: str) -> Any:
    # importing scikit-learn takes a second: only users of the estimator wait for it
    if name == "GraphHDBSCAN":
        from job.backends.graph_hdbscan.estimator import GraphHDBSCAN

        return GraphHDBSCAN
    raise AttributeError(name)
