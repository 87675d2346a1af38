"""`GraphHDBSCAN`: the graph clustering with scikit-learn's conventions, for data given as neighbors, not vectors."""

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from job.backends.graph_hdbscan import Result, cut, linkage_of, neighbor_arrays
from job.backends.graph_hdbscan.row_ranges import usable_cores
from job.data import CondensedTree, Floats, Ints

_WORDS = {
    "mode": ("canonical", "tutorial"),
    "cluster_selection_method": ("eom", "leaf"),
    "components": ("joined", "apart"),
    "device": ("cpu", "cuda"),
}


class GraphHDBSCAN(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """HDBSCAN from a neighbor graph; see the package's contract.

        GraphHDBSCAN(min_cluster_size=10).fit((indices, distances)).labels_

    Parameters are those of `linkage_of` and `cut`; `min_samples` None means `min_cluster_size`. As in `hdbscan`,
    `min_samples` does not count the point itself, and there are no splits at distances below
    `cluster_selection_epsilon`. `n_jobs`: threads; None and -1 are all usable cores, -2 all but one.

    Attributes, for n points and c clusters: `labels_` int [n] (-1 noise), `probabilities_`, `outlier_scores_` (GLOSH)
    float32 [n], `cluster_persistence_` float32 [c], `exemplars_` (a list of c arrays of row numbers),
    `condensed_tree_` and `single_linkage_tree_` (`hdbscan`'s own classes, to plot or export), `n_features_in_`.
    """

    def __init__(
        self,
        min_cluster_size: int = 5,
        min_samples: int | None = None,
        *,
        mode: Literal["canonical", "tutorial"] = "canonical",
        cluster_selection_method: Literal["eom", "leaf"] = "eom",
        cluster_selection_epsilon: float = 0.0,
        max_cluster_size: int = 0,
        allow_single_cluster: bool = False,
        components: Literal["joined", "apart"] = "joined",
        n_jobs: int | None = None,
        device: Literal["cpu", "cuda"] = "cpu",
    ) -> None:
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.mode = mode
        self.cluster_selection_method = cluster_selection_method
        self.cluster_selection_epsilon = cluster_selection_epsilon
        self.max_cluster_size = max_cluster_size
        self.allow_single_cluster = allow_single_cluster
        self.components = components
        self.n_jobs = n_jobs
        self.device = device

    def fit(self, X: Any, y: None = None) -> Self:  # noqa: N803 (scikit-learn's name)
        """Cluster the graph `X`.

        `X` is a pair (indices, distances) of arrays [n, k], or a SciPy sparse matrix [n, n] of distances (entries that
        are not stored are infinite), or a dense matrix [n, n] (inf and NaN mean no neighbor).

        Raises:
            ValueError: `X` is not such a graph, or a parameter is out of range.
        """
        for name, allowed in _WORDS.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {allowed}")
        self._linkage = linkage_of(
            *self._neighbors(X),
            mode=self.mode,
            min_samples=self.min_cluster_size if self.min_samples is None else self.min_samples,
            threads=self._threads(),
            device=self.device,
        )
        self._result: Result = cut(
            self._linkage,
            min_cluster_size=self.min_cluster_size,
            selection=self.cluster_selection_method,
            epsilon=self.cluster_selection_epsilon,
            max_cluster_size=self.max_cluster_size,
            allow_single_cluster=self.allow_single_cluster,
            components=self.components,
        )
        self.labels_: npt.NDArray[np.int64] = self._result.labels.astype(np.int64)
        self.probabilities_: Floats = self._result.probabilities
        self.cluster_persistence_: Floats = self._result.persistence
        return self

    def _threads(self) -> int | None:
        if self.n_jobs == 0:
            raise ValueError("n_jobs=0 has no meaning: give a number of threads, or -1 for all cores")
        return self.n_jobs if self.n_jobs is None or self.n_jobs > 0 else max(1, usable_cores() + 1 + self.n_jobs)

    def _neighbors(self, graph: Any) -> tuple[Ints, Floats]:
        if isinstance(graph, tuple):
            if len(graph) != 2:
                raise ValueError(f"X must be a pair (indices, distances), got a tuple of {len(graph)}")
            pair = neighbor_arrays.from_pair(*graph)
            self.n_features_in_ = len(pair[0])
            return pair
        checked = validate_data(
            self, graph, accept_sparse=["csr", "csc", "coo"], dtype=[np.float64, np.float32], ensure_all_finite=False
        )
        if hasattr(checked, "tocoo"):
            if self.mode == "tutorial":
                raise ValueError("mode='tutorial' needs each row's own neighbors: give (indices, distances)")
            return neighbor_arrays.from_sparse(checked)
        return neighbor_arrays.from_dense(checked)

    @property
    def outlier_scores_(self) -> Floats:
        return self._fitted().outlier_scores()

    @property
    def exemplars_(self) -> list[npt.NDArray[np.int64]]:
        return self._fitted().exemplars()

    @property
    def condensed_tree_(self) -> Any:
        from hdbscan.plots import CondensedTree as HdbscanTree

        return HdbscanTree(_to_records(to_binary_tree(self._fitted().tree)), self.labels_)

    @property
    def single_linkage_tree_(self) -> Any:
        from hdbscan.plots import SingleLinkageTree

        self._fitted()
        return SingleLinkageTree(self._linkage.merges)

    def _fitted(self) -> Result:
        check_is_fitted(self, "labels_")
        return self._result

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = True
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.input_tags.allow_nan = True
        return tags


def to_binary_tree(tree: CondensedTree) -> CondensedTree:
    """The tree with each split into more than two clusters replaced by splits into two at the same lambda.

    `hdbscan`'s plots accept only these. Clusters are renumbered; a parent's number is smaller than its children's.
    """
    cluster_rows = np.flatnonzero(tree.sizes > 1)
    if not len(cluster_rows) or np.bincount(tree.parent[cluster_rows]).max() <= 2:
        return tree
    root = int(tree.parent.min())
    splits: dict[int, list[int]] = {}
    for row in cluster_rows.tolist():
        splits.setdefault(int(tree.parent[row]), []).append(row)
    new_numbers = {root: root}
    parents, children, lambdas, sizes = [], [], [], []
    next_number, queue = root + 1, [root]
    for cluster in queue:
        rest = splits.get(cluster, [])
        parent = new_numbers[cluster]
        while rest:
            row, rest = rest[0], rest[1:]
            level, rest_size = float(tree.lambdas[row]), int(tree.sizes[rest].sum())
            last = len(rest) == 1
            # the second child of a split is the last cluster, or a new one that holds all remaining clusters
            for child_row, size in ((row, int(tree.sizes[row])), (rest[0] if last else None, rest_size)):
                parents.append(parent)
                children.append(next_number)
                lambdas.append(level)
                sizes.append(size)
                if child_row is not None:
                    new_numbers[int(tree.child[child_row])] = next_number
                    queue.append(int(tree.child[child_row]))
                next_number += 1
            parent = next_number - 1
            rest = [] if last else rest
    points = tree.sizes == 1
    renumber = np.full(int(tree.parent.max()) + 1, -1, np.int64)
    renumber[list(new_numbers)] = list(new_numbers.values())
    return CondensedTree(
        np.concatenate([np.array(parents, np.int64), renumber[tree.parent[points]]]),
        np.concatenate([np.array(children, np.int64), tree.child[points]]),
        np.concatenate([np.array(lambdas), tree.lambdas[points]]),
        np.concatenate([np.array(sizes, np.int64), tree.sizes[points]]),
    )


def _to_records(tree: CondensedTree) -> npt.NDArray[np.void]:
    columns = [("parent", np.intp), ("child", np.intp), ("lambda_val", float), ("child_size", np.intp)]
    records = np.empty(len(tree.parent), dtype=columns)
    for (name, _), values in zip(columns, (tree.parent, tree.child, tree.lambdas, tree.sizes), strict=True):
        records[name] = values
    return records
