"""`GraphHDBSCAN` with scikit-learn and with hdbscan's plots."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from graphs import GRAPHS, Graph, knn
from scipy.sparse import coo_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from job.backends.graph_hdbscan import GraphHDBSCAN, cluster_graph, row_ranges
from job.backends.graph_hdbscan.estimator import to_binary_tree

DATA = "blobs 3 n=300 k=15"


def groups_in_a_row(count: int) -> Graph:
    """Groups of five with gaps of equal length: they split from the root all at once."""
    points = np.concatenate([center + np.arange(5) * 0.125 for center in np.arange(count) * 1.5])[:, None]
    return knn(points, len(points) - 1)


def sparse(graph: Graph) -> Any:
    rows, at = np.nonzero(graph[0] >= 0)
    return coo_array((graph[1][rows, at], (rows, graph[0][rows, at])), shape=(len(graph[0]),) * 2).tocsr()


def test_scikit_learns_own_checks_pass() -> None:
    results = check_estimator(
        GraphHDBSCAN(),
        expected_failed_checks={"check_clustering": "it gives coordinates, this takes a graph of distances"},
        on_skip=None,
        on_fail="raise",
    )
    assert {r["check_name"] for r in results if r["status"] == "xfail"} == {"check_clustering"}
    assert sum(r["status"] == "passed" for r in results) > 30


def test_all_attributes_equal_the_results_of_the_functions() -> None:
    graph = GRAPHS[DATA]()
    fitted = GraphHDBSCAN(min_cluster_size=6, min_samples=2, cluster_selection_method="leaf", n_jobs=1).fit(graph)
    result = cluster_graph(*graph, min_samples=2, min_cluster_size=6, selection="leaf")
    np.testing.assert_array_equal(fitted.labels_, result.labels)
    np.testing.assert_array_equal(fitted.probabilities_, result.probabilities)
    np.testing.assert_array_equal(fitted.cluster_persistence_, result.persistence)
    np.testing.assert_array_equal(fitted.outlier_scores_, result.outlier_scores())
    assert [e.tolist() for e in fitted.exemplars_] == [e.tolist() for e in result.exemplars()]
    assert fitted.n_features_in_ == 300


def test_min_samples_defaults_to_min_cluster_size() -> None:
    graph = GRAPHS[DATA]()
    left_out, given = GraphHDBSCAN(4).fit(graph), GraphHDBSCAN(4, 4).fit(graph)
    np.testing.assert_array_equal(left_out.labels_, given.labels_)


@pytest.mark.parametrize(
    "settings",
    [
        {"cluster_selection_epsilon": 1.5},
        {"max_cluster_size": 20},
        {"allow_single_cluster": True, "min_cluster_size": 60},
        {"mode": "tutorial"},
        {"components": "apart"},
    ],
)
def test_each_parameter_reaches_the_function(settings: dict[str, Any]) -> None:
    graph = GRAPHS[DATA]()
    renamed = {"epsilon" if key == "cluster_selection_epsilon" else key: value for key, value in settings.items()}
    estimator = GraphHDBSCAN(**{"min_cluster_size": 5, "min_samples": 2, **settings}).fit(graph)
    result = cluster_graph(*graph, **{"min_cluster_size": 5, "min_samples": 2, **renamed})
    np.testing.assert_array_equal(estimator.labels_, result.labels)


def test_pairs_and_sparse_and_dense_matrices_give_the_same_labels() -> None:
    graph = GRAPHS[DATA]()
    matrix = sparse(graph)
    dense = np.full(matrix.shape, np.inf)
    dense[matrix.nonzero()] = matrix.data
    labels = [GraphHDBSCAN(min_samples=2).fit_predict(form) for form in (graph, matrix, matrix.tocoo(), dense)]
    assert labels[0].max() > 3
    for other in labels[1:]:
        np.testing.assert_array_equal(other, labels[0])


def test_parameters_can_be_read_set_cloned_and_pickled() -> None:
    estimator = GraphHDBSCAN(min_cluster_size=7, n_jobs=2)
    assert estimator.get_params()["min_cluster_size"] == 7
    other = clone(estimator).set_params(min_samples=1, mode="tutorial")
    assert (other.min_cluster_size, other.min_samples, other.mode, estimator.mode) == (7, 1, "tutorial", "canonical")
    assert repr(estimator) == "GraphHDBSCAN(min_cluster_size=7, n_jobs=2)"
    fitted = estimator.fit(GRAPHS[DATA]())
    for copied in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(copied.labels_, fitted.labels_)
        np.testing.assert_array_equal(copied.outlier_scores_, fitted.outlier_scores_)
    with pytest.raises(NotFittedError):
        _ = clone(fitted).condensed_tree_


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "both"}, "mode='both' must be one of"),
        ({"cluster_selection_method": "all"}, "cluster_selection_method='all' must be one of"),
        ({"components": "nonsense"}, "components='nonsense' must be one of"),
        ({"device": "gpu"}, "device='gpu' must be one of"),
        ({"n_jobs": 0}, "n_jobs=0 has no meaning"),
        ({"min_samples": 0}, "min_samples=0 must be at least 1"),
        ({"min_cluster_size": 1}, "min_cluster_size=1 must be at least 2"),
    ],
)
def test_wrong_parameters_are_refused_and_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GraphHDBSCAN(**settings).fit(GRAPHS[DATA]())


@pytest.mark.parametrize("n_jobs", [-1, -2, -1_000])
def test_negative_n_jobs_leave_cores_free(n_jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_ranges, "ROWS_PER_RANGE", 50)
    graph = GRAPHS[DATA]()
    fitted = GraphHDBSCAN(n_jobs=n_jobs).fit(graph)
    np.testing.assert_array_equal(fitted.labels_, GraphHDBSCAN(n_jobs=1).fit(graph).labels_)


def test_wrong_graphs_are_refused_and_the_error_says_what_to_give() -> None:
    indices, distances = GRAPHS[DATA]()
    with pytest.raises(ValueError, match="a pair \\(indices, distances\\), got a tuple of 3"):
        GraphHDBSCAN().fit((indices, distances, distances))
    with pytest.raises(ValueError, match="give \\(indices, distances\\)"):
        GraphHDBSCAN(mode="tutorial").fit(sparse((indices, distances)))


# ---- hdbscan's plots


PLOTTED = {
    DATA: lambda: GRAPHS[DATA](),
    "ties": lambda: GRAPHS["ties 1"](),
    "isolates": lambda: GRAPHS["isolates 1"](),
    "three at once": lambda: groups_in_a_row(3),
    "nine at once": lambda: groups_in_a_row(9),
    "one leaf": lambda: GRAPHS["n=6"](),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", PLOTTED)
@pytest.mark.parametrize("method", ["eom", "leaf"])
def test_hdbscans_plots_accept_the_trees(name: str, method: Any) -> None:
    graph = PLOTTED[name]()
    fitted = GraphHDBSCAN(min_cluster_size=5, min_samples=1, cluster_selection_method=method).fit(graph)
    tree = fitted.condensed_tree_
    assert tree.get_plot_data()["bar_centers"]
    frame = tree.to_pandas()
    inner = frame[frame.child_size > 1]
    assert inner.empty or inner.groupby("parent").size().eq(2).all()
    # each point occurs once, and as many nodes are selected as there are clusters
    assert sorted(frame.child[frame.child_size == 1]) == list(range(len(graph[0])))
    assert len(set(tree._select_clusters())) == len(fitted.cluster_persistence_)
    single = fitted.single_linkage_tree_
    assert len(single.to_pandas()) == len(graph[0]) - 1
    assert len(single.get_clusters(1.0, min_cluster_size=2)) == len(graph[0])


def leaves(tree: Any) -> set[frozenset[int]]:
    """The points of each cluster that does not split."""
    points = tree.sizes == 1
    splits = set(tree.parent[~points].tolist())
    members: dict[int, list[int]] = {}
    for parent, child in zip(tree.parent[points].tolist(), tree.child[points].tolist(), strict=True):
        if parent not in splits:
            members.setdefault(parent, []).append(child)
    return {frozenset(each) for each in members.values()}


@pytest.mark.parametrize("name", PLOTTED)
def test_to_binary_tree_keeps_leaves_lambdas_and_sizes(name: str) -> None:
    tree = cluster_graph(*PLOTTED[name](), min_samples=1, min_cluster_size=5).tree
    binary = to_binary_tree(tree)
    assert leaves(binary) == leaves(tree)
    assert set(binary.lambdas) == set(tree.lambdas)
    inner = binary.sizes > 1
    assert (binary.child[inner] > binary.parent[inner]).all()
    for parent in np.unique(binary.parent[inner]):
        assert np.bincount(binary.parent[inner])[parent] == 2
    # a cluster's size is the number of points in it
    points_in = np.zeros(int(max(binary.child.max(), binary.parent.max())) + 1, np.int64)
    for row in np.argsort(-binary.parent, kind="stable"):
        points_in[binary.parent[row]] += max(points_in[binary.child[row]], 1)
    np.testing.assert_array_equal(points_in[binary.child[inner]], binary.sizes[inner])
