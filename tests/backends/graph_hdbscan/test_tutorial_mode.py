"""Tutorial mode equals `hdbscan` 0.8.43 on the dense matrix of the tutorial, with all options."""

from typing import Any

import hdbscan
import numpy as np
import pytest
from graphs import EVERY_GRAPH, GRAPHS, check_form, dense, knn, same, shuffled

from job.backends.graph_hdbscan import Result, cluster_graph

OPTIONS: dict[str, dict[str, Any]] = {
    "eom": {},
    "leaf": {"selection": "leaf"},
    "epsilon 0.5": {"epsilon": 0.5},
    "epsilon 1": {"epsilon": 1.0},
    "max size 15": {"max_cluster_size": 15},
    "single": {"allow_single_cluster": True},
    "single, epsilon 0.7": {"allow_single_cluster": True, "epsilon": 0.7},
    "single, max size 40": {"allow_single_cluster": True, "max_cluster_size": 40},
    "leaf, epsilon 0.6": {"selection": "leaf", "epsilon": 0.6},
    "leaf, single": {"selection": "leaf", "allow_single_cluster": True},
}
SIZES = ((3, 3), (1, 2), (2, 5), (5, 4))
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def reference(graph: Any, min_samples: int, min_cluster_size: int, options: dict[str, Any]) -> hdbscan.HDBSCAN:
    return hdbscan.HDBSCAN(
        metric="precomputed",
        min_samples=min_samples,
        min_cluster_size=min_cluster_size,
        cluster_selection_method=options.get("selection", "eom"),
        # the matrix holds squared distances
        cluster_selection_epsilon=options.get("epsilon", 0.0) ** 2,
        max_cluster_size=options.get("max_cluster_size", 0),
        allow_single_cluster=options.get("allow_single_cluster", False),
    ).fit(dense(graph))


def exemplars(tree: np.ndarray, cluster: int) -> list[int]:
    """The points that leave last in the clusters at or below `cluster` that never split, from hdbscan's raw tree."""
    below = tree["child"][(tree["parent"] == cluster) & (tree["child_size"] > 1)]
    if len(below):
        return sorted(point for child in below for point in exemplars(tree, child))
    own = tree[tree["parent"] == cluster]
    return sorted(own["child"][own["lambda_val"] == own["lambda_val"].max()].tolist())


def check_tree(ours: Result, theirs: np.ndarray) -> None:
    our_points, their_points = ours.tree.sizes == 1, theirs["child_size"] == 1
    for our_rows, their_rows in ((our_points, their_points), (~our_points, ~their_points)):
        our_edges = np.c_[ours.tree.child, ours.tree.parent, ours.tree.sizes][our_rows]
        their_edges = np.c_[theirs["child"], theirs["parent"], theirs["child_size"]][their_rows]
        our_order, their_order = np.argsort(our_edges[:, 0]), np.argsort(their_edges[:, 0])
        np.testing.assert_array_equal(our_edges[our_order], their_edges[their_order])
        our_lambdas, their_lambdas = ours.tree.lambdas[our_rows], theirs["lambda_val"][their_rows]
        np.testing.assert_allclose(our_lambdas[our_order], their_lambdas[their_order], rtol=1e-9)


def test_there_are_enough_data_sets() -> None:
    assert len(GRAPHS) >= 32


@EVERY_GRAPH
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_all_results_equal_hdbscan_on_the_dense_matrix(name: str, options: dict[str, Any]) -> None:
    graph = GRAPHS[name]()
    for min_samples, min_cluster_size in SIZES:
        ours = cluster_graph(
            *graph, mode="tutorial", min_samples=min_samples, min_cluster_size=min_cluster_size, **options
        )
        theirs = reference(graph, min_samples, min_cluster_size, options)
        check_form(ours, len(graph[0]))
        assert same(ours.labels, theirs.labels_)
        np.testing.assert_allclose(ours.probabilities, theirs.probabilities_, atol=1e-6)
        tree = theirs.condensed_tree_._raw_tree
        check_tree(ours, tree)
        scores = theirs.outlier_scores_
        finite = np.isfinite(scores)
        np.testing.assert_allclose(ours.outlier_scores()[finite], scores[finite], atol=1e-6)
        assert [e.tolist() for e in ours.exemplars()] == [exemplars(tree, c) for c in ours.clusters]
        if np.isfinite(tree["lambda_val"]).all() and not options.get("allow_single_cluster"):
            np.testing.assert_allclose(np.sort(ours.persistence), np.sort(theirs.cluster_persistence_), atol=1e-5)


@pytest.mark.parametrize("options", list(OPTIONS.values())[1:], ids=list(OPTIONS)[1:])
def test_each_option_makes_a_difference_somewhere(options: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"mode": "tutorial", "min_samples": 2, "min_cluster_size": 3}
    graphs = [make() for make in GRAPHS.values()]
    pairs = [(cluster_graph(*g, **settings), cluster_graph(*g, **settings, **options)) for g in graphs]
    assert not all(same(plain.labels, other.labels) for plain, other in pairs)


def test_tutorial_mode_depends_on_the_order_of_rows() -> None:
    graph = GRAPHS["ties 1"]()
    settings: dict[str, Any] = {"mode": "tutorial", "min_samples": 2, "min_cluster_size": 3}
    before = cluster_graph(*graph, **settings)
    runs = [(cluster_graph(*other, **settings), order) for other, order in (shuffled(graph, s) for s in range(20))]
    assert not all(same(after.labels, before.labels[order]) for after, order in runs)


def test_only_where_epsilon_is_a_height_of_the_tree_may_labels_differ_from_hdbscans() -> None:
    draw = np.random.default_rng(0)
    unlike = 0
    for _ in range(40):
        graph = knn(draw.integers(0, 30, (59, 1)).astype(float), 7)
        for epsilon, is_height in ((1.0, True), (2.0, True), (2.5, False)):
            ours = cluster_graph(
                *graph, mode="tutorial", min_samples=1, min_cluster_size=2, selection="leaf", epsilon=epsilon
            )
            theirs = reference(graph, 1, 2, {"selection": "leaf", "epsilon": epsilon})
            assert is_height or same(ours.labels, theirs.labels_)
            unlike += not same(ours.labels, theirs.labels_)
    assert unlike
