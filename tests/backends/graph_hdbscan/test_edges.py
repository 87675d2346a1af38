"""Small, degenerate and invalid input; numbering of clusters; several cuts of one tree."""

from typing import Any

import numpy as np
import pytest
from graphs import GRAPHS, blobs, knn

from job.backends.graph_hdbscan import by_size, cluster_graph, cut, linkage_of

MODES = pytest.mark.parametrize("mode", ["canonical", "tutorial"])
SELECTIONS = pytest.mark.parametrize("selection", ["eom", "leaf"])


@MODES
@SELECTIONS
@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("k", [0, 1, 4])
def test_up_to_three_points_are_noise_with_or_without_neighbors(mode: Any, selection: Any, n: int, k: int) -> None:
    indices, distances = knn(np.arange(float(n))[:, None], k) if n > 1 else (np.zeros((n, 0), np.int32),) * 2
    missing = k - indices.shape[1]
    indices = np.pad(indices, ((0, 0), (0, missing)), constant_values=-1)
    distances = np.pad(distances.astype(np.float32), ((0, 0), (0, missing)), constant_values=np.inf)
    result = cluster_graph(indices, distances, mode=mode, selection=selection, min_samples=2, min_cluster_size=2)
    assert result.labels.tolist() == [-1] * n
    assert result.probabilities.tolist() == [0.0] * n
    assert len(result.persistence) == 0


@MODES
def test_two_pairs_are_two_clusters(mode: Any) -> None:
    result = cluster_graph(
        *knn(np.array([[0.0], [0.1], [5.0], [5.1]]), 3), mode=mode, min_samples=1, min_cluster_size=2
    )
    assert result.labels.tolist() == [0, 0, 1, 1]


@MODES
def test_a_graph_without_edges_is_all_noise(mode: Any) -> None:
    none = np.full((20, 5), -1, np.int32), np.full((20, 5), np.inf, np.float32)
    assert set(cluster_graph(*none, mode=mode, min_samples=1, min_cluster_size=2).labels) == {-1}


@MODES
def test_fewer_points_than_min_cluster_size_are_noise(mode: Any) -> None:
    graph = knn(blobs(0, 20), 10)
    assert set(cluster_graph(*graph, mode=mode, min_cluster_size=21).labels) == {-1}


@MODES
@SELECTIONS
def test_only_identical_points_form_the_root_and_are_noise(mode: Any, selection: Any) -> None:
    result = cluster_graph(*knn(np.ones((30, 4)), 10), mode=mode, selection=selection)
    assert set(result.labels) == {-1}


@MODES
def test_min_samples_is_limited_to_the_number_of_other_points(mode: Any) -> None:
    graph = knn(blobs(2, 12), 11)
    most = cluster_graph(*graph, mode=mode, min_samples=11, min_cluster_size=2)
    more = cluster_graph(*graph, mode=mode, min_samples=500, min_cluster_size=2)
    np.testing.assert_array_equal(most.labels, more.labels)
    np.testing.assert_array_equal(most.probabilities, more.probabilities)


@MODES
def test_the_graph_is_not_changed_and_may_be_read_only(mode: Any) -> None:
    graph = knn(blobs(0, 60), 8)
    before = graph[0].copy(), graph[1].copy()
    for array in graph:
        array.flags.writeable = False
    cluster_graph(*graph, mode=mode)
    np.testing.assert_array_equal(graph[0], before[0])
    np.testing.assert_array_equal(graph[1], before[1])


@MODES
def test_the_same_graph_gives_the_same_result(mode: Any) -> None:
    graph = GRAPHS["ties 0"]()
    first, second = (cluster_graph(*graph, mode=mode, min_samples=2) for _ in range(2))
    for name in ("labels", "probabilities", "persistence"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


# ---- numbering of clusters


def test_clusters_are_numbered_by_size_then_by_first_row() -> None:
    labels, order = by_size(np.array([3, -1, 0, 0, 2, 2, 1, 1, 1, 3, -1]), 4)
    assert labels.tolist() == [1, -1, 2, 2, 3, 3, 0, 0, 0, 1, -1]
    assert order.tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("labels", [[], [-1, -1]])
def test_by_size_without_clusters(labels: list[int]) -> None:
    new, order = by_size(np.array(labels, np.int64), 0)
    assert (new.tolist(), order.tolist()) == (labels, [])


# ---- errors


def test_different_shapes_are_refused_and_both_are_named() -> None:
    indices, distances = knn(blobs(0, 20), 5)
    with pytest.raises(ValueError, match=r"\(20, 5\).*\(20, 4\)"):
        cluster_graph(indices, distances[:, :4])
    with pytest.raises(ValueError, match=r"the same shape \[n, k\]"):
        cluster_graph(indices[0], distances[0])


def test_wrong_dtypes_are_refused_and_both_are_named() -> None:
    indices, distances = knn(blobs(0, 20), 5)
    with pytest.raises(ValueError, match="int64 and float32"):
        cluster_graph(indices.astype(np.int64), distances)
    with pytest.raises(ValueError, match="int32 and float64"):
        cluster_graph(indices, distances.astype(np.float64))


@pytest.mark.parametrize("min_samples", [0, -1])
def test_min_samples_out_of_range_is_refused_and_named(min_samples: int) -> None:
    for cluster in (cluster_graph, linkage_of):
        with pytest.raises(ValueError, match=f"min_samples={min_samples} must be at least 1"):
            cluster(*knn(blobs(0, 20), 5), min_samples=min_samples)


@pytest.mark.parametrize(
    "settings", [{"min_cluster_size": 1}, {"min_cluster_size": 0}, {"epsilon": -0.5}, {"max_cluster_size": -1}]
)
def test_cut_parameters_out_of_range_are_refused_and_named(settings: dict[str, Any]) -> None:
    (name, value) = next(iter(settings.items()))
    tree = linkage_of(*knn(blobs(0, 20), 5))
    with pytest.raises(ValueError, match=f"{name}={value}"):
        cut(tree, **settings)
    with pytest.raises(ValueError, match=f"{name}={value}"):
        cluster_graph(*knn(blobs(0, 20), 5), **settings)


# ---- several cuts of one tree


@MODES
def test_a_tree_can_be_cut_several_times_and_is_not_changed(mode: Any) -> None:
    graph = knn(blobs(7, 300), 15)
    tree = linkage_of(*graph, mode=mode, min_samples=2)
    before = tree.merges.copy()
    counts = []
    for min_cluster_size in (3, 6, 12, 24):
        from_tree = cut(tree, min_cluster_size=min_cluster_size)
        from_graph = cluster_graph(*graph, mode=mode, min_samples=2, min_cluster_size=min_cluster_size)
        np.testing.assert_array_equal(from_tree.labels, from_graph.labels)
        counts.append(len(from_tree.persistence))
    np.testing.assert_array_equal(tree.merges, before)
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_a_selected_root_without_points_is_not_a_cluster() -> None:
    # the cut is far below all distances, so only the root can be selected
    result = cluster_graph(*knn(blobs(0, 30), 5), epsilon=1e-6, allow_single_cluster=True, min_cluster_size=20)
    assert len(result.persistence) == len(result.clusters) == len(result.exemplars()) == 0
    assert set(result.labels) == {-1}


@pytest.mark.parametrize(("name", "epsilon"), [("blobs 0 n=30 k=5", 0.3), ("n=5", 1.0)])
def test_no_exemplar_of_a_root_that_epsilon_cuts_is_noise(name: str, epsilon: float) -> None:
    result = cluster_graph(
        *GRAPHS[name](), min_samples=1, min_cluster_size=2, allow_single_cluster=True, epsilon=epsilon
    )
    (rows,) = result.exemplars()
    assert len(rows) and (result.labels[rows] == 0).all()
    assert (result.labels < 0).any()
