"""`GraphHDBSCAN`: the graph clustering with scikit-learn's conventions, for whoever has neighbors and no vectors."""

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from job.backends.graph_hdbscan import Result, cut, linkage_of, neighbor_arrays
from job.data import CondensedTree, Floats, Ints


class GraphHDBSCAN(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """HDBSCAN from a neighbor graph; see the package's contract.

        GraphHDBSCAN(min_cluster_size=10).fit((indices, distances)).labels_

    Parameters are those of `linkage_of` and `cut`; `min_samples` None: as `min_cluster_size`. As in `hdbscan`,
    `min_samples` does not count the point itself; distances below `cluster_selection_epsilon` split nothing.

    Attributes, n points and c clusters: `labels_` int [n] (-1 noise), `probabilities_`, `outlier_scores_` (GLOSH)
    float32 [n], `cluster_persistence_` float32 [c], `exemplars_` (a list of c arrays of row numbers),
    `condensed_tree_` and `single_linkage_tree_` (`hdbscan`'s own objects, to plot or export), `n_features_in_`.
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
        self.n_jobs = n_jobs
        self.device = device

    def fit(self, X: Any, y: None = None) -> Self:  # noqa: N803 (scikit-learn's name)
        """Cluster the graph `X`: a pair (indices, distances) of arrays [n, k], or a SciPy sparse matrix [n, n] of
        distances, what is not stored being infinite, or a dense one, inf being none.

        Raises:
            ValueError: `X` is no such graph, or a parameter is out of range.
        """
        for name, allowed in (("mode", ("canonical", "tutorial")), ("cluster_selection_method", ("eom", "leaf"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {allowed}")
        self._linkage = linkage_of(
            *self._neighbors(X),
            mode=self.mode,
            min_samples=self.min_cluster_size if self.min_samples is None else self.min_samples,
            threads=None if self.n_jobs in (None, -1) else self.n_jobs,
            device=self.device,
        )
        self._result: Result = cut(
            self._linkage,
            min_cluster_size=self.min_cluster_size,
            selection=self.cluster_selection_method,
            epsilon=self.cluster_selection_epsilon,
            max_cluster_size=self.max_cluster_size,
            allow_single_cluster=self.allow_single_cluster,
        )
        self.labels_: npt.NDArray[np.int64] = self._result.labels.astype(np.int64)
        self.probabilities_: Floats = self._result.probabilities
        self.cluster_persistence_: Floats = self._result.persistence
        return self

    def _neighbors(self, graph: Any) -> tuple[Ints, Floats]:
        if isinstance(graph, tuple):
            if len(graph) != 2:
                raise ValueError(f"a graph is a pair (indices, distances), got a tuple of {len(graph)}")
            pair = neighbor_arrays.from_pair(*graph)
            self.n_features_in_ = len(pair[0])
            return pair
        checked = validate_data(
            self, graph, accept_sparse=["csr", "csc", "coo"], dtype=[np.float64, np.float32], ensure_all_finite=False
        )
        if hasattr(checked, "tocoo"):
            if self.mode == "tutorial":
                raise ValueError("mode='tutorial' reads each row's own neighbors: give (indices, distances)")
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
        from hdbscan.plots import CondensedTree as Plot

        return Plot(_records(two_by_two(self._fitted().tree)), self.labels_)

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


def two_by_two(tree: CondensedTree) -> CondensedTree:
    """The tree with every split into more than two clusters as splits into two at the same lambda: `hdbscan`'s plots
    take no others. Clusters are numbered anew, a parent below its children."""
    inner = np.flatnonzero(tree.sizes > 1)
    if not len(inner) or np.bincount(tree.parent[inner]).max() <= 2:
        return tree
    root = int(tree.parent.min())
    splits: dict[int, list[int]] = {}
    for row in inner.tolist():
        splits.setdefault(int(tree.parent[row]), []).append(row)
    numbers = {root: root}
    parents, children, lambdas, sizes = [], [], [], []
    following, waiting = root + 1, [root]
    for cluster in waiting:
        rest = splits.get(cluster, [])
        parent = numbers[cluster]
        while rest:
            row, rest = rest[0], rest[1:]
            level, total = float(tree.lambdas[row]), int(tree.sizes[rest].sum())
            last = len(rest) == 1
            for number, size in ((row, int(tree.sizes[row])), (rest[0] if last else None, total)):
                parents.append(parent)
                children.append(following)
                lambdas.append(level)
                sizes.append(size)
                if number is not None:
                    numbers[int(tree.child[number])] = following
                    waiting.append(int(tree.child[number]))
                following += 1
            parent = following - 1
            rest = [] if last else rest
    points = tree.sizes == 1
    renumber = np.full(int(tree.parent.max()) + 1, -1, np.int64)
    renumber[list(numbers)] = list(numbers.values())
    return CondensedTree(
        np.concatenate([np.array(parents, np.int64), renumber[tree.parent[points]]]),
        np.concatenate([np.array(children, np.int64), tree.child[points]]),
        np.concatenate([np.array(lambdas), tree.lambdas[points]]),
        np.concatenate([np.array(sizes, np.int64), tree.sizes[points]]),
    )


def _records(tree: CondensedTree) -> npt.NDArray[np.void]:
    columns = [("parent", np.intp), ("child", np.intp), ("lambda_val", float), ("child_size", np.intp)]
    records = np.empty(len(tree.parent), dtype=columns)
    for (name, _), values in zip(columns, (tree.parent, tree.child, tree.lambdas, tree.sizes), strict=True):
        records[name] = values
    return records
