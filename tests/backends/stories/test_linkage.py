"""Average linkage: against SciPy where all pairs are candidates, against a greedy reference where they are not."""

import importlib
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from greedy_reference import Input, every_pair, greedy_reference, random_input, row_similarities, same, unit_vectors
from numba.core.registry import CPUDispatcher
from scipy.cluster.hierarchy import average

from job.backends.stories import greedy, linkage, merge_tree, pair_queue
from job.backends.stories.linkage import MergeTree, average_linkage, cut, cut_count


def check_tree(tree: MergeTree) -> None:
    c, m = tree.leaf_count, len(tree.merges)
    heights = tree.merges[:, 2]
    assert (heights[1:] <= heights[:-1]).all()
    children = tree.merges[:, :2].astype(int)
    assert (children[:, 0] < children[:, 1]).all()
    assert (children[:, 1] < c + np.arange(m)).all()
    assert len(np.unique(children)) == 2 * m
    sizes = np.concatenate([np.bincount(tree.leaves, minlength=c), tree.merges[:, 3]])
    np.testing.assert_array_equal(sizes[children].sum(axis=1), tree.merges[:, 3])


# ---- the order of merges


def test_with_all_pairs_every_level_is_scipys() -> None:
    for seed in range(40):
        given = random_input(seed, 2 + seed, None) | {"labels": np.arange(2 + seed, dtype=np.int32)}
        tree = average_linkage(**given)
        check_tree(tree)
        similarities = row_similarities(given)
        theirs = average(5 - similarities[np.triu_indices(2 + seed, 1)])
        np.testing.assert_allclose(tree.merges[:, 2], 5 - theirs[:, 2], atol=1e-6)
        for e in range(len(theirs)):
            expected = merge_tree._after(MergeTree(tree.n, tree.leaves, theirs), e + 1)
            np.testing.assert_array_equal(cut_count(tree, tree.n - e - 1), expected)


@pytest.mark.parametrize("k", [1, 2, 5, None])
def test_every_level_is_that_of_the_greedy_order(k: int | None) -> None:
    for seed, n in enumerate([*range(3, 40, 3), 150, 300]):
        check_against_reference(random_input(100 + seed, n, k))


def test_hubs_are_merged_in_greedy_order() -> None:
    for seed in range(5):
        given = random_input(200 + seed, 250, 3)
        given["indices"][:, 0] = np.random.default_rng(seed).integers(0, 3, 250)
        check_against_reference(given)


def check_against_reference(given: Input) -> None:
    tree = average_linkage(**given)
    check_tree(tree)
    reference = greedy_reference(given)
    heights = np.sort([height for height, _ in reference])[::-1]
    np.testing.assert_allclose(tree.merges[:, 2], heights, atol=2e-6)
    # levels between two heights that differ clearly; the greedy order stopped at the first merge below the level
    for above in (heights[1:] + heights[:-1])[heights[:-1] - heights[1:] > 1e-5] / 2:
        before = [labels for height, labels in reference if height >= above]
        assert same(cut(tree, above), before[-1])


def test_a_union_more_similar_to_a_third_cluster_gets_the_lower_height() -> None:
    # 0 and 2 are the most similar, but no candidates
    vectors = np.linalg.cholesky([[1, 0.5, 0.9], [0.5, 1, 0.4], [0.9, 0.4, 1]])
    tree = linked(vectors, [[1], [2], [-1]])
    np.testing.assert_allclose(tree.merges, [[0, 1, 0.5, 2], [2, 3, 0.5, 3]], atol=1e-6)


# ---- what it must not depend on


@pytest.mark.parametrize("ties", [False, True])
def test_shuffled_rows_with_their_ranks_give_the_same_levels(ties: bool) -> None:
    for seed in range(10):
        given = random_input(seed, 120, 4)
        if ties:
            given["vectors"] = np.round(given["vectors"] * 2).astype(np.float32)
        tree = average_linkage(**given)
        order = np.random.default_rng(seed).permutation(120)
        position = np.argsort(order).astype(np.int32)
        moved = position[given["indices"]][order]
        moved[given["indices"][order] < 0] = -1
        names = np.random.default_rng(seed).permutation(tree.leaf_count).astype(np.int32)
        other = average_linkage(
            given["vectors"][order],
            names[given["labels"][order]],
            np.random.default_rng(seed).permuted(moved, axis=1),
            ranks=order,
        )
        np.testing.assert_array_equal(other.merges[:, 2:], tree.merges[:, 2:])
        for e in range(len(tree.merges)):
            assert same(merge_tree._after(other, e), merge_tree._after(tree, e)[order])


def test_threads_and_overwriting_do_not_change_a_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("job.backends.graph_hdbscan.row_ranges.ROWS_PER_RANGE", 37)
    given = random_input(3, 300, 6)
    tree = average_linkage(**given, threads=1)
    kept = given["vectors"].copy()
    for threads, overwrite in ((2, False), (3, True)):
        np.testing.assert_array_equal(given["vectors"], kept)
        other = average_linkage(**given, threads=threads, overwrite_vectors=overwrite)
        np.testing.assert_array_equal(other.merges, tree.merges)
        np.testing.assert_array_equal(other.leaves, tree.leaves)


def test_of_equally_similar_pairs_the_one_with_the_smallest_ranks_merges_first() -> None:
    given: Input = {"vectors": np.ones((4, 2), np.float32), "indices": every_pair(4)}
    rows = np.arange(4, dtype=np.int32)
    assert average_linkage(**given, labels=rows).merges[:, :2].tolist() == [[0, 1], [2, 4], [3, 5]]
    reverse = average_linkage(**given, labels=rows, ranks=-rows)
    assert reverse.merges[:, :2].tolist() == [[2, 3], [1, 4], [0, 5]]


# ---- large clusters


def test_a_cluster_with_very_many_candidates_does_not_make_it_quadratic() -> None:
    n = 20_000
    vectors = unit_vectors(np.random.default_rng(0), n, 8)
    indices = np.zeros((n, 1), np.int32)
    indices[0] = -1
    clusters, means = linkage._clusters(vectors, np.arange(n, dtype=np.int32), None, False, 1)
    left, right = np.zeros(n - 1, np.int32), np.arange(1, n, dtype=np.int32)
    quantum = linkage._quantum(1.0)
    similarities = greedy.similarities(clusters, means, quantum, left, right, 1)
    pairs = pair_queue.loose_pairs(left, right, similarities)
    *_, heights, computed = greedy.merge_all(clusters, pairs, means, quantum, 1.0)
    assert len(heights) == n - 1
    # n^2 / 2 would be 10,000 per merge
    assert computed < 200 * n


def test_rounding_stays_small_over_many_merges() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((3_000, 16)).astype(np.float32) / 4
    # all rows join the first one
    tree = linked(vectors, np.zeros((3_000, 1)), [*range(2_999), 2_998])
    order = tree.merges[:, :2].astype(int).min(axis=1)
    assert len(order) == 2_998
    last = cut_count(tree, 2) == 1
    mean = vectors[~last].astype(np.float64).mean(axis=0)
    lowest = min(tree.merges[-2, 2], float(mean @ vectors[last].astype(np.float64).mean(axis=0)))
    assert tree.merges[-1, 2] == pytest.approx(lowest, abs=1e-6)


# ---- edge cases


def linked(vectors: Any, indices: Any, labels: Any = None) -> MergeTree:
    rows = np.arange(len(vectors)) if labels is None else labels
    tree = average_linkage(np.array(vectors, np.float32), np.array(rows, np.int32), np.array(indices, np.int32))
    check_tree(tree)
    return tree


def test_no_rows() -> None:
    tree = linked(np.zeros((0, 3)), np.zeros((0, 2)))
    assert (tree.n, tree.leaf_count, len(cut(tree, 0)), len(cut_count(tree, 3))) == (0, 0, 0, 0)


def test_one_row() -> None:
    assert cut(linked([[1, 0]], [[-1]]), 0).tolist() == [0]


def test_no_neighbors_at_all() -> None:
    assert cut(linked(np.eye(3), np.zeros((3, 0))), -1).tolist() == [0, 1, 2]


def test_no_edges() -> None:
    assert cut(linked(np.eye(3), np.full((3, 2), -1)), -1).tolist() == [0, 1, 2]


def test_edges_within_the_initial_clusters_only() -> None:
    tree = linked(np.eye(4), [[1], [0], [3], [2]], [1, 1, 0, 0])
    assert (len(tree.merges), cut(tree, 0).tolist()) == (0, [0, 0, 1, 1])


def test_a_row_that_is_its_own_neighbor() -> None:
    assert len(linked(np.eye(2), [[0], [1]]).merges) == 0


def test_all_rows_identical() -> None:
    tree = linked(np.ones((30, 3)), every_pair(30))
    np.testing.assert_allclose(tree.merges[:, 2], 3, atol=1e-6)
    assert cut(tree, 2.9).max() == 0


def test_all_vectors_zero() -> None:
    assert linked(np.zeros((4, 3)), every_pair(4)).merges[:, 2].tolist() == [0, 0, 0]


def test_two_components_stay_two_clusters() -> None:
    tree = linked(np.eye(5), [[1], [0], [3], [4], [2]])
    assert cut(tree, -np.inf).tolist() == [1, 1, 0, 0, 0]


def test_more_neighbors_than_rows() -> None:
    assert len(linked(np.eye(3), [[1, 2, -1, -1, -1]] * 3).merges) == 2


def test_vectors_of_any_length_give_heights_of_any_size() -> None:
    assert linked([[300, 0], [400, 0]], [[1], [-1]]).merges[0, 2] == 120_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array([0, 1, -1], np.int32)}, "no -1"),
        ({"labels": np.array([0, 1, 3], np.int32)}, "every number from 0 on"),
        ({"labels": np.arange(2, dtype=np.int32)}, r"labels \(2,\)"),
        ({"labels": np.arange(3)}, "int32 labels|labels int32"),
        ({"indices": np.full((3, 1), 3, np.int32)}, "expected -1 .* to 2"),
        ({"indices": np.full((2, 1), 0, np.int32)}, r"indices \(2, 1\)"),
        ({"vectors": np.eye(3)}, "got float64"),
        ({"vectors": np.full((3, 2), np.nan, np.float32)}, "not finite"),
        ({"ranks": np.array([1, 1, 2])}, "different integers"),
    ],
)
def test_bad_input_is_refused(change: Input, message: str) -> None:
    given: Input = {
        "vectors": np.eye(3, dtype=np.float32),
        "labels": np.arange(3, dtype=np.int32),
        "indices": np.array([[1], [2], [0]], np.int32),
    }
    with pytest.raises(ValueError, match=message):
        average_linkage(**given | change)


def test_vectors_that_cannot_be_overwritten_are_refused() -> None:
    given = random_input(0, 5, 2)
    given["vectors"].flags.writeable = False
    average_linkage(**given)
    with pytest.raises(ValueError, match="read-only"):
        average_linkage(**given, overwrite_vectors=True)


@pytest.mark.parametrize("count", [1_000, 1_024, 1_025, 1_048_577])
def test_the_queue_takes_the_memory_that_its_description_says(count: int) -> None:
    per_pair = pair_queue.PAIR.itemsize + pair_queue.empty_buckets(count).nbytes / count
    per_cluster = pair_queue.CLUSTER.itemsize + pair_queue.empty_tournament(count).nbytes / count
    assert 56 <= per_pair <= 64 and 64 <= per_cluster <= 72


def test_kernels_are_compiled_again_after_a_change_of_those_that_they_contain() -> None:
    files = [path for path in sorted((ROOT / "job").rglob("*.py")) if "nb.njit" in path.read_text()]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files]
    contained = set()
    for name in names:
        module = importlib.import_module(name)
        kernels = [value.py_func for value in vars(module).values() if isinstance(value, CPUDispatcher)]
        for kernel in (each for each in kernels if each.__module__ == name):
            used = [kernel.__globals__.get(word) for word in kernel.__code__.co_names]
            contained |= {(name, each.py_func.__module__) for each in used if isinstance(each, CPUDispatcher)}
    between_files = {(name, other) for name, other in contained if name != other}
    assert len(between_files) == 3
    for name, other in between_files:
        source = Path(str(importlib.import_module(other).__file__)).read_bytes()
        constant = f"{other.rpartition('.')[2].upper()}_CRC32"
        found = getattr(importlib.import_module(name), constant, None)
        assert zlib.crc32(source) == found, f"write this number into {name}: {constant}"
