"""Neighbor arrays from pairs of arrays, sparse and dense matrices."""

from typing import Any

import numpy as np
import pytest
from graphs import GRAPHS, blobs, random_graph, same
from scipy.sparse import coo_array, coo_matrix, csc_array, csr_array, csr_matrix

from job.backends.graph_hdbscan import cluster_graph
from job.backends.graph_hdbscan.neighbor_arrays import from_dense, from_pair, from_sparse

INF = float("inf")


# ---- pairs of arrays


def test_a_pair_is_sorted_by_distance_then_row_with_missing_neighbors_last() -> None:
    indices = [[2, 0, 1, 3], [-1, 3, 0, 1], [3, 1, -1, 0], [2, -1, 1, 0]]
    distances = [[0.5, 0, 0.25, 0.5], [0.1, 0.5, 0.5, 0.2], [INF, 0.5, 0, 0.25], [3, INF, 2, 1]]
    neighbors, lengths = from_pair(np.array(indices), np.array(distances))
    assert neighbors.tolist() == [[1, 2, 3, -1], [0, 3, -1, -1], [0, 1, -1, -1], [0, 1, 2, -1]]
    assert lengths.tolist() == [[0.25, 0.5, 0.5, INF], [0.5, 0.5, INF, INF], [0.25, 0.5, INF, INF], [1, 2, 3, INF]]
    assert (neighbors.dtype, lengths.dtype) == (np.int32, np.float32)


@pytest.mark.parametrize("index_type", [np.int32, np.int64, np.uint32, np.int16])
@pytest.mark.parametrize("distance_type", [np.float32, np.float64, np.float16])
def test_a_pair_of_other_types_gives_the_same(index_type: Any, distance_type: Any) -> None:
    indices, distances = random_graph(0, 60, 5, levels=8)
    indices[indices < 0] = np.nonzero(indices < 0)[0]  # the row itself instead of -1: it is also removed
    neighbors, lengths = from_pair(indices.astype(index_type), distances.astype(distance_type))
    expected = from_pair(indices, distances)
    np.testing.assert_array_equal(neighbors, expected[0])
    np.testing.assert_array_equal(lengths, expected[1])


def test_a_valid_pair_is_copied_unchanged() -> None:
    graph = GRAPHS["blobs 2 n=200 k=15"]()
    neighbors, lengths = from_pair(*graph)
    np.testing.assert_array_equal(neighbors, graph[0])
    np.testing.assert_array_equal(lengths, graph[1])
    assert not np.shares_memory(neighbors, graph[0])


def test_equal_distances_are_sorted_by_row_in_rows_that_ascend_already() -> None:
    neighbors, lengths = from_pair([[2, 1], [0, 2], [1, 0]], [[1.0, 1.0], [0.5, 1.0], [1.0, 1.0]])
    assert neighbors.tolist() == [[1, 2], [0, 2], [0, 1]]
    assert lengths.tolist() == [[1, 1], [0.5, 1], [1, 1]]


def test_lists_are_accepted_and_a_negative_zero_becomes_zero() -> None:
    neighbors, lengths = from_pair([[1], [0]], [[-0.0], [0.0]])
    assert neighbors.tolist() == [[1], [0]]
    assert not np.signbit(lengths).any()


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_distances_that_float32_cannot_hold_are_infinite() -> None:
    neighbors, lengths = from_pair(np.array([[1], [0]]), np.array([[1e300], [1.0]]))
    assert neighbors.tolist() == [[-1], [0]]
    assert lengths.tolist() == [[INF], [1]]


@pytest.mark.parametrize(("n", "k"), [(0, 0), (0, 5), (3, 0)])
def test_no_rows_or_no_columns(n: int, k: int) -> None:
    neighbors, lengths = from_pair(np.zeros((n, k), np.int64), np.zeros((n, k)))
    assert neighbors.shape == lengths.shape == (n, k)


@pytest.mark.parametrize(
    ("indices", "distances", "message"),
    [
        ([[1], [0]], [[1.0, 2.0], [1.0, 2.0]], r"\(2, 1\) and distances \(2, 2\)"),
        ([1, 0], [1.0, 1.0], r"the same shape \[n, k\]"),
        ([[1.0], [0.0]], [[1.0], [1.0]], "integers, got float64"),
        ([[2], [0]], [[1.0], [1.0]], r"from 0 to 2, expected -1 \(no neighbor\) to 1"),
        ([[1], [-2]], [[1.0], [1.0]], "from -2 to 1"),
        ([[1], [0]], [[np.nan], [1.0]], "NaN in the distances"),
        ([[1], [0]], [[-0.5], [1.0]], "Negative values in data.*-0.5"),
        ([[1, 2], [0, 2], [1, 1]], [[1.0, 2.0]] * 3, "row 2 contains a neighbor twice"),
        ([[1, 2, 1], [0, 2, -1], [0, 1, -1]], [[1.0, 2.0, 3.0]] * 3, "row 0 contains a neighbor twice"),
    ],
)
def test_a_wrong_pair_is_refused_and_the_error_says_what_is_wrong(indices: Any, distances: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_pair(np.array(indices), np.array(distances))


# ---- sparse matrices


def edges(neighbors: Any, lengths: Any) -> dict[tuple[int, int], float]:
    rows, at = np.nonzero(neighbors >= 0)
    ends = neighbors[rows, at]
    pairs = zip(np.minimum(rows, ends).tolist(), np.maximum(rows, ends).tolist(), strict=True)
    found = list(zip(pairs, lengths[rows, at].tolist(), strict=True))
    assert len(dict(found)) == len(found), "an edge occurs twice"
    return dict(found)


@pytest.mark.parametrize("kind", [coo_array, csr_array, csc_array, csr_matrix, coo_matrix])
def test_the_smaller_direction_counts_zeros_are_distances_and_the_diagonal_is_ignored(kind: Any) -> None:
    rows, columns = np.array([0, 1, 0, 2, 3, 3, 1]), np.array([1, 0, 2, 0, 3, 0, 1])
    lengths = np.array([2.0, 1.0, 0.0, 3.0, 0.5, 0.25, 0.0])
    neighbors, lengths = from_sparse(kind(coo_array((lengths, (rows, columns)), shape=(5, 5))))
    assert edges(neighbors, lengths) == {(0, 1): 1.0, (0, 2): 0.0, (0, 3): 0.25}
    assert (neighbors.dtype, lengths.dtype, len(neighbors)) == (np.int32, np.float32, 5)
    assert np.isinf(lengths[neighbors < 0]).all()
    assert (lengths[:, 1:] >= lengths[:, :-1]).all()


def test_the_smallest_of_repeated_entries_counts() -> None:
    neighbors, lengths = from_sparse(coo_array((np.array([3.0, 1.0, 2.0]), ([0, 0, 1], [1, 1, 0])), shape=(2, 2)))
    assert edges(neighbors, lengths) == {(0, 1): 1.0}


def test_a_stored_infinity_is_not_an_edge() -> None:
    neighbors, lengths = from_sparse(coo_array((np.array([INF, 1.0]), ([0, 1], [1, 2])), shape=(3, 3)))
    assert edges(neighbors, lengths) == {(1, 2): 1.0}


@pytest.mark.parametrize("both", [True, False])
def test_a_point_found_by_all_others_makes_no_row_long(both: bool) -> None:
    n = 2_000
    star = coo_array((np.arange(1, n) / n, (np.zeros(n - 1, int), np.arange(1, n))), shape=(n, n))
    neighbors, lengths = from_sparse(star + star.T if both else star)
    assert neighbors.shape == (n, 1)
    assert edges(neighbors, lengths) == {(0, j): float(np.float32(j / n)) for j in range(1, n)}


@pytest.mark.parametrize("n", [0, 1, 4])
def test_an_empty_sparse_matrix_has_no_neighbors(n: int) -> None:
    neighbors, _ = from_sparse(csr_array((n, n)))
    assert len(neighbors) == n
    assert (neighbors < 0).all()


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "NaN in the distances"), (-1.0, "Negative values in data"), (-INF, "Negative")]
)
def test_wrong_distances_are_refused(value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_sparse(coo_array((np.array([value]), ([0], [1])), shape=(3, 3)))


def test_a_matrix_that_is_not_square_is_refused_with_its_shape() -> None:
    for made in (lambda: from_sparse(csr_array((3, 4))), lambda: from_dense(np.ones((3, 4)))):
        with pytest.raises(ValueError, match=r"must be square, this one has shape \(3, 4\)"):
            made()


# ---- dense matrices


def test_each_row_of_a_dense_matrix_holds_its_own_neighbors() -> None:
    neighbors, lengths = from_dense(np.array([[0, 2, INF], [1, 5, np.nan], [0, 0.5, 0]]))
    assert neighbors.tolist() == [[1, -1], [0, -1], [0, 1]]
    assert lengths.tolist() == [[2, INF], [1, INF], [0, 0.5]]


def test_negative_distances_of_a_dense_matrix_are_refused() -> None:
    for value in (-0.5, -INF):
        with pytest.raises(ValueError, match="Negative values in data"):
            from_dense(np.array([[0, value], [1, 0]]))


# ---- one graph in three forms


@pytest.mark.parametrize("name", ["blobs 2 n=200 k=15", "ties 1", "60 copies, k=50, 0", "isolates 1", "disconnected 0"])
def test_the_three_forms_give_the_same_clusters(name: str) -> None:
    indices, distances = GRAPHS[name]()
    n = len(indices)
    rows, at = np.nonzero(indices >= 0)
    matrix = np.full((n, n), INF)
    matrix[rows, indices[rows, at]] = distances[rows, at]
    forms = (
        from_pair(indices, distances),
        from_sparse(coo_array((distances[rows, at], (rows, indices[rows, at])), shape=(n, n))),
        from_dense(matrix),
    )
    results = [cluster_graph(*graph, min_samples=2, min_cluster_size=4) for graph in forms]
    for other in results[1:]:
        np.testing.assert_array_equal(other.labels, results[0].labels)
        np.testing.assert_array_equal(other.probabilities, results[0].probabilities)


def test_a_full_distance_matrix_gives_the_clusters_of_its_vectors() -> None:
    from hdbscan import HDBSCAN

    points = blobs(1, 120).astype(np.float32).astype(np.float64)
    matrix = np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1))
    theirs = HDBSCAN(min_samples=1, min_cluster_size=4).fit(points)
    assert same(cluster_graph(*from_dense(matrix), min_samples=1, min_cluster_size=4).labels, theirs.labels_)
