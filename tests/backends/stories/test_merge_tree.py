"""The clusters at a level of a merge tree, and its file."""

from pathlib import Path

import numpy as np

from job.backends.stories.linkage import MergeTree, average_linkage, cut, cut_count


def random_tree() -> MergeTree:
    """The tree of 200 rows in initial clusters, with several connected components."""
    rng = np.random.default_rng(0)
    labels = np.unique(rng.integers(0, 150, 200), return_inverse=True)[1].astype(np.int32)
    vectors = rng.standard_normal((200, 5)).astype(np.float32)
    return average_linkage(vectors, labels, rng.integers(-1, 200, (200, 1)).astype(np.int32))


def test_cut_numbers_clusters_by_size_then_by_first_row() -> None:
    tree = MergeTree(5, np.array([0, 1, 2, 3, 3], np.int32), np.array([[1, 2, 0.5, 2], [0, 4, 0.25, 3]]))
    assert cut(tree, 0.6).tolist() == [1, 2, 3, 0, 0]
    assert cut(tree, 0.5).tolist() == [2, 0, 0, 1, 1]
    assert cut(tree, 0.25).tolist() == [0, 0, 0, 1, 1]
    assert cut(tree, -1).tolist() == [0, 0, 0, 1, 1]


def test_cut_count_gives_the_nearest_number_of_clusters_that_there_is() -> None:
    tree = MergeTree(5, np.array([0, 1, 2, 3, 3], np.int32), np.array([[1, 2, 0.5, 2], [0, 4, 0.25, 3]]))
    assert [int(cut_count(tree, count).max()) + 1 for count in (0, 1, 2, 3, 4, 5, 99)] == [2, 2, 2, 3, 4, 4, 4]


def test_coarser_levels_contain_finer_ones() -> None:
    tree = random_tree()
    fine = tree.leaves
    for above in np.linspace(1, -1, 41):
        coarse = cut(tree, above)
        assert len(set(zip(fine.tolist(), coarse.tolist(), strict=True))) == len(np.unique(fine))
        fine = coarse


def test_a_saved_tree_is_loaded_as_it_was(tmp_path: Path) -> None:
    tree = random_tree()
    tree.save(tmp_path / "merges.npz")
    loaded = MergeTree.load(tmp_path / "merges.npz")
    assert (loaded.n, loaded.leaves.dtype, loaded.merges.dtype) == (200, np.int32, np.float64)
    np.testing.assert_array_equal(loaded.leaves, tree.leaves)
    np.testing.assert_array_equal(loaded.merges, tree.merges)
