"""Exact distances and neighbors, compared with plain NumPy in float64."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from job.backends.knn import brute_force
from job.backends.knn.brute_force import nearest
from job.backends.knn.distances import pair_distances, sort_rows
from job.data import Floats


def unit(n: int, d: int, seed: int = 0) -> Floats:
    vectors = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def brute(vectors: Floats) -> np.ndarray:
    """All distances [n, n] in float64, inf on the diagonal."""
    v = vectors.astype(np.float64)
    distances = np.sqrt(((v[:, None] - v[None]) ** 2).sum(-1))
    np.fill_diagonal(distances, np.inf)
    return distances


# ---- pair_distances


@pytest.mark.parametrize("d", [1, 3, 7, 8, 31, 384, 1023])
def test_equal_vectors_are_exactly_zero_apart(d: int) -> None:
    vectors = np.repeat(unit(5, d), 2, axis=0)
    indices = (np.arange(10, dtype=np.int32) ^ 1)[:, None]
    assert (pair_distances(vectors, np.arange(10), indices) == 0).all()


@pytest.mark.parametrize("d", [1, 3, 7, 8, 31, 384, 1023])
def test_distances_are_bitwise_the_same_in_both_directions(d: int) -> None:
    n = 40
    indices = np.broadcast_to(np.arange(n, dtype=np.int32), (n, n)).copy()
    distances = pair_distances(unit(n, d), np.arange(n), indices)
    np.testing.assert_array_equal(distances, distances.T)


def test_distances_equal_those_of_float64_even_for_almost_equal_vectors() -> None:
    near = unit(30, 64)
    vectors = np.concatenate([near, near * np.float32(1 + 3e-7), near + np.float32(1e-5)])
    n = len(vectors)
    indices = np.broadcast_to(np.arange(n, dtype=np.int32), (n, n)).copy()
    expected = brute(vectors)
    np.fill_diagonal(expected, 0)
    # a coordinate's difference is rounded to float32 once
    np.testing.assert_allclose(pair_distances(vectors, np.arange(n), indices), expected, rtol=1e-6, atol=1e-12)


def test_a_missing_neighbor_has_distance_inf_and_rows_may_be_a_selection() -> None:
    vectors = unit(6, 8)
    distances = pair_distances(vectors, np.array([4, 2]), np.array([[0, -1], [3, 5]], np.int32))
    everything = brute(vectors)
    assert distances.dtype == np.float32
    assert distances[0, 1] == np.inf
    np.testing.assert_allclose(distances[[0, 1, 1], [0, 0, 1]], everything[[4, 2, 2], [0, 3, 5]], rtol=1e-6)


def test_several_threads_may_call_at_once_even_without_openmp() -> None:
    """numba's own thread pool aborts the process on calls from two threads at once."""
    script = """
import threading
import numpy as np
from job.backends.knn.brute_force import nearest
from job.backends.knn.distances import pair_distances
vectors = np.ones((2000, 64), np.float32)
rows, indices = np.arange(2000), np.zeros((2000, 40), np.int32)
def work():
    for _ in range(20):
        pair_distances(vectors, rows, indices)
        nearest(vectors, rows[:50], 5)
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    environment = os.environ | {"NUMBA_THREADING_LAYER": "workqueue", "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---- nearest


@pytest.mark.parametrize("block_bytes", [1, 5_000, 64 * 2**20])
@pytest.mark.parametrize("k", [1, 10, 199, 300])
def test_the_nearest_equal_those_of_brute_force_for_any_block_size(
    monkeypatch: pytest.MonkeyPatch, block_bytes: int, k: int
) -> None:
    monkeypatch.setattr(brute_force, "_BLOCK_BYTES", block_bytes)
    vectors = unit(200, 16)
    rows = np.array([0, 17, 199, 50])
    found = nearest(vectors, rows, k)
    assert (found.shape, found.dtype) == ((4, k), np.int32)
    expected = np.argsort(brute(vectors)[rows], axis=1)[:, : min(k, 199)]
    for row, wanted in zip(found, expected, strict=True):
        assert set(row[: len(wanted)]) == set(wanted)
        assert (row[len(wanted) :] == -1).all()


def test_vectors_that_are_not_normalized_are_compared_by_distance() -> None:
    vectors = unit(100, 8) * np.random.default_rng(1).uniform(0.2, 3, (100, 1)).astype(np.float32)
    found = nearest(vectors, np.arange(100), 5)
    np.testing.assert_array_equal(np.sort(found), np.sort(np.argsort(brute(vectors), axis=1)[:, :5]))


def test_half_precision_vectors_are_compared_in_float32() -> None:
    vectors = unit(100, 16).astype(np.float16)
    found = nearest(vectors, np.arange(100), 5)
    expected = np.argsort(brute(vectors.astype(np.float32)), axis=1)[:, :5]
    np.testing.assert_array_equal(np.sort(found), np.sort(expected))


def test_a_row_is_not_its_own_neighbor_but_its_copies_are() -> None:
    vectors = np.concatenate([unit(4, 8)[:1].repeat(4, axis=0), unit(20, 8, seed=1)])
    found = nearest(vectors, np.arange(4), 3)
    assert [set(row) for row in found.tolist()] == [{0, 1, 2, 3} - {row} for row in range(4)]


def test_a_single_row_has_no_neighbors() -> None:
    assert nearest(unit(1, 4), np.array([0]), 3).tolist() == [[-1, -1, -1]]


# ---- sort_rows


def test_rows_are_ascending_with_ties_by_index_and_missing_neighbors_last() -> None:
    indices = np.array([[9, -1, 4, 2, 7], [-1, -1, 3, 1, 0]], np.int32)
    distances = np.array([[0.5, np.inf, 0.1, 0.5, 0.5], [np.inf, np.inf, 0.0, 0.0, 0.2]], np.float32)
    sorted_indices, sorted_distances = sort_rows(indices, distances, 5)
    assert sorted_indices.tolist() == [[4, 2, 7, 9, -1], [1, 3, 0, -1, -1]]
    np.testing.assert_array_equal(
        sorted_distances, np.array([[0.1, 0.5, 0.5, 0.5, np.inf], [0, 0, 0.2, np.inf, np.inf]], np.float32)
    )


def test_a_tie_at_the_cut_goes_to_the_lower_index() -> None:
    sorted_indices, _ = sort_rows(np.array([[8, 3, 5]], np.int32), np.full((1, 3), 0.5, np.float32), 2)
    assert sorted_indices.tolist() == [[3, 5]]


def test_fewer_columns_than_k_are_padded() -> None:
    indices, distances = sort_rows(np.array([[1]], np.int32), np.array([[0.5]], np.float32), 3)
    assert (indices.dtype, distances.dtype) == (np.int32, np.float32)
    assert indices.tolist() == [[1, -1, -1]]
    assert distances.tolist() == [[0.5, np.inf, np.inf]]


def test_a_neighbor_at_distance_inf_comes_before_a_missing_one() -> None:
    indices, _ = sort_rows(np.array([[-1, 2, 1]], np.int32), np.full((1, 3), np.inf, np.float32), 3)
    assert indices.tolist() == [[1, 2, -1]]
