"""Core distances and the spanning forest: kernels against SciPy, array steps (the GPU variant) against kernels."""

import numpy as np
import pytest
from graphs import ALL, Graph, random_graph, reference_forest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from job.backends.graph_hdbscan import Linkage, boruvka, cluster_graph, cut, linkage
from job.backends.graph_hdbscan import core_distances as core
from job.backends.graph_hdbscan import row_ranges as threads
from job.backends.graph_hdbscan import spanning_forest as forest

EVERY = pytest.mark.parametrize("name", ALL)
SAMPLES = (1, 2, 3, 5, 11)


def check_tree(edges: forest.Edges, n: int) -> None:
    assert (edges.left.dtype, edges.right.dtype, edges.weights.dtype) == (np.int32, np.int32, np.float32)
    assert len(edges) == n - 1
    assert (edges.weights[1:] >= edges.weights[:-1]).all()
    joined = coo_array((np.ones(n - 1), (edges.left, edges.right)), shape=(n, n))
    assert connected_components(joined, directed=False, return_labels=False) == 1


def check_against_scipy(graph: Graph, m: int, workers: int = 1) -> None:
    cores, weights = reference_forest(graph, m)
    ours = core.from_both_sides(*graph, m, workers)
    np.testing.assert_array_equal(ours, cores)
    edges = forest.spanning_edges(*graph, ours, workers)
    check_tree(edges, len(graph[0]))
    np.testing.assert_array_equal(edges.weights, weights)


@EVERY
def test_cores_and_weights_are_scipys(name: str) -> None:
    graph = ALL[name]()
    for m in SAMPLES:
        check_against_scipy(graph, m)


@EVERY
def test_rows_in_many_ranges_and_threads_give_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "ROWS", 37)
    graph = ALL[name]()
    for m, workers in ((1, 1), (3, 2), (2, 5)):
        check_against_scipy(graph, m, workers)


@pytest.mark.parametrize("levels", [0, 50])
def test_more_rows_than_one_range_has(levels: int) -> None:
    graph = random_graph(7, 2 * threads.ROWS + 1_000, 4, levels=levels, parts=5, missing=0.1)
    for m, workers in ((1, 1), (3, 2), (6, 5)):
        check_against_scipy(graph, m, workers)


def test_a_band_is_smaller_than_the_graph() -> None:
    # else the tests above would see one band, and nothing left out in between
    graph = random_graph(0, 600, 12)
    cores = core.from_both_sides(*graph, 1)
    parts, heads = np.arange(600, dtype=np.int32), np.zeros(600, np.int32)
    sample = forest._sample(*graph, cores, parts, heads, 1)
    assert forest._next_limit(sample, 600) < sample.max()


def test_from_columns_reads_who_found_the_point() -> None:
    indices = np.array([[1, 2], [0, -1], [0, 1], [0, -1]], np.int32)
    distances = np.array([[1, 2], [4, np.inf], [3, 5], [6, np.inf]], np.float32)
    inf = float("inf")
    assert core.from_columns(indices, distances, 1).tolist() == [3, 1, 2, inf]
    assert core.from_columns(indices, distances, 2).tolist() == [4, 5, inf, inf]


# ---- the array steps, on NumPy


def by_arrays(graph: Graph, m: int) -> forest.Edges:
    return boruvka.spanning_edges(np, np.minimum.at, *graph, m)


@EVERY
def test_array_steps_give_the_kernels_cores_and_weights(name: str) -> None:
    graph = ALL[name]()
    for m in SAMPLES:
        cores = core.from_both_sides(*graph, m)
        np.testing.assert_array_equal(boruvka.core_distances(np, *graph, m), cores)
        edges = by_arrays(graph, m)
        check_tree(edges, len(graph[0]))
        np.testing.assert_array_equal(edges.weights, forest.spanning_edges(*graph, cores).weights)


@EVERY
def test_array_steps_give_the_kernels_clusters(name: str) -> None:
    graph = ALL[name]()
    n = len(graph[0])
    for m, least in ((1, 2), (3, 3), (2, 5)):
        edges = by_arrays(graph, min(m, n - 1))
        theirs = cut(
            Linkage(n, linkage.single_linkage(edges.left, edges.right, edges.weights), "canonical"),
            min_cluster_size=least,
        )
        ours = cluster_graph(*graph, min_samples=m, min_cluster_size=least)
        np.testing.assert_array_equal(theirs.labels, ours.labels)
        np.testing.assert_array_equal(theirs.probabilities, ours.probabilities)
