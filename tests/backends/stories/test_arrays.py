"""Story merging's steps as array operations, with NumPy in CuPy's place: the same results as the CPU's own code."""

import device_arrays
import numpy as np
import pytest
from greedy_reference import random_input

from job.backends.arrays import array_module, free_bytes, to_host
from job.backends.stories import arrays, candidates, greedy, linkage, themes
from job.backends.stories.linkage import average_linkage
from job.backends.stories.themes import find_themes

xp = device_arrays.xp


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """`device="cuda"` with the stand-in, in small blocks; its free memory holds a part of the columns only."""
    for module in (linkage, themes):
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


def test_the_most_similar_node_is_found_and_of_equal_ones_the_first() -> None:
    nodes, rows = unit(40), unit(500, seed=1)
    nodes[11] = nodes[3]
    nearest, products = arrays.most_similar(xp, rows, arrays.rounded(xp, nodes))
    exact = rows.astype(np.float64) @ nodes.T.astype(np.float64)
    assert (nearest.dtype, products.dtype) == (np.int64, np.float32)
    np.testing.assert_allclose(products, exact.max(axis=1), atol=1e-3)
    assert (exact[np.arange(500), nearest] > exact.max(axis=1) - 2e-3).all()
    assert 3 in nearest and 11 not in nearest


def test_products_of_rounded_vectors_do_not_depend_on_the_order_of_the_sums() -> None:
    """Partial sums are exact: permuted columns, another library or a GPU give the same bits."""
    nodes, rows = unit(100, 900), unit(200, 900, seed=1)
    expected = arrays.most_similar(np, rows, arrays.rounded(np, nodes))
    for seed in range(5):
        columns = np.random.default_rng(seed).permutation(900)
        found = arrays.most_similar(np, rows[:, columns], arrays.rounded(np, nodes[:, columns]))
        for there, here in zip(found, expected, strict=True):
            np.testing.assert_array_equal(there, here)


def test_themes_are_the_same(on_device: None) -> None:
    vectors, labels = unit(900, 32), np.repeat(np.arange(300, dtype=np.int32), 3)
    labels[::7] = -1
    labels = np.unique(labels, return_inverse=True)[1].astype(np.int32) - 1
    there = find_themes(vectors, labels, max_groups=60, device="cuda")
    here = find_themes(vectors, labels, max_groups=60)
    assert here.themes.max() > 0
    for name, value in vars(here).items():
        np.testing.assert_array_equal(getattr(there, name), value)


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
    given = random_input(5, 250, 6)
    clusters, means = linkage._clusters(given["vectors"].copy(), given["labels"], None, overwrite, threads=1)
    left, right = candidates.candidate_pairs(given["labels"], given["indices"], 1)
    quantum = 2.0**-26
    there = arrays.pair_similarities(xp, means, clusters["row"], quantum, left, right)
    np.testing.assert_array_equal(there, greedy.similarities(clusters, means, quantum, left, right, 1))


@pytest.mark.parametrize("k", [2, 8])
def test_the_tree_is_the_same(on_device: None, k: int) -> None:
    for seed in range(10):
        given = random_input(seed, 20 + 30 * seed, k)
        there = average_linkage(**given, device="cuda")
        here = average_linkage(**given)
        np.testing.assert_array_equal(there.merges, here.merges)
        np.testing.assert_array_equal(there.leaves, here.leaves)


def test_the_module_is_numpy_on_a_cpu() -> None:
    assert array_module("cpu") is np
    assert free_bytes(np) > 1 << 30
