"""HDBSCAN on a neighbor graph, against `hdbscan` on the dense matrix and against itself on shuffled rows."""

from collections.abc import Callable
from typing import Any

import hdbscan
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from job.backends.graph_hdbscan import Result, by_size, cluster_graph
from job.data import Clusters, Floats, Ints

Points = np.ndarray
Graph = tuple[Ints, Floats]


def knn(points: Points, k: int) -> Graph:
    """Each row's k nearest others, ties by row number."""
    n = len(points)
    distances = np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1)).astype(np.float32)
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, : min(k, n - 1)].astype(np.int32)
    return order, np.take_along_axis(distances, order, 1)


def without(graph: Graph, rows: list[int], cut: float = np.inf) -> Graph:
    """The graph with `rows` known to nobody and edges from `cut` up left out, rows padded with -1."""
    indices, distances = graph[0].copy(), graph[1].copy()
    gone = np.isin(indices, rows) | np.isin(np.arange(len(indices)), rows)[:, None] | (distances >= cut)
    indices[gone], distances[gone] = -1, np.inf
    order = np.argsort(gone, axis=1, kind="stable")
    return np.take_along_axis(indices, order, 1), np.take_along_axis(distances, order, 1)


def blobs(seed: int, n: int, spread: float = 0.6) -> Points:
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(max(1, n // 20), 4)) * 3
    return centers[rng.integers(0, len(centers), n)] + rng.normal(size=(n, 4)) * spread


def copies(seed: int) -> Points:
    """60 copies of one point between others: with k = 50 a copy does not even see all of its equals."""
    points = np.concatenate([np.zeros((60, 4)), blobs(seed, 140)])
    return np.random.default_rng(seed).permutation(points)


GRAPHS: dict[str, Callable[[], Graph]] = {
    **{f"blobs {s} n={n} k={k}": (lambda s=s, n=n, k=k: knn(blobs(s, n), k)) for s, n, k in (
        (0, 30, 5), (1, 80, 5), (2, 200, 15), (3, 300, 15), (4, 200, 3), (5, 120, 50), (6, 300, 1), (7, 500, 15))},
    **{f"ties {s}": (lambda s=s: knn(np.round(blobs(s, 150)), 15)) for s in range(4)},
    **{f"duplicates {s}": (lambda s=s: knn(np.round(blobs(s, 200) / 2), 10)) for s in range(4)},
    **{f"60 copies, k=50, {s}": (lambda s=s: knn(copies(s), 50)) for s in range(4)},
    **{f"disconnected {s}": (lambda s=s: knn(blobs(s, 150, spread=0.05), 3)) for s in range(3)},
    **{f"isolates {s}": (lambda s=s: without(knn(blobs(s, 120), 8), [0, 5, 60, 119])) for s in range(3)},
    **{f"long edges cut {s}": (lambda s=s: without(knn(blobs(s, 120), 8), [], cut=1.0)) for s in range(3)},
    **{f"fewer than k, n={n}": (lambda n=n: knn(blobs(1, n), 50)) for n in (12, 40)},
    **{f"all identical, n={n}": (lambda n=n: knn(np.ones((n, 4)), 15)) for n in (3, 10, 60)},
    **{f"n={n}": (lambda n=n: knn(blobs(n, n), 3)) for n in range(2, 8)},
}  # fmt: skip


@pytest.fixture(params=GRAPHS)
def graph(request: pytest.FixtureRequest) -> Graph:
    return GRAPHS[request.param]()


PARAMETERS = pytest.mark.parametrize(("min_samples", "min_cluster_size"), [(3, 3), (2, 5), (1, 2), (5, 4)])


def dense(graph: Graph) -> np.ndarray:
    """The tutorial's matrix: row i holds the squared distances to i's own neighbors, inf elsewhere, 0 to itself."""
    indices, distances = graph
    matrix = np.full((len(indices), len(indices)), np.inf)
    rows, columns = np.nonzero(indices >= 0)
    matrix[rows, indices[rows, columns]] = distances[rows, columns].astype(np.float64) ** 2
    np.fill_diagonal(matrix, 0)
    return matrix


def shuffled(graph: Graph, seed: int) -> tuple[Graph, np.ndarray]:
    """The same graph with its rows in another order: new row r is old row order[r]."""
    indices, distances = graph
    order = np.random.default_rng(seed).permutation(len(indices))
    new = np.empty(len(indices) + 1, np.int32)
    new[order] = np.arange(len(indices))
    new[-1] = -1
    return (new[indices[order]], distances[order]), order


def same(ours: Ints, theirs: Any) -> bool:
    """Equal clusters up to their numbers, and the same noise."""
    return adjusted_rand_score(ours, theirs) == 1.0 and bool(((ours < 0) == (np.asarray(theirs) < 0)).all())


def check_form(result: Result, n: int) -> None:
    count = len(result.persistence)
    assert result.labels.dtype == np.int32
    assert result.probabilities.dtype == result.persistence.dtype == np.float32
    assert set(result.labels) - {-1} == set(range(count))
    assert ((result.probabilities >= 0) & (result.probabilities <= 1)).all()
    assert (result.probabilities[result.labels < 0] == 0).all()
    assert ((result.persistence >= 0) & (result.persistence <= 1)).all()
    sizes = np.bincount(result.labels[result.labels >= 0], minlength=count)
    first = [int(np.argmax(result.labels == c)) for c in range(count)]
    keys = list(zip(-sizes, first, strict=True))
    assert keys == sorted(keys), "clusters are not numbered by size, then by first row"
    # and what the stage makes of it accepts it
    Clusters(
        result.labels, result.probabilities, result.persistence, result.labels, np.zeros(n, np.float32), result.tree
    )


# ---- tutorial: what hdbscan makes of the dense matrix


def test_there_are_enough_data_sets() -> None:
    assert len(GRAPHS) >= 32


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@PARAMETERS
def test_the_tutorials_mode_equals_hdbscan_on_the_dense_matrix(
    graph: Graph, min_samples: int, min_cluster_size: int
) -> None:
    ours = cluster_graph(*graph, mode="tutorial", min_samples=min_samples, min_cluster_size=min_cluster_size)
    theirs = hdbscan.HDBSCAN(min_samples=min_samples, min_cluster_size=min_cluster_size, metric="precomputed")
    theirs.fit(dense(graph))
    check_form(ours, len(graph[0]))
    assert same(ours.labels, theirs.labels_)
    np.testing.assert_allclose(np.sort(ours.probabilities), np.sort(theirs.probabilities_), atol=1e-6)
    tree = theirs.condensed_tree_._raw_tree
    np.testing.assert_allclose(np.sort(ours.tree.lambdas), np.sort(tree["lambda_val"]), rtol=1e-9)
    np.testing.assert_array_equal(np.sort(ours.tree.sizes), np.sort(tree["child_size"]))
    if np.isfinite(tree["lambda_val"]).all():
        np.testing.assert_allclose(np.sort(ours.persistence), np.sort(theirs.cluster_persistence_), atol=1e-5)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize(("min_samples", "min_cluster_size"), [(2, 3), (1, 2)])
def test_the_tutorials_leaves_equal_hdbscans(graph: Graph, min_samples: int, min_cluster_size: int) -> None:
    settings: dict[str, Any] = {"min_samples": min_samples, "min_cluster_size": min_cluster_size}
    ours = cluster_graph(*graph, mode="tutorial", selection="leaf", **settings)
    theirs = hdbscan.HDBSCAN(metric="precomputed", cluster_selection_method="leaf", **settings).fit(dense(graph))
    check_form(ours, len(graph[0]))
    assert same(ours.labels, theirs.labels_)


def test_leaves_are_finer_than_excess_of_mass() -> None:
    # two pairs of groups, the pairs far apart: mass is for the pairs, the leaves are the groups
    points = np.random.default_rng(0).normal(size=(80, 2)) * 0.3
    points[:, 0] += np.repeat([0.0, 1.2, 40.0, 41.2], 20)
    graph = knn(points, 50)
    found = {
        selection: len(cluster_graph(*graph, min_samples=3, min_cluster_size=10, selection=selection).persistence)
        for selection in ("eom", "leaf")
    }
    assert found == {"eom": 2, "leaf": 4}


# ---- canonical


@PARAMETERS
def test_canonical_results_are_well_formed(graph: Graph, min_samples: int, min_cluster_size: int) -> None:
    for selection in ("eom", "leaf"):
        result = cluster_graph(*graph, min_samples=min_samples, min_cluster_size=min_cluster_size, selection=selection)
        check_form(result, len(graph[0]))
        assert (np.bincount(result.labels[result.labels >= 0]) >= min_cluster_size).all()


SHUFFLED = ("blobs 2 n=200 k=15", "ties 1", "duplicates 0", "60 copies, k=50, 0", "disconnected 0", "isolates 1", "n=7")


@pytest.mark.parametrize("name", SHUFFLED)
@pytest.mark.parametrize("selection", ["eom", "leaf"])
def test_canonical_clusters_do_not_depend_on_the_order_of_rows(name: str, selection: Any) -> None:
    graph = GRAPHS[name]()
    settings: dict[str, Any] = {"min_samples": 2, "min_cluster_size": 3, "selection": selection}
    before = cluster_graph(*graph, **settings)
    for seed in range(20):
        other, order = shuffled(graph, seed)
        after = cluster_graph(*other, **settings)
        assert same(after.labels, before.labels[order])
        np.testing.assert_allclose(after.probabilities, before.probabilities[order], atol=1e-6)
        np.testing.assert_allclose(np.sort(after.persistence), np.sort(before.persistence), atol=1e-6)


def test_the_tutorials_mode_does_depend_on_the_order_of_rows() -> None:
    graph = GRAPHS["ties 1"]()
    settings: dict[str, Any] = {"mode": "tutorial", "min_samples": 2, "min_cluster_size": 3}
    before = cluster_graph(*graph, **settings)
    runs = [(cluster_graph(*other, **settings), order) for other, order in (shuffled(graph, s) for s in range(20))]
    assert not all(same(after.labels, before.labels[order]) for after, order in runs)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("k", [6, 300])
def test_where_no_two_edges_are_equally_long_canonical_is_hdbscan_on_the_symmetric_matrix(seed: int, k: int) -> None:
    # with min_samples = 1 an edge's mutual reachability is its length: no ties, so no order of ties
    graph = knn(blobs(seed, 150), k)
    matrix = np.sqrt(dense(graph))
    theirs = hdbscan.HDBSCAN(min_samples=1, min_cluster_size=5, metric="precomputed").fit(np.minimum(matrix, matrix.T))
    ours = cluster_graph(*graph, min_samples=1, min_cluster_size=5)
    assert same(ours.labels, theirs.labels_)
    np.testing.assert_allclose(np.sort(ours.probabilities), np.sort(theirs.probabilities_), atol=1e-6)


def test_merges_of_one_height_happen_at_once() -> None:
    # three groups of five in a row, both gaps of one length
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
def test_of_two_distances_between_two_points_the_smaller_counts(min_samples: int) -> None:
    indices, distances = knn(blobs(5, 60), 59)
    longer = np.where(indices > np.arange(60)[:, None], distances * np.float32(1.3), distances)
    order = np.argsort(longer, axis=1, kind="stable")
    uneven = np.take_along_axis(indices, order, 1), np.take_along_axis(longer, order, 1)
    first, second = (cluster_graph(*graph, min_samples=min_samples) for graph in ((indices, distances), uneven))
    assert len(first.persistence) > 1
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.tree.lambdas, second.tree.lambdas)


def test_an_edge_found_from_one_side_joins_both() -> None:
    # the second group is found by the first alone
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


def test_parts_without_an_edge_between_them_are_clusters_of_their_own() -> None:
    points = np.concatenate([blobs(0, 15) * 0.01 + offset for offset in (0, 100, 200, 300)])
    result = cluster_graph(*knn(points, 8), min_samples=2, min_cluster_size=5)
    assert same(result.labels, np.repeat(np.arange(4), 15))


def test_isolated_points_are_noise_of_no_probability_and_disturb_nobody() -> None:
    lone = [0, 7, 39]
    others = np.setdiff1d(np.arange(40), lone)
    points = blobs(3, 40)
    graph = without(knn(points, 39), lone)
    with_lone = cluster_graph(*graph, min_samples=2, min_cluster_size=4)
    assert (with_lone.labels[lone] == -1).all()
    assert (with_lone.probabilities[lone] == 0).all()
    alone = cluster_graph(*knn(points[others], 39), min_samples=2, min_cluster_size=4)
    assert alone.labels.max() >= 1
    assert same(with_lone.labels[others], alone.labels)


def test_copies_of_one_text_are_in_one_cluster_surely() -> None:
    points = copies(1)
    here = (points == 0).all(axis=1)
    result = cluster_graph(*knn(points, 50), min_samples=3, min_cluster_size=5)
    assert len(set(result.labels[here])) == 1
    assert result.labels[here][0] >= 0
    assert (result.probabilities[here] == 1).all()


# ---- both modes, at the edges

MODES = pytest.mark.parametrize("mode", ["canonical", "tutorial"])
SELECTIONS = pytest.mark.parametrize("selection", ["eom", "leaf"])


@MODES
@SELECTIONS
@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("k", [0, 1, 4])
def test_one_to_three_points_are_noise_with_neighbors_or_without(mode: Any, selection: Any, n: int, k: int) -> None:
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
def test_nobody_with_a_neighbor_is_all_noise(mode: Any) -> None:
    none = np.full((20, 5), -1, np.int32), np.full((20, 5), np.inf, np.float32)
    assert set(cluster_graph(*none, mode=mode, min_samples=1, min_cluster_size=2).labels) == {-1}


@MODES
def test_fewer_points_than_a_cluster_needs_are_noise(mode: Any) -> None:
    graph = knn(blobs(0, 20), 10)
    assert set(cluster_graph(*graph, mode=mode, min_cluster_size=21).labels) == {-1}


@MODES
@SELECTIONS
def test_identical_points_alone_are_one_root_and_so_noise(mode: Any, selection: Any) -> None:
    result = cluster_graph(*knn(np.ones((30, 4)), 10), mode=mode, selection=selection)
    assert set(result.labels) == {-1}


@MODES
def test_more_samples_than_points_are_as_many_as_there_are(mode: Any) -> None:
    graph = knn(blobs(2, 12), 11)
    most = cluster_graph(*graph, mode=mode, min_samples=11, min_cluster_size=2)
    more = cluster_graph(*graph, mode=mode, min_samples=500, min_cluster_size=2)
    np.testing.assert_array_equal(most.labels, more.labels)
    np.testing.assert_array_equal(most.probabilities, more.probabilities)


@MODES
def test_the_graph_is_left_as_it_was_and_read_only_arrays_will_do(mode: Any) -> None:
    graph = knn(blobs(0, 60), 8)
    before = graph[0].copy(), graph[1].copy()
    for array in graph:
        array.flags.writeable = False
    cluster_graph(*graph, mode=mode)
    np.testing.assert_array_equal(graph[0], before[0])
    np.testing.assert_array_equal(graph[1], before[1])


@MODES
def test_the_same_graph_gives_the_same_answer(mode: Any) -> None:
    graph = GRAPHS["ties 0"]()
    first, second = (cluster_graph(*graph, mode=mode, min_samples=2) for _ in range(2))
    for name in ("labels", "probabilities", "persistence"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


# ---- numbers of clusters


def test_clusters_are_numbered_by_size_then_by_first_row() -> None:
    labels, order = by_size(np.array([3, -1, 0, 0, 2, 2, 1, 1, 1, 3, -1]))
    assert labels.tolist() == [1, -1, 2, 2, 3, 3, 0, 0, 0, 1, -1]
    assert order.tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("labels", [[], [-1, -1]])
def test_no_clusters_have_no_numbers(labels: list[int]) -> None:
    new, order = by_size(np.array(labels, np.int64))
    assert (new.tolist(), order.tolist()) == (labels, [])


# ---- errors


def test_arrays_of_two_shapes_are_refused_with_both() -> None:
    indices, distances = knn(blobs(0, 20), 5)
    with pytest.raises(ValueError, match=r"\(20, 5\).*\(20, 4\)"):
        cluster_graph(indices, distances[:, :4])
    with pytest.raises(ValueError, match=r"one shape \[n, k\]"):
        cluster_graph(indices[0], distances[0])


def test_arrays_of_other_types_are_refused_with_both() -> None:
    indices, distances = knn(blobs(0, 20), 5)
    with pytest.raises(ValueError, match="int64 and float32"):
        cluster_graph(indices.astype(np.int64), distances)
    with pytest.raises(ValueError, match="int32 and float64"):
        cluster_graph(indices, distances.astype(np.float64))


@pytest.mark.parametrize(("min_samples", "min_cluster_size"), [(0, 5), (-1, 5), (3, 1), (3, 0)])
def test_parameters_out_of_range_are_refused_with_their_values(min_samples: int, min_cluster_size: int) -> None:
    with pytest.raises(ValueError, match=f"min_samples={min_samples} .*min_cluster_size={min_cluster_size} "):
        cluster_graph(*knn(blobs(0, 20), 5), min_samples=min_samples, min_cluster_size=min_cluster_size)
