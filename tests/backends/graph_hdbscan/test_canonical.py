"""Canonical clusters depend only on the graph: not on the order of rows or of equal edges, nor on threads."""

import importlib
from collections.abc import Iterator
from typing import Any

import hdbscan
import numpy as np
import pytest
from conftest import ROOT
from graphs import (
    EVERY_GRAPH,
    GRAPHS,
    PARAMETERS,
    blobs,
    check_form,
    copies,
    dense,
    knn,
    random_graph,
    same,
    shuffled,
    without,
)

from job.backends.graph_hdbscan import GraphHDBSCAN, cluster_graph, row_ranges


def test_leaves_are_finer_than_excess_of_mass() -> None:
    # two pairs of groups, the pairs far apart: excess of mass selects the pairs, the leaves are the groups
    points = np.random.default_rng(0).normal(size=(80, 2)) * 0.3
    points[:, 0] += np.repeat([0.0, 1.2, 40.0, 41.2], 20)
    graph = knn(points, 50)
    found = {
        selection: len(cluster_graph(*graph, min_samples=3, min_cluster_size=10, selection=selection).persistence)
        for selection in ("eom", "leaf")
    }
    assert found == {"eom": 2, "leaf": 4}


@EVERY_GRAPH
@PARAMETERS
def test_results_are_well_formed(name: str, min_samples: int, min_cluster_size: int) -> None:
    graph = GRAPHS[name]()
    for selection in ("eom", "leaf"):
        result = cluster_graph(*graph, min_samples=min_samples, min_cluster_size=min_cluster_size, selection=selection)
        check_form(result, len(graph[0]))
        assert (np.bincount(result.labels[result.labels >= 0]) >= min_cluster_size).all()


# ---- against the prototype

PROTOTYPE = ROOT.parent / "shared" / "prototypes" / "graph_hdbscan.py"


@pytest.fixture(scope="module")
def prototype() -> Iterator[Any]:
    if not PROTOTYPE.is_file():
        pytest.skip(f"the prototype does not exist: {PROTOTYPE}")
    # imported under its own name, because numba's cache depends on the name
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PROTOTYPE.parent)
        yield importlib.import_module("graph_hdbscan")


def check_against(prototype: Any, graph: Any, min_samples: int, min_cluster_size: int) -> None:
    ours = cluster_graph(*graph, min_samples=min_samples, min_cluster_size=min_cluster_size)
    # the prototype's rows contain the point itself
    itself = np.arange(len(graph[0]), dtype=np.int32), np.zeros(len(graph[0]), np.float32)
    rows = (np.ascontiguousarray(np.c_[one, other]) for one, other in zip(itself, graph, strict=True))
    labels, probabilities = prototype.cluster_knn(
        *rows, min_samples, min_cluster_size, semantics="sym", ties="canonical"
    )
    assert same(ours.labels, labels)
    np.testing.assert_allclose(ours.probabilities, probabilities, atol=1e-6)


@EVERY_GRAPH
def test_equal_to_the_prototype(prototype: Any, name: str) -> None:
    graph = GRAPHS[name]()
    for min_samples, min_cluster_size in ((3, 3), (2, 5), (1, 2), (5, 4)):
        check_against(prototype, graph, min_samples, min_cluster_size)


@pytest.mark.parametrize("levels", [0, 100])
def test_equal_to_the_prototype_on_a_large_random_graph(prototype: Any, levels: int) -> None:
    graph = random_graph(0, 20_000, 15, levels=levels, components=40)
    for min_samples, min_cluster_size in ((3, 10), (1, 2)):
        check_against(prototype, graph, min_samples, min_cluster_size)


# ---- what the labels must not depend on

SHUFFLED = ("blobs 2 n=200 k=15", "ties 1", "duplicates 0", "60 copies, k=50, 0", "disconnected 0", "isolates 1", "n=7")


@pytest.mark.parametrize("name", SHUFFLED)
@pytest.mark.parametrize("selection", ["eom", "leaf"])
def test_clusters_do_not_depend_on_the_order_of_rows(name: str, selection: Any) -> None:
    graph = GRAPHS[name]()
    settings: dict[str, Any] = {"min_samples": 2, "min_cluster_size": 3, "selection": selection}
    before = cluster_graph(*graph, **settings)
    for seed in range(20):
        other, order = shuffled(graph, seed)
        after = cluster_graph(*other, **settings)
        assert same(after.labels, before.labels[order])
        np.testing.assert_allclose(after.probabilities, before.probabilities[order], atol=1e-6)
        np.testing.assert_allclose(np.sort(after.persistence), np.sort(before.persistence), atol=1e-6)


def test_a_cluster_as_stable_as_those_in_it_is_selected_in_every_order_of_rows() -> None:
    # rational gaps make equal stabilities, whose sums are rounded differently in each order
    points = np.array([2, 4, 5, 11, 12, 13, 19, 22, 23, 24, 30, 32, 34, 35, 38, 39, 41, 42, 44, 45], float)[:, None]
    settings: dict[str, Any] = {"min_samples": 1, "min_cluster_size": 3, "components": "apart"}
    graph = knn(points, 5)
    before = cluster_graph(*graph, **settings)
    assert len(before.persistence) == 4
    for seed in range(60):
        other, order = shuffled(graph, seed)
        after = cluster_graph(*other, **settings)
        assert same(after.labels, before.labels[order])
        fitted = GraphHDBSCAN(min_samples=1, min_cluster_size=3, components="apart").fit(other)
        np.testing.assert_array_equal(fitted.labels_, after.labels)


@pytest.mark.parametrize("name", ["ties 1", "duplicates 0", "60 copies, k=50, 0", "all identical, n=60"])
def test_clusters_do_not_depend_on_the_order_of_equal_edges(name: str) -> None:
    indices, distances = GRAPHS[name]()
    before = cluster_graph(indices, distances, min_samples=2, min_cluster_size=3)
    for seed in range(20):
        order = np.lexsort((np.random.default_rng(seed).random(indices.shape), distances))
        other = np.take_along_axis(indices, order, 1), np.take_along_axis(distances, order, 1)
        assert (other[0] != indices).any()
        after = cluster_graph(*other, min_samples=2, min_cluster_size=3)
        np.testing.assert_array_equal(after.labels, before.labels)
        np.testing.assert_array_equal(after.probabilities, before.probabilities)


@pytest.mark.parametrize("levels", [0, 50])
def test_clusters_do_not_depend_on_the_number_of_threads(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_ranges, "ROWS_PER_RANGE", 1_000)
    graph = random_graph(1, 20_000, 10, levels=levels, components=60)
    one, two, five = (cluster_graph(*graph, min_cluster_size=3, threads=count) for count in (1, 2, 5))
    assert len(one.persistence) > 10
    for other in (two, five):
        for field in ("labels", "probabilities", "persistence"):
            np.testing.assert_array_equal(getattr(other, field), getattr(one, field))


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("k", [6, 300])
def test_without_equal_distances_canonical_equals_hdbscan_on_the_symmetric_matrix(seed: int, k: int) -> None:
    # with min_samples = 1 an edge's mutual reachability is its length: there are no ties, so their order is irrelevant
    graph = knn(blobs(seed, 150), k)
    matrix = np.sqrt(dense(graph))
    theirs = hdbscan.HDBSCAN(min_samples=1, min_cluster_size=5, metric="precomputed").fit(np.minimum(matrix, matrix.T))
    ours = cluster_graph(*graph, min_samples=1, min_cluster_size=5)
    assert same(ours.labels, theirs.labels_)
    np.testing.assert_allclose(np.sort(ours.probabilities), np.sort(theirs.probabilities_), atol=1e-6)


def test_merges_of_equal_height_happen_at_once() -> None:
    # three groups of five in a row, both gaps of equal length
    points = np.concatenate([center + np.arange(5) * 0.125 for center in (0, 1.5, 3)])[:, None]
    graph = knn(points, 14)
    result = cluster_graph(*graph, min_samples=1, min_cluster_size=5)
    below_root = (result.tree.parent == len(points)) & (result.tree.child >= len(points))
    assert below_root.sum() == 3
    assert result.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5


@pytest.mark.parametrize("seed", range(5))
def test_clusters_in_the_tree_are_numbered_by_their_smallest_point(seed: int) -> None:
    points = np.concatenate([center + np.arange(5) * 0.125 for center in (0, 1.5, 3, 4.5)])[:, None]
    graph, _ = shuffled(knn(points, 19), seed)
    tree = cluster_graph(*graph, min_samples=1, min_cluster_size=5).tree
    clusters = tree.child[tree.child >= len(points)]
    smallest = [tree.child[tree.parent == cluster].min() for cluster in clusters]
    assert clusters.tolist() == list(range(21, 25))
    assert smallest == sorted(smallest)


@pytest.mark.parametrize("min_samples", [1, 3])
def test_if_two_points_have_two_distances_the_smaller_one_counts(min_samples: int) -> None:
    indices, distances = knn(blobs(5, 60), 59)
    longer = np.where(indices > np.arange(60)[:, None], distances * np.float32(1.3), distances)
    order = np.argsort(longer, axis=1, kind="stable")
    uneven = np.take_along_axis(indices, order, 1), np.take_along_axis(longer, order, 1)
    first, second = (cluster_graph(*graph, min_samples=min_samples) for graph in ((indices, distances), uneven))
    assert len(first.persistence) > 1
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.tree.lambdas, second.tree.lambdas)


def test_an_edge_found_from_one_side_joins_both() -> None:
    # only the first group found the second
    indices = np.array([[1, 2], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4]], np.int32)
    distances = np.full((6, 2), 0.1, np.float32)
    apart = cluster_graph(indices, distances, min_samples=1, min_cluster_size=3)
    assert apart.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert (apart.tree.lambdas[apart.tree.child > 6] == 0).all()
    bridged = np.c_[indices, [3, -1, -1, -1, -1, -1]].astype(np.int32)
    joined = cluster_graph(
        bridged, np.c_[distances, [0.5] + [np.inf] * 5].astype(np.float32), min_samples=1, min_cluster_size=3
    )
    assert joined.labels.tolist() == apart.labels.tolist()
    np.testing.assert_allclose(joined.tree.lambdas[joined.tree.child > 6], 1 / np.float32(0.5))


def test_connected_components_are_separate_clusters() -> None:
    points = np.concatenate([blobs(0, 15) * 0.01 + offset for offset in (0, 100, 200, 300)])
    result = cluster_graph(*knn(points, 8), min_samples=2, min_cluster_size=5)
    assert same(result.labels, np.repeat(np.arange(4), 15))


def test_isolated_points_are_noise_with_probability_0_and_do_not_change_the_others() -> None:
    isolated = [0, 7, 39]
    others = np.setdiff1d(np.arange(40), isolated)
    points = blobs(3, 40)
    graph = without(knn(points, 39), isolated)
    with_isolated = cluster_graph(*graph, min_samples=2, min_cluster_size=4)
    assert (with_isolated.labels[isolated] == -1).all()
    assert (with_isolated.probabilities[isolated] == 0).all()
    without_isolated = cluster_graph(*knn(points[others], 39), min_samples=2, min_cluster_size=4)
    assert without_isolated.labels.max() >= 1
    assert same(with_isolated.labels[others], without_isolated.labels)


def test_copies_of_one_point_are_in_one_cluster_with_probability_1() -> None:
    points = copies(1)
    is_copy = (points == 0).all(axis=1)
    result = cluster_graph(*knn(points, 50), min_samples=3, min_cluster_size=5)
    assert len(set(result.labels[is_copy])) == 1
    assert result.labels[is_copy][0] >= 0
    assert (result.probabilities[is_copy] == 1).all()
