"""Rows of the neighbor graph from the candidates of an approximate search."""

import numpy as np
import pytest

from job.backends.knn.distances import pair_distances
from job.backends.knn.exact import ExactSearch
from job.backends.knn.rows import graph_rows
from job.data import Floats


def unit(n: int, d: int = 16) -> Floats:
    vectors = np.random.default_rng(n).normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def brute(vectors: Floats, rows: np.ndarray, k: int) -> np.ndarray:
    distances = pair_distances(vectors, rows, np.tile(np.arange(len(vectors), dtype=np.int32), (len(rows), 1)))
    distances[np.arange(len(rows)), rows] = np.inf
    return np.argsort(distances, axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("spare", [0, 1, 9])
def test_unordered_candidates_become_the_k_nearest_in_order(spare: int) -> None:
    vectors, rows, k = unit(300), np.arange(40, 90), 10
    expected = brute(vectors, rows, k + spare)
    found = np.random.default_rng(0).permuted(expected.astype(np.int32), axis=1)
    made = graph_rows(vectors, rows, found, k, ExactSearch(vectors, "cpu"))
    np.testing.assert_array_equal(made["index"], expected[:, :k])
    np.testing.assert_array_equal(made["distance"], pair_distances(vectors, rows, made["index"]))
    assert not made["completed"].any()


def test_a_row_with_too_few_candidates_is_searched_exactly_and_counted() -> None:
    vectors, rows, k = unit(300), np.arange(20), 10
    found = brute(vectors, rows, k).astype(np.int32)
    found[3, 4:], found[7] = -1, -1
    made = graph_rows(vectors, rows, found, k, ExactSearch(vectors, "cpu"))
    np.testing.assert_array_equal(made["index"], brute(vectors, rows, k))
    assert np.flatnonzero(made["completed"]).tolist() == [3, 7]


def test_of_more_equal_vectors_than_candidates_the_lowest_row_numbers_are_taken() -> None:
    vectors = np.concatenate([unit(50), unit(1).repeat(60, axis=0)])
    rows, k = np.array([55, 109]), 5
    found = np.array([[100, 101, 102, 103, 104, 105], [99, 98, 97, 96, 95, 94]], np.int32)
    made = graph_rows(vectors, rows, found, k, ExactSearch(vectors, "cpu"))
    assert made["index"].tolist() == [[50, 51, 52, 53, 54], [50, 51, 52, 53, 54]]
    assert (made["distance"] == 0).all()


def test_a_row_with_too_few_candidates_takes_the_lowest_row_numbers_of_equal_vectors() -> None:
    vectors = unit(12, 8)[np.random.default_rng(0).integers(0, 12, 60)]
    rows, k = np.arange(60), 7
    found = np.full((60, k + 3), -1, np.int32)
    found[:, 0] = (rows + 1) % 60
    made = graph_rows(vectors, rows, found, k, ExactSearch(vectors, "cpu"))
    np.testing.assert_array_equal(made["index"], brute(vectors, rows, k))
    assert made["completed"].all()


def test_more_neighbors_than_there_are_other_rows_are_left_out() -> None:
    vectors, rows = unit(4), np.arange(4)
    made = graph_rows(vectors, rows, np.full((4, 6), -1, np.int32), 5, ExactSearch(vectors, "cpu"))
    np.testing.assert_array_equal(made["index"][:, :3], brute(vectors, rows, 3))
    assert (made["index"][:, 3:] == -1).all() and np.isinf(made["distance"][:, 3:]).all()


@pytest.mark.parametrize("apart", [1e-2, 3e-3, 1e-3])
def test_near_equal_vectors_get_their_nearest_though_their_scores_are_rounded(apart: float) -> None:
    rng = np.random.default_rng(0)
    vectors = unit(1, 256) + apart * rng.normal(size=(600, 256)) / 16
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    rows, k, search = np.arange(600), 15, ExactSearch(vectors, "cpu")
    made = graph_rows(vectors, rows, search.find(rows, 32), k, search)
    np.testing.assert_array_equal(made["index"], brute(vectors, rows, k))
