"""Average linkage of clusters of headlines: the candidates come from the neighbor graph, the whole tree is kept.

    candidates, means, similarities -> pairs ordered by a bound -> evaluate or merge -> tree -> clusters at a level
    candidates.py                      pair_queue.py               greedy.py           merge_tree.py

The contract
- Input: `vectors` float32 [n, d], whose dot products are similarities; `labels` int32 [n], the initial cluster of each
  row, 0 ... c-1, each with at least one row; `indices` int32 [n, k], the neighbors of each row, -1 = none, in any order.
- The similarity of two clusters is the mean dot product of all pairs of a member of one and a member of the other. It
  equals the dot product of the two mean vectors. With `background` float32 [n], the mean of the two clusters' mean
  backgrounds is subtracted: s(a, b) = mean a . mean b - (background a + background b) / 2, which is average linkage of
  the similarities v_i . v_j - (b_i + b_j) / 2.
- Two clusters are candidates if an edge of the graph joins a member of one with a member of the other, in either
  direction. The candidates of a union are the candidates of both. Only candidates merge.
- Order: the most similar pair of candidates merges first, as in the definition of average linkage ("greedy"), until
  every connected component is one cluster. This is exact, not an approximation: if all pairs are candidates, the tree
  is that of `scipy.cluster.hierarchy.linkage(..., "average")`. With fewer candidates a union may be more similar to a
  third cluster than its parts were to each other. Such a merge gets the height of the lowest merge below it, so that
  heights descend and every level of the tree is a partition.
- Ties: similarities are rounded to 26 bits below the largest possible one; of equal ones, the pair that contains the
  smallest rank merges first, then by the smallest rank in the other cluster. `ranks` (default: row numbers) make
  the tree independent of the order of rows: every sum is in order of rank or is fixed by the tree itself.
- The result does not depend on threads.

Cost: one dot product per pair of candidates, on all cores. Then, in sequence, one per merge and per bound that is not
tight enough: about as many again in real headlines. A pair is not visited when the larger of its two clusters grows,
so a cluster with very many candidates costs O(log n) per merge, not O(candidates). Memory in addition to the input:
48 bytes per pair (3 to 7 pairs per headline at k = 15), some 100 bytes per cluster, and the means [c, d] in float32,
which `overwrite_vectors` puts into the vectors' own memory.

Sources: average linkage by means, and the update of a similarity: Lance, Williams (1967), "A general theory of
classificatory sorting strategies". Sparse average linkage near linear time: Dhulipala et al. (2021), "Hierarchical
agglomerative graph clustering in nearly-linear time". Stale bounds evaluated only when they reach the top: Müllner
(2011), "Modern hierarchical, agglomerative clustering algorithms".
"""

import numpy as np
import numpy.typing as npt

from job.backends.graph_hdbscan.row_ranges import usable_cores
from job.backends.stories import candidates, greedy, merge_tree, pair_queue
from job.backends.stories.merge_tree import MergeTree, cut, cut_count
from job.data import Floats, Ints

__all__ = ["MergeTree", "average_linkage", "cut", "cut_count"]

_BITS = 26


def average_linkage(
    vectors: Floats,
    labels: Ints,
    indices: Ints,
    *,
    background: Floats | None = None,
    ranks: npt.NDArray[np.integer] | None = None,
    threads: int | None = None,
    overwrite_vectors: bool = False,
) -> MergeTree:
    """Merge clusters by average linkage over the candidates of the graph; see the module's contract.

    `ranks` [n]: a different integer for each row, for ties. `threads` None: all usable cores. `overwrite_vectors`:
    the vectors may be destroyed, which saves the memory of the means.

    Raises:
        ValueError: the arrays do not match, a cluster has no row, a rank occurs twice, or a value is not finite.
    """
    _check(vectors, labels, indices, background, ranks)
    n = len(vectors)
    threads = usable_cores() if threads is None else threads
    left, right = candidates.candidate_pairs(labels, indices, threads if n else 1)
    if not len(left):
        return MergeTree(n, labels.copy(), np.zeros((0, 4)))
    clusters, means = _clusters(vectors, labels, background, ranks, overwrite_vectors, threads)
    scale = _scale(clusters)
    keys = candidates.similarities(clusters, means, scale.quantum, left, right, threads)
    sizes = clusters.size.copy()
    merges = greedy.merge_all(clusters, pair_queue.empty_pairs(left, right, keys), means, scale)
    return MergeTree(n, labels.copy(), merge_tree.descending(*merges, sizes))


def _clusters(
    vectors: Floats,
    labels: Ints,
    background: Floats | None,
    ranks: npt.NDArray[np.integer] | None,
    overwrite: bool,
    threads: int,
) -> tuple[pair_queue.Clusters, Floats]:
    """The initial clusters, and the array that holds their means."""
    n = len(vectors)
    by_rank = np.arange(n) if ranks is None else np.argsort(ranks)
    members = by_rank[np.argsort(labels[by_rank], kind="stable")].astype(np.int32)
    sizes = np.bincount(labels)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    first = members[starts[:-1]]
    c = len(sizes)
    rows = first if overwrite else np.arange(c, dtype=np.int32)
    means = vectors if overwrite else np.empty((c, vectors.shape[1]), np.float32)
    norms = candidates.write_means(vectors, members, starts, means, rows, threads)
    if not np.isfinite(norms).all():
        raise ValueError(f"a vector of cluster {int(np.argmin(np.isfinite(norms)))} is not finite; leave its rows out")
    # ranks as numbers below n, so that they fit int32
    position = np.empty(n, np.int32)
    position[by_rank] = np.arange(n)
    backgrounds = np.zeros(c)
    if background is not None:
        backgrounds = np.add.reduceat(background[members].astype(np.float64), starts[:-1]) / sizes
    return pair_queue.empty_clusters(rows, position[first], sizes, norms, backgrounds), means


def _scale(clusters: pair_queue.Clusters) -> greedy.Scale:
    """The precision of similarities, by the largest that is possible."""
    largest = float(clusters.norm.max())
    limit = largest**2 + float(np.abs(clusters.background).max())
    return greedy.Scale(2.0 ** (np.ceil(np.log2(limit)) - _BITS) if limit > 0 else 1.0, largest)


def _check(
    vectors: Floats,
    labels: Ints,
    indices: Ints,
    background: Floats | None,
    ranks: npt.NDArray[np.integer] | None,
) -> None:
    n = len(vectors)
    shapes = f"vectors {vectors.shape}, labels {labels.shape} and indices {indices.shape}"
    if vectors.ndim != 2 or indices.ndim != 2 or labels.shape != (n,) or len(indices) != n:
        raise ValueError(f"{shapes} must be [n, d], [n] and [n, k]")
    if (vectors.dtype, labels.dtype, indices.dtype) != (np.float32, np.int32, np.int32):
        raise ValueError(
            f"expected float32 vectors, int32 labels and int32 indices, got {vectors.dtype}, {labels.dtype} and "
            f"{indices.dtype}"
        )
    if background is not None and (background.shape != (n,) or not np.isfinite(background).all()):
        raise ValueError(f"background {background.shape} must be [n] finite numbers, for {n} rows")
    if ranks is not None and (ranks.shape != (n,) or len(np.unique(ranks)) < n):
        raise ValueError(f"ranks {ranks.shape} must be [n] different integers, for {n} rows")
    if n == 0:
        return
    if labels.min() < 0 or (np.bincount(labels) == 0).any():
        raise ValueError(f"labels from {labels.min()} to {labels.max()} must use every number from 0 on; -1 is no cluster")
    if indices.size and (indices.min() < -1 or indices.max() >= n):
        raise ValueError(f"indices from {indices.min()} to {indices.max()}, expected -1 (no neighbor) to {n - 1}")
