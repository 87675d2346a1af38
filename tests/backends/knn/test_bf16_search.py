"""Exact neighbors by bfloat16 products: the same as by float32, also where rounding would decide otherwise."""

import numpy as np
import pytest

from job.backends.knn import bf16_search, exact
from job.backends.knn.bf16_search import Bf16Search
from job.backends.knn.brute_force import nearest
from job.backends.knn.distances import pair_distances, sort_rows
from job.backends.knn.exact import ExactSearch
from job.data import Floats, Ints


def unit(vectors: Floats) -> Floats:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def stories(count: int, dim: int, spread: float) -> Floats:
    """Unit vectors in groups of fifty, that lie on one side of space as those of language models do."""
    rng = np.random.default_rng(count)
    centers = rng.normal(size=(1 + count // 50, dim)) + 0.5
    return unit(centers[np.arange(count) % len(centers)] + spread * rng.normal(size=(count, dim)))


def distances(vectors: Floats, rows: Ints, found: Ints, k: int) -> Floats:
    return sort_rows(found, pair_distances(vectors, rows, found), k)[1]


def compare(vectors: Floats, rows: Ints, k: int) -> None:
    """Both find neighbors at the same distances, no row twice and none itself."""
    found, expected = Bf16Search(vectors).find(rows, k), nearest(vectors, rows, k)
    assert found.dtype == np.int32
    assert (found != rows[:, None]).all()
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in found)
    np.testing.assert_array_equal(distances(vectors, rows, found, k), distances(vectors, rows, expected, k))


@pytest.fixture
def certain(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows were left to float32 at each call."""
    left: list[int] = []

    def counted(vectors: Floats, rows: Ints, k: int) -> Ints:
        left.append(len(rows))
        return nearest(vectors, rows, k)

    monkeypatch.setattr(bf16_search, "nearest", counted)
    return left


@pytest.mark.parametrize("k", [1, 10, 50])
@pytest.mark.parametrize(("count", "dim", "spread"), [(3_000, 24, 0.3), (9_000, 384, 0.8), (8_193, 64, 2.0)])
def test_the_neighbors_are_those_of_float32(count: int, dim: int, spread: float, k: int, certain: list[int]) -> None:
    vectors = stories(count, dim, spread)
    compare(vectors, np.arange(0, count, 7), k)
    assert certain == [0]


@pytest.mark.parametrize("step", [1e-6, 1e-5, 1e-4, 1e-3])
def test_differences_that_rounding_hides_are_seen(step: float) -> None:
    rng = np.random.default_rng(3)
    near = unit(np.ones((1, 48))) + step * rng.normal(size=(300, 48))
    vectors = unit(np.concatenate([near, stories(5_000, 48, 1.0)])).astype(np.float32)
    compare(vectors, np.arange(300), 20)


def test_a_bound_that_is_too_small_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = stories(9_000, 384, 0.8)
    monkeypatch.setattr(bf16_search, "_margin", lambda vectors: -0.02)
    with pytest.raises(AssertionError):
        compare(vectors, np.arange(0, 9_000, 7), 50)


def test_many_equal_vectors_are_left_to_float32(certain: list[int]) -> None:
    vectors = stories(4_000, 32, 0.5)
    vectors[::4] = vectors[0]
    rows = np.arange(64)
    compare(vectors, rows, 10)
    assert certain == [16]


def test_vectors_of_different_lengths_are_left_to_float32(certain: list[int]) -> None:
    vectors = stories(3_000, 32, 0.5) * np.linspace(0.5, 2, 3_000, dtype=np.float32)[:, None]
    compare(vectors, np.arange(100), 10)
    assert certain == [100]


def test_neighbors_on_the_other_side_of_space_are_left_to_float32(certain: list[int]) -> None:
    one_side = unit(1 + 0.5 * np.random.default_rng(0).normal(size=(2_005, 32)))
    vectors = np.concatenate([one_side[:2_000], -one_side[2_000:]])
    compare(vectors, np.array([2_000, 0]), 10)
    assert certain == [1]


@pytest.mark.parametrize("count", [1, 2, 40])
def test_fewer_vectors_than_neighbors(count: int) -> None:
    vectors = stories(count, 16, 0.5)
    found = Bf16Search(vectors).find(np.arange(count), 50)
    assert ((found >= 0).sum(axis=1) == count - 1).all()
    assert Bf16Search(vectors).find(np.arange(0), 50).shape == (0, 50)


def test_exact_search_uses_it_on_a_cpu_with_amx_for_many_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, rows = stories(6_000, 32, 0.5), np.arange(4_500)
    expected = distances(vectors, rows, ExactSearch(vectors, "cpu").find(rows, 9), 9)
    used: list[int] = []
    find = Bf16Search.find
    monkeypatch.setattr(Bf16Search, "find", lambda self, rows, k: used.append(len(rows)) or find(self, rows, k))
    monkeypatch.setattr(exact, "_MANY", 6_000)
    for amx, calls in ((False, []), (True, [4_096, 404])):
        monkeypatch.setattr(exact, "cpu_has_amx", lambda amx=amx: amx)
        found = ExactSearch(vectors, "cpu").find(rows, 9)
        np.testing.assert_array_equal(distances(vectors, rows, found, 9), expected)
        assert used == calls
