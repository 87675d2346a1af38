"""Core distances and the spanning forest: kernels against SciPy, array operations (the GPU code) against kernels."""

import tracemalloc

import device_arrays
import numpy as np
import pytest
from graphs import ALL, Graph, random_graph, reference_forest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from job.backends.graph_hdbscan import (
    Linkage,
    boruvka,
    cluster_graph,
    core_distances,
    cut,
    linkage,
    row_ranges,
    spanning_forest,
)

EVERY = pytest.mark.parametrize("name", ALL)
SAMPLES = (1, 2, 3, 5, 11)


def check_tree(edges: spanning_forest.Edges, n: int) -> None:
    assert (edges.left.dtype, edges.right.dtype, edges.weights.dtype) == (np.int32, np.int32, np.float32)
    assert len(edges) == n - 1
    assert (edges.weights[1:] >= edges.weights[:-1]).all()
    joined = coo_array((np.ones(n - 1), (edges.left, edges.right)), shape=(n, n))
    assert connected_components(joined, directed=False, return_labels=False) == 1


def check_against_scipy(graph: Graph, m: int, workers: int = 1) -> None:
    cores, weights = reference_forest(graph, m)
    ours = core_distances.from_both_sides(*graph, m, workers)
    np.testing.assert_array_equal(ours, cores)
    edges = spanning_forest.spanning_edges(*graph, ours, workers)
    check_tree(edges, len(graph[0]))
    np.testing.assert_array_equal(edges.weights, weights)


@EVERY
def test_core_distances_and_weights_equal_scipys(name: str) -> None:
    graph = ALL[name]()
    for m in SAMPLES:
        check_against_scipy(graph, m)


@EVERY
def test_many_row_ranges_and_threads_give_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_ranges, "ROWS_PER_RANGE", 37)
    graph = ALL[name]()
    for m, workers in ((1, 1), (3, 2), (2, 5)):
        check_against_scipy(graph, m, workers)


@pytest.mark.parametrize("levels", [0, 50])
def test_a_graph_of_several_row_ranges(levels: int) -> None:
    graph = random_graph(7, 2 * row_ranges.ROWS_PER_RANGE + 1_000, 4, levels=levels, components=5, missing=0.1)
    for m, workers in ((1, 1), (3, 2), (6, 5)):
        check_against_scipy(graph, m, workers)


def test_a_band_is_smaller_than_the_graph() -> None:
    # otherwise the tests above would only cover a single band
    graph = random_graph(0, 600, 12)
    cores = core_distances.from_both_sides(*graph, 1)
    sets, heads = np.arange(600, dtype=np.int32), np.zeros(600, np.int32)
    sample = spanning_forest._sample_weights(*graph, cores, sets, heads, 1)
    assert spanning_forest._next_limit(sample, 600) < sample.max()


def test_weights_are_sorted_in_twelve_bytes_each() -> None:
    weights = np.random.default_rng(0).random(500_000, np.float32)
    tracemalloc.start()
    order = spanning_forest._argsort_weights(weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12.5 * len(weights)
    assert (np.diff(weights[order]) >= 0).all()


def test_from_columns_uses_the_distances_at_which_others_found_the_point() -> None:
    indices = np.array([[1, 2], [0, -1], [0, 1], [0, -1]], np.int32)
    distances = np.array([[1, 2], [4, np.inf], [3, 5], [6, np.inf]], np.float32)
    inf = float("inf")
    assert core_distances.from_columns(indices, distances, 1).tolist() == [3, 1, 2, inf]
    assert core_distances.from_columns(indices, distances, 2).tolist() == [4, 5, inf, inf]


# ---- the array operations, with NumPy


def by_arrays(graph: Graph, m: int) -> spanning_forest.Edges:
    return boruvka.spanning_edges(np, np.minimum.at, *graph, m)


@EVERY
def test_array_operations_give_the_core_distances_and_weights_of_the_kernels(name: str) -> None:
    graph = ALL[name]()
    for m in SAMPLES:
        cores = core_distances.from_both_sides(*graph, m)
        np.testing.assert_array_equal(boruvka.core_distances(np, *graph, m), cores)
        edges = by_arrays(graph, m)
        check_tree(edges, len(graph[0]))
        np.testing.assert_array_equal(edges.weights, spanning_forest.spanning_edges(*graph, cores).weights)


@EVERY
def test_array_operations_keep_the_hosts_and_the_devices_arrays_apart(name: str) -> None:
    """The stand-in refuses what CuPy refuses, and gives the same edges."""
    indices, distances = ALL[name]()
    on_device = [device_arrays.xp.asarray(array) for array in (indices, distances)]
    edges = boruvka.spanning_edges(device_arrays.xp, device_arrays.scatter_min, *on_device, 3)
    expected = by_arrays((indices, distances), 3)
    for there, here in zip(vars(edges).values(), vars(expected).values(), strict=True):
        assert type(there) is np.ndarray
        np.testing.assert_array_equal(there, here)


@EVERY
def test_array_operations_give_the_clusters_of_the_kernels(name: str) -> None:
    graph = ALL[name]()
    n = len(graph[0])
    for m, min_cluster_size in ((1, 2), (3, 3), (2, 5)):
        edges = by_arrays(graph, min(m, n - 1))
        theirs = cut(
            Linkage(n, linkage.single_linkage(edges.left, edges.right, edges.weights), "canonical"),
            min_cluster_size=min_cluster_size,
        )
        ours = cluster_graph(*graph, min_samples=m, min_cluster_size=min_cluster_size)
        np.testing.assert_array_equal(theirs.labels, ours.labels)
        np.testing.assert_array_equal(theirs.probabilities, ours.probabilities)
