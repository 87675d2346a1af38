"""What people have, made into neighbor arrays."""

from typing import Any

import numpy as np
import pytest
from graphs import GRAPHS, blobs, random_graph, same
from scipy.sparse import coo_array, coo_matrix, csc_array, csr_array, csr_matrix

from job.backends.graph_hdbscan import cluster_graph
from job.backends.graph_hdbscan.neighbor_arrays import from_dense, from_pair, from_sparse

INF = float("inf")


# ---- pairs of arrays


def test_a_pair_is_sorted_by_distance_then_number_with_what_is_none_last() -> None:
    indices = [[2, 0, 1, 3], [-1, 3, 0, 1], [3, 1, -1, 0], [2, -1, 1, 0]]
    distances = [[0.5, 0, 0.25, 0.5], [0.1, 0.5, 0.5, 0.2], [INF, 0.5, 0, 0.25], [3, INF, 2, 1]]
    near, far = from_pair(np.array(indices), np.array(distances))
    assert near.tolist() == [[1, 2, 3, -1], [0, 3, -1, -1], [0, 1, -1, -1], [0, 1, 2, -1]]
    assert far.tolist() == [[0.25, 0.5, 0.5, INF], [0.5, 0.5, INF, INF], [0.25, 0.5, INF, INF], [1, 2, 3, INF]]
    assert (near.dtype, far.dtype) == (np.int32, np.float32)


@pytest.mark.parametrize("index_type", [np.int32, np.int64, np.uint32, np.int16])
@pytest.mark.parametrize("distance_type", [np.float32, np.float64, np.float16])
def test_a_pair_of_other_types_gives_the_same(index_type: Any, distance_type: Any) -> None:
    indices, distances = random_graph(0, 60, 5, levels=8)
    indices[indices < 0] = np.nonzero(indices < 0)[0]  # the row itself in place of -1: it is taken out all the same
    near, far = from_pair(indices.astype(index_type), distances.astype(distance_type))
    expected = from_pair(indices, distances)
    np.testing.assert_array_equal(near, expected[0])
    np.testing.assert_array_equal(far, expected[1])


def test_a_pair_that_fits_is_copied_as_it_is() -> None:
    graph = GRAPHS["blobs 2 n=200 k=15"]()
    near, far = from_pair(*graph)
    np.testing.assert_array_equal(near, graph[0])
    np.testing.assert_array_equal(far, graph[1])
    assert not np.shares_memory(near, graph[0])


def test_lists_will_do_and_a_negative_zero_is_zero() -> None:
    near, far = from_pair([[1], [0]], [[-0.0], [0.0]])
    assert near.tolist() == [[1], [0]]
    assert not np.signbit(far).any()


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_distances_that_float32_cannot_hold_are_infinite() -> None:
    near, far = from_pair(np.array([[1], [0]]), np.array([[1e300], [1.0]]))
    assert near.tolist() == [[-1], [0]]
    assert far.tolist() == [[INF], [1]]


@pytest.mark.parametrize(("n", "k"), [(0, 0), (0, 5), (3, 0)])
def test_no_rows_or_no_columns(n: int, k: int) -> None:
    near, far = from_pair(np.zeros((n, k), np.int64), np.zeros((n, k)))
    assert near.shape == far.shape == (n, k)


@pytest.mark.parametrize(
    ("indices", "distances", "words"),
    [
        ([[1], [0]], [[1.0, 2.0], [1.0, 2.0]], r"\(2, 1\) and distances \(2, 2\)"),
        ([1, 0], [1.0, 1.0], r"one shape \[n, k\]"),
        ([[1.0], [0.0]], [[1.0], [1.0]], "integers, got float64"),
        ([[2], [0]], [[1.0], [1.0]], r"from 0 to 2, expected -1 \(none\) to 1"),
        ([[1], [-2]], [[1.0], [1.0]], "from -2 to 1"),
        ([[1], [0]], [[np.nan], [1.0]], "NaN among the distances"),
        ([[1], [0]], [[-0.5], [1.0]], "Negative values in data.*-0.5"),
        ([[1, 2], [0, 2], [1, 1]], [[1.0, 2.0]] * 3, "row 2 names a neighbor twice"),
        ([[1, 2, 1], [0, 2, -1], [0, 1, -1]], [[1.0, 2.0, 3.0]] * 3, "row 0 names a neighbor twice"),
    ],
)
def test_a_wrong_pair_is_refused_with_what_is_wrong(indices: Any, distances: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_pair(np.array(indices), np.array(distances))


# ---- sparse matrices


def edges(near: Any, far: Any) -> dict[tuple[int, int], float]:
    rows, at = np.nonzero(near >= 0)
    ends = near[rows, at]
    pairs = zip(np.minimum(rows, ends).tolist(), np.maximum(rows, ends).tolist(), strict=True)
    found = list(zip(pairs, far[rows, at].tolist(), strict=True))
    assert len(dict(found)) == len(found), "an edge is there twice"
    return dict(found)


@pytest.mark.parametrize("kind", [coo_array, csr_array, csc_array, csr_matrix, coo_matrix])
def test_of_two_directions_the_smaller_counts_zeros_are_distances_and_the_diagonal_is_not(kind: Any) -> None:
    rows, columns = np.array([0, 1, 0, 2, 3, 3, 1]), np.array([1, 0, 2, 0, 3, 0, 1])
    lengths = np.array([2.0, 1.0, 0.0, 3.0, 0.5, 0.25, 0.0])
    near, far = from_sparse(kind(coo_array((lengths, (rows, columns)), shape=(5, 5))))
    assert edges(near, far) == {(0, 1): 1.0, (0, 2): 0.0, (0, 3): 0.25}
    assert (near.dtype, far.dtype, len(near)) == (np.int32, np.float32, 5)
    assert np.isinf(far[near < 0]).all()
    assert (far[:, 1:] >= far[:, :-1]).all()


def test_an_entry_given_twice_is_its_smallest() -> None:
    near, far = from_sparse(coo_array((np.array([3.0, 1.0, 2.0]), ([0, 0, 1], [1, 1, 0])), shape=(2, 2)))
    assert edges(near, far) == {(0, 1): 1.0}


def test_a_stored_infinity_is_no_edge() -> None:
    near, far = from_sparse(coo_array((np.array([INF, 1.0]), ([0, 1], [1, 2])), shape=(3, 3)))
    assert edges(near, far) == {(1, 2): 1.0}


@pytest.mark.parametrize("both", [True, False])
def test_a_point_that_all_found_makes_no_row_long(both: bool) -> None:
    n = 2_000
    star = coo_array((np.arange(1, n) / n, (np.zeros(n - 1, int), np.arange(1, n))), shape=(n, n))
    near, far = from_sparse(star + star.T if both else star)
    assert near.shape == (n, 1)
    assert edges(near, far) == {(0, j): float(np.float32(j / n)) for j in range(1, n)}


@pytest.mark.parametrize("n", [0, 1, 4])
def test_nothing_stored(n: int) -> None:
    near, _ = from_sparse(csr_array((n, n)))
    assert len(near) == n
    assert (near < 0).all()


@pytest.mark.parametrize(
    ("value", "words"), [(np.nan, "NaN among the distances"), (-1.0, "Negative values in data"), (-INF, "Negative")]
)
def test_wrong_distances_are_refused(value: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_sparse(coo_array((np.array([value]), ([0], [1])), shape=(3, 3)))


def test_no_square_is_refused_with_its_shape() -> None:
    for made in (lambda: from_sparse(csr_array((3, 4))), lambda: from_dense(np.ones((3, 4)))):
        with pytest.raises(ValueError, match=r"square, this one is \(3, 4\)"):
            made()


# ---- dense matrices


def test_rows_of_a_dense_matrix_are_their_own_neighbors() -> None:
    near, far = from_dense(np.array([[0, 2, INF], [1, 5, np.nan], [0, 0.5, 0]]))
    assert near.tolist() == [[1, -1], [0, -1], [0, 1]]
    assert far.tolist() == [[2, INF], [1, INF], [0, 0.5]]


def test_negative_distances_of_a_dense_matrix_are_refused() -> None:
    for value in (-0.5, -INF):
        with pytest.raises(ValueError, match="Negative values in data"):
            from_dense(np.array([[0, value], [1, 0]]))


# ---- one graph, three forms


@pytest.mark.parametrize("name", ["blobs 2 n=200 k=15", "ties 1", "60 copies, k=50, 0", "isolates 1", "disconnected 0"])
def test_the_three_forms_have_the_same_clusters(name: str) -> None:
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


def test_a_full_matrix_of_distances_has_the_clusters_of_its_vectors() -> None:
    from hdbscan import HDBSCAN

    points = blobs(1, 120).astype(np.float32).astype(np.float64)
    matrix = np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1))
    theirs = HDBSCAN(min_samples=1, min_cluster_size=4).fit(points)
    assert same(cluster_graph(*from_dense(matrix), min_samples=1, min_cluster_size=4).labels, theirs.labels_)
