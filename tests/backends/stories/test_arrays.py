"""Story merging's steps as array operations, with NumPy in CuPy's place: the same results as the CPU's own code."""

from typing import Any

import device_arrays
import numpy as np
import pytest
from greedy_reference import random_input

from job.backends.arrays import array_module, free_bytes, to_host
from job.backends.stories import arrays, candidates, greedy, linkage, vectors
from job.backends.stories.linkage import average_linkage
from job.backends.stories.vectors import Shares, background, story_vectors

xp = device_arrays.xp


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """`device="cuda"` with the stand-in, in small blocks; its free memory holds a part of the columns only."""
    for module in (linkage, vectors):
        monkeypatch.setattr(module, "array_module", lambda device: xp if device == "cuda" else np)
    for name, value in (("_ROWS", 37), ("_EDGE_ROWS", 29), ("_PAIRS", 41)):
        monkeypatch.setattr(arrays, name, value)
    monkeypatch.setattr(arrays, "free_bytes", lambda module: 2 * 4 * 100 * 5)


def unit(n: int, d: int = 24, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(n, d)) + 1
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_the_stand_in_refuses_what_cupy_refuses() -> None:
    host, there = np.arange(3.0), xp.asarray(np.arange(3.0))
    for mixed in (lambda: there + host, lambda: host + there, lambda: xp.sqrt(host), lambda: there[host.astype(int)]):
        with pytest.raises(TypeError, match="of the host"):
            mixed()
    assert type(to_host(there + 1)) is np.ndarray
    assert type(there.sum()) is device_arrays.DeviceArray


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_story_vectors_are_the_same_to_the_bit(on_device: None, dtype: Any) -> None:
    dense = unit(300).astype(dtype)
    dense[7] = dense[8]
    times = np.where(np.arange(300) % 3, 1.7e9 + 3600.0 * np.arange(300), np.nan)
    texts = [f"w{i % 7} w{i % 11} w{i % 5}" for i in range(300)]
    there = story_vectors(dense, texts, times, Shares(), device="cuda")
    np.testing.assert_array_equal(there, story_vectors(dense, texts, times, Shares()))


def test_a_vector_that_equals_the_mean_becomes_0(on_device: None) -> None:
    same = np.repeat(unit(1), 5, axis=0)
    out = np.full((5, 24), np.nan, np.float32)
    arrays.write_centered(xp, same.astype(np.float16), 1.0, out)
    np.testing.assert_array_equal(out, 0)


def test_the_background_is_the_same_to_the_bit(on_device: None) -> None:
    for n, sample in ((2, 1_000), (3, 2), (300, 60), (300, 1_000)):
        given = unit(n)
        there = background(given, 1, sample=sample, device="cuda")
        assert there.dtype == np.float32
        np.testing.assert_array_equal(there, background(given, 1, sample=sample))


def test_the_background_does_not_depend_on_the_order_of_the_sums() -> None:
    """Partial sums are exact: permuted columns, another library or a GPU give the same bits."""
    given = unit(500, 300)
    expected = background(given, 0)
    for seed in range(5):
        columns = np.random.default_rng(seed).permutation(300)
        np.testing.assert_array_equal(background(np.ascontiguousarray(given[:, columns]), 0), expected)


@pytest.mark.parametrize("k", [1, 4, 12])
def test_candidates_are_those_of_the_kernel(on_device: None, k: int) -> None:
    rng = np.random.default_rng(k)
    indices = rng.integers(-1, 200, (200, k)).astype(np.int32)
    for clusters in (1, 3, 200):
        labels = np.concatenate([np.arange(clusters), rng.integers(0, clusters, 200 - clusters)]).astype(np.int32)
        left, right = candidates.split_keys(arrays.candidate_keys(xp, labels, indices))
        expected = candidates.candidate_pairs(labels, indices, 1)
        np.testing.assert_array_equal(left, expected[0])
        np.testing.assert_array_equal(right, expected[1])
        assert left.dtype == right.dtype == np.int32


def test_no_edge_gives_no_candidate(on_device: None) -> None:
    none = np.full((50, 3), -1, np.int32)
    assert not len(arrays.candidate_keys(xp, np.arange(50, dtype=np.int32), none))


@pytest.mark.parametrize("overwrite", [False, True])
def test_similarities_are_those_of_the_kernel(on_device: None, overwrite: bool) -> None:
    given = random_input(5, 250, 6, True)
    labels = given["labels"]
    clusters, means = linkage._clusters(
        given["vectors"].copy(), labels, given["background"], None, overwrite, threads=1
    )
    left, right = candidates.candidate_pairs(labels, given["indices"], 1)
    quantum = 2.0**-26
    there = arrays.pair_similarities(xp, means, clusters["row"], clusters["background"], quantum, left, right)
    np.testing.assert_array_equal(there, greedy.similarities(clusters, means, quantum, left, right, 1))


@pytest.mark.parametrize("with_background", [False, True])
@pytest.mark.parametrize("k", [2, 8])
def test_the_tree_is_the_same(on_device: None, k: int, with_background: bool) -> None:
    for seed in range(10):
        given = random_input(seed, 20 + 30 * seed, k, with_background)
        there = average_linkage(**given, device="cuda")
        here = average_linkage(**given)
        np.testing.assert_array_equal(there.merges, here.merges)
        np.testing.assert_array_equal(there.leaves, here.leaves)


def test_the_module_is_numpy_on_a_cpu() -> None:
    assert array_module("cpu") is np
    assert free_bytes(np) > 1 << 30
