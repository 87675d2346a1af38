"""Average linkage of clusters of headlines: candidates come from the neighbor graph, the whole tree is kept.

    candidate pairs, means, similarities -> pairs in order of a bound -> compute or merge -> tree -> clusters at a level
    candidates.py                           pair_queue.py                greedy.py           merge_tree.py

The contract
- Input: `vectors` float32 [n, d], whose dot products are similarities; `labels` int32 [n], the initial cluster of each
  row, 0 ... c-1, each of at least one row; `indices` int32 [n, k], the neighbors of each row in any order, -1 = none.
- The similarity of two clusters is the mean dot product over all pairs of a member of one and a member of the other.
  It equals the dot product of the two mean vectors.
- Candidates: two clusters are candidates if an edge of the graph joins a member of one with a member of the other, in
  either direction. The candidates of a union are those of both clusters. Only candidates merge.
- Order: the most similar pair of candidates merges next, until each connected component is one cluster. This greedy
  order is followed exactly. If all pairs are candidates, the tree is that of `scipy.cluster.hierarchy.average`. With
  fewer candidates, a union can be more similar to a third cluster than the two that merged were to each other; such a
  merge gets the height of the lowest merge below it, so that heights descend.
- Ties: similarities are rounded to 26 bits below the largest possible one. Of equal ones, the pair with the smallest
  rank in it merges first, then the one with the smallest rank in its other cluster. `ranks` (default: row numbers)
  make the tree independent of the order of rows: sums are in order of rank, or in an order that the tree determines.
- The result does not depend on threads.

Cost: one dot product per candidate pair, on all cores; then, on one core, two to three times as many in real headlines
(for pairs whose bound reaches the top before it is exact), and O(log n) steps for each pair of a cluster that merges
into a larger one. A cluster that grows does not visit its candidates, so many of them do not make the cost quadratic.
The bounds are weakest where a small cluster is about equally similar to very many others: some d dot products per
candidate if all rows are random neighbors of one. Memory in addition to the input: some 60 bytes per candidate pair
(3 to 7 pairs per headline at k = 15, 10 to 25 at k = 50), 150 bytes per cluster, and the means float32 [c, d], for
which `overwrite_vectors` uses the memory of the vectors.

Sources. The similarity of a union: Lance, Williams (1967), "A general theory of classificatory sorting strategies".
Bounds that are only made exact at the top of a queue: Müllner (2011), "Modern hierarchical, agglomerative clustering
algorithms". Average linkage on sparse graphs, approximately and in parallel: Dhulipala et al. (2021), "Hierarchical
agglomerative graph clustering in nearly-linear time".
"""

import numpy as np
import numpy.typing as npt

from job.backends.arrays import Device, array_module
from job.backends.graph_hdbscan.row_ranges import usable_cores
from job.backends.stories import arrays, candidates, greedy, pair_queue
from job.backends.stories.merge_tree import MergeTree, cut, cut_count, descending
from job.data import Floats, Ints

__all__ = ["MergeTree", "average_linkage", "cut", "cut_count"]

_BITS = 26
Ranks = npt.NDArray[np.integer]


def average_linkage(
    vectors: Floats,
    labels: Ints,
    indices: Ints,
    *,
    ranks: Ranks | None = None,
    threads: int | None = None,
    overwrite_vectors: bool = False,
    device: Device = "cpu",
) -> MergeTree:
    """Merge clusters by average linkage over the candidates of the graph; see the module's contract.

    `ranks` [n]: different integers, to break ties. `threads` None: all usable cores. `overwrite_vectors`: the contents
    of `vectors` are lost, and their memory is used for the means. `device` cuda: the candidates and their first
    similarities come from the GPU, with the same result.

    Raises:
        ValueError: the arrays do not match, a cluster has no row, a rank occurs twice, or a number is not finite.
    """
    _check(vectors, labels, indices)
    _check_ranks(len(vectors), ranks)
    if overwrite_vectors and not vectors.flags.writeable:
        raise ValueError("overwrite_vectors=True: the vectors are read-only; pass a copy, or False")
    threads = usable_cores() if threads is None else threads
    tree = MergeTree(len(vectors), labels.copy(), np.zeros((0, 4)))
    if not indices.size:
        return tree
    if device == "cuda":
        left, right = candidates.split_keys(arrays.candidate_keys(array_module(device), labels, indices))
    else:
        left, right = candidates.candidate_pairs(labels, indices, threads)
    if not len(left):
        return tree
    clusters, means = _clusters(vectors, labels, ranks, overwrite_vectors, threads)
    largest_norm = float(clusters["norm"].max())
    quantum = _quantum(largest_norm**2)
    if device == "cuda":
        similarities = arrays.pair_similarities(array_module(device), means, clusters["row"], quantum, left, right)
    else:
        similarities = greedy.similarities(clusters, means, quantum, left, right, threads)
    pairs = pair_queue.loose_pairs(left, right, similarities)
    del left, right, similarities
    sizes = clusters["size"].copy()
    nodes_left, nodes_right, heights, _ = greedy.merge_all(clusters, pairs, means, quantum, largest_norm)
    return MergeTree(tree.n, tree.leaves, descending(nodes_left, nodes_right, heights, sizes))


def _quantum(largest: float) -> float:
    """Similarities are rounded to multiples of this power of two; `largest`: none is larger."""
    return float(2.0 ** (np.ceil(np.log2(largest)) - _BITS)) if largest > 0 else 1.0


def _clusters(
    vectors: Floats, labels: Ints, ranks: Ranks | None, overwrite: bool, threads: int
) -> tuple[pair_queue.Clusters, Floats]:
    """The initial clusters, and the array with their means."""
    n = len(vectors)
    by_rank = np.arange(n) if ranks is None else np.argsort(ranks)
    members = by_rank[np.argsort(labels[by_rank], kind="stable")].astype(np.int32)
    sizes = np.bincount(labels)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    first = members[starts[:-1]]
    clusters = pair_queue.empty_clusters(len(sizes))
    clusters["size"] = sizes
    # ranks as numbers below n
    position = np.empty(n, np.int32)
    position[by_rank] = np.arange(n)
    clusters["rank"] = position[first]
    clusters["row"] = first if overwrite else np.arange(len(sizes))
    means = vectors if overwrite else np.empty((len(sizes), vectors.shape[1]), np.float32)
    clusters["norm"] = candidates.write_means(vectors, members, starts, means, clusters["row"].copy(), threads)
    if not np.isfinite(clusters["norm"]).all():
        row = int(first[np.argmin(np.isfinite(clusters["norm"]))])
        raise ValueError(f"a vector in the cluster of row {row} is not finite: leave it out")
    return clusters, means


def _check(vectors: Floats, labels: Ints, indices: Ints) -> None:
    n = len(vectors)
    if vectors.ndim != 2 or labels.shape != (n,) or indices.ndim != 2 or len(indices) != n:
        raise ValueError(
            f"vectors {vectors.shape}, labels {labels.shape} and indices {indices.shape} must be [n, d], [n] and [n, k]"
        )
    if vectors.dtype != np.float32 or labels.dtype != np.int32 or indices.dtype != np.int32:
        raise ValueError(
            f"expected vectors float32, labels int32 and indices int32, got {vectors.dtype}, {labels.dtype} and "
            f"{indices.dtype}"
        )
    if n and (labels.min() < 0 or not np.bincount(labels).all()):
        raise ValueError(
            f"labels from {labels.min()} to {labels.max()}: expected every number from 0 on, and no -1; give each lone "
            "row a cluster of its own"
        )
    if indices.size and (indices.min() < -1 or indices.max() >= n):
        raise ValueError(f"indices from {indices.min()} to {indices.max()}, expected -1 (no neighbor) to {n - 1}")


def _check_ranks(n: int, ranks: Ranks | None) -> None:
    if ranks is not None and (ranks.shape != (n,) or len(np.unique(ranks)) != n):
        raise ValueError(f"ranks {ranks.shape}: expected [{n}] different integers")
