"""The level at which a tree of merges is cut into stories: it follows the data."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from job.backends.knn.brute_force import nearest
from job.backends.stories.level import Levels, score_levels
from job.backends.stories.linkage import average_linkage
from job.backends.stories.merge_tree import MergeTree, cut


def stories(count: int, size: int, spread: float, d: int = 64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of `count` stories of `size` headlines each, and their stories."""
    rng = np.random.default_rng(seed)
    story = np.repeat(np.arange(count), size)
    vectors = rng.normal(size=(count, d))[story] + spread * rng.normal(size=(len(story), d))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), story


def tree_of(vectors: np.ndarray, k: int = 15) -> tuple[MergeTree, np.ndarray]:
    indices = nearest(vectors, np.arange(len(vectors)), k)
    return average_linkage(vectors, np.arange(len(vectors), dtype=np.int32), indices), indices


@pytest.mark.parametrize(("count", "size"), [(40, 30), (300, 4)])
@pytest.mark.parametrize("spread", [0.6, 0.9])
def test_it_finds_stories_large_and_small_tight_and_loose(count: int, size: int, spread: float) -> None:
    vectors, story = stories(count, size, spread, d=256)
    tree, indices = tree_of(vectors)
    found = score_levels(tree, vectors, indices)
    scores = [adjusted_rand_score(story, cut(tree, level)) for level in found.levels]
    assert adjusted_rand_score(story, cut(tree, found.best)) > max(0.9, max(scores) - 0.05)


def test_loose_stories_get_a_lower_level_than_tight_ones() -> None:
    levels = []
    for spread in (0.6, 1.4):
        vectors, _ = stories(60, 10, spread)
        tree, indices = tree_of(vectors)
        levels.append(score_levels(tree, vectors, indices).best)
    assert levels[1] < levels[0]


def with_versions(vectors: np.ndarray, share: float, seed: int = 1) -> np.ndarray:
    """The vectors, and behind them another version of this share of them."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(vectors))[: int(share * len(vectors))]
    changed = vectors[chosen] + 0.03 * rng.normal(size=(len(chosen), vectors.shape[1])).astype(np.float32)
    return np.concatenate([vectors, changed / np.linalg.norm(changed, axis=1, keepdims=True)]).astype(np.float32)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_score_is_the_mean_margin_of_headlines_whose_versions_count_once(share: float) -> None:
    vectors = with_versions(stories(12, 5, 1.2)[0], share)
    tree, indices = tree_of(vectors, k=len(vectors) - 1)
    found = score_levels(tree, vectors, indices)
    products = vectors.astype(np.float64) @ vectors.T
    versions = cut(tree, 0.8)
    assert (len(set(versions)) < len(vectors)) == (share > 0)
    weights = 1 / np.bincount(versions)[versions]
    for level in (3, 12, 20):
        labels = cut(tree, found.levels[level])
        margins = []
        for i in range(len(vectors)):
            own = (labels == labels[i]) & (versions != versions[i])
            others = [products[i, labels == other].mean() for other in set(labels) - {labels[i]}]
            margins.append((products[i, own].mean() if own.any() else 0) - max(others, default=0))
        assert found.scores[level] == pytest.approx(np.average(margins, weights=weights), abs=1e-5)


@pytest.mark.parametrize(("share", "spread"), [(0.3, 1.8), (1.0, 1.5)])
def test_versions_of_headlines_do_not_raise_the_level_until_stories_are_lost(share: float, spread: float) -> None:
    vectors, story = stories(150, 3, spread, d=256)
    plain, indices = tree_of(vectors)
    expected = score_levels(plain, vectors, indices).best
    more = with_versions(vectors, share)
    tree, indices = tree_of(more)
    found = score_levels(tree, more, indices).best
    assert found == pytest.approx(expected, rel=0.3)
    assert adjusted_rand_score(story, cut(tree, found)[: len(vectors)]) > 0.85


def test_the_middle_of_levels_that_are_about_as_good_is_best() -> None:
    levels = np.array([0.1, 0.2, 0.4, 0.8])
    assert Levels(levels, np.array([0.5, 0.99, 1.0, 0.3])).best == pytest.approx(np.sqrt(0.2 * 0.4))
    assert Levels(levels, np.array([0.99, 0.5, 1.0, 0.3])).best == pytest.approx(0.4), "in one stretch"
    assert Levels(levels, np.zeros(4)).best == pytest.approx(np.sqrt(0.1 * 0.8))


def test_overwriting_the_vectors_and_the_order_of_rows_change_nothing() -> None:
    vectors, _ = stories(50, 6, 1.0)
    tree, indices = tree_of(vectors)
    expected = score_levels(tree, vectors, indices).scores
    np.testing.assert_array_equal(score_levels(tree, vectors.copy(), indices, overwrite_vectors=True).scores, expected)

    order = np.random.default_rng(2).permutation(len(vectors))
    place = np.argsort(order).astype(np.int32)
    moved = average_linkage(vectors[order], tree.leaves, place[indices[order]], ranks=order)
    again = score_levels(moved, vectors[order], place[indices[order]], ranks=order)
    np.testing.assert_allclose(again.scores, expected, atol=1e-12)


def test_nothing_to_merge() -> None:
    empty = MergeTree(0, np.zeros(0, np.int32), np.zeros((0, 4)))
    assert score_levels(empty, np.zeros((0, 4), np.float32), np.zeros((0, 3), np.int32)).scores.tolist() == [0.0] * 29
    one = MergeTree(1, np.zeros(1, np.int32), np.zeros((0, 4)))
    assert not score_levels(one, np.ones((1, 4), np.float32), np.full((1, 3), -1, np.int32)).scores.any()
    with pytest.raises(ValueError, match="a tree of 1 rows"):
        score_levels(one, np.ones((2, 4), np.float32), np.full((2, 3), -1, np.int32))
