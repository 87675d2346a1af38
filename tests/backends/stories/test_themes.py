"""Themes: two coarser levels above stories, on made-up topics whose answer is known."""

import time

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from job.backends.stories import themes as module
from job.backends.stories.theme_linkage import cut_merges, join_small, size_penalized_linkage
from job.backends.stories.themes import default_counts, find_themes
from job.data import Floats, Ints


def corpus(topics: int, stories: int, lone: int, seed: int = 0, width: int = 64) -> tuple[Floats, Ints, Ints]:
    """Unit vectors, story labels and the topic of each row: `stories` stories of 3 to 8 headlines in each topic, and
    `lone` lone headlines in each."""
    random = np.random.default_rng(seed)
    vectors, labels, truth = [], [], []
    story = 0
    for topic, center in enumerate(random.normal(size=(topics, width))):
        for size in [*random.integers(3, 9, stories), *[1] * lone]:
            middle = center + 0.7 * random.normal(size=width)
            vectors.append(middle + 0.3 * random.normal(size=(size, width)))
            labels += [story] * size if size > 1 else [-1]
            truth += [topic] * size
            story += size > 1
    rows = np.concatenate(vectors)
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit, np.array(labels, np.int32), np.array(truth, np.int32)


def same_partition(a: Ints, b: Ints) -> bool:
    return len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_topics_are_found(dtype: type) -> None:
    vectors, labels, truth = corpus(6, 12, 5)
    found = find_themes(vectors.astype(dtype), labels, counts=(6, 24))
    assert (found.themes >= 0).all()
    assert same_partition(found.themes, truth)
    assert len(found.parents) == 24


def test_levels_are_nested_and_stories_stay_whole() -> None:
    vectors, labels, _ = corpus(5, 20, 10, seed=1)
    found = find_themes(vectors, labels)
    assert (found.themes.max() + 1, found.topics.max() + 1) == default_counts(100)
    has = found.topics >= 0
    np.testing.assert_array_equal(found.parents[found.topics[has]], found.themes[has])
    inside = labels >= 0
    np.testing.assert_array_equal(found.cluster_themes[labels[inside]], found.themes[inside])
    np.testing.assert_array_equal(found.cluster_topics[labels[inside]], found.topics[inside])
    assert (found.cluster_themes >= 0).all()
    assert ((found.themes < 0) == (found.topics < 0)).all()


def test_numbers_go_by_size_and_then_by_the_first_row() -> None:
    vectors, labels, _ = corpus(7, 9, 4, seed=2)
    found = find_themes(vectors, labels)
    for level in (found.themes, found.topics):
        sizes = np.bincount(level[level >= 0])
        first = [int(np.argmax(level == number)) for number in range(len(sizes))]
        assert sorted(zip(-sizes, first, strict=True)) == list(zip(-sizes, first, strict=True))


@pytest.mark.parametrize("max_groups", [5_000, 40])
def test_order_of_rows_does_not_matter(max_groups: int) -> None:
    vectors, labels, _ = corpus(6, 12, 8, seed=3)
    vectors[50:60], labels[50:60] = vectors[0], -1  # ties
    labels = np.unique(labels, return_inverse=True)[1].astype(np.int32) - 1
    ranks = np.random.default_rng(0).permutation(len(labels)).astype(np.int64) * 7
    before = find_themes(vectors, labels, ranks=ranks, max_groups=max_groups)
    for seed in range(5):
        shuffle = np.random.default_rng(seed).permutation(len(labels))
        renamed = np.append(np.random.default_rng(seed + 9).permutation(labels.max() + 1), -1).astype(np.int32)
        after = find_themes(vectors[shuffle], renamed[labels[shuffle]], ranks=ranks[shuffle], max_groups=max_groups)
        np.testing.assert_array_equal(after.themes, before.themes[shuffle])
        np.testing.assert_array_equal(after.topics, before.topics[shuffle])
        np.testing.assert_array_equal(after.parents, before.parents)


def test_more_groups_than_the_linkage_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_ROWS", 7)
    vectors, labels, truth = corpus(5, 20, 30, seed=4)
    found = find_themes(vectors, labels, counts=(5, 20), max_groups=50)
    assert (found.cluster_themes >= 0).all()
    known = found.themes >= 0
    assert known.mean() > 0.95
    assert same_partition(found.themes[known], truth[known])


def test_block_size_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels, _ = corpus(5, 20, 10, seed=5)
    before = find_themes(vectors, labels)
    monkeypatch.setattr(module, "_BLOCK_ROWS", 13)
    np.testing.assert_array_equal(find_themes(vectors, labels).topics, before.topics)


@pytest.mark.parametrize("max_groups", [5_000, 2])
def test_a_lone_headline_like_nothing_else_has_no_theme(max_groups: int) -> None:
    # the corners of a simplex, seen from its center, are at negative cosines
    vectors = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 1, 1, 2, 0]]
    labels = np.array([0, 0, 0, 1, 1, 1, -1, -1], np.int32)
    found = find_themes(vectors, labels, counts=(2, 2), max_groups=max_groups)
    assert found.themes.tolist() == [0, 0, 0, 1, 1, 1, -1, 0]
    assert found.cluster_themes.tolist() == [0, 1]


def test_without_stories_headlines_are_grouped() -> None:
    vectors, labels, truth = corpus(4, 0, 40, seed=7)
    found = find_themes(vectors, labels, counts=(4, 8))
    known = found.themes >= 0
    assert known.mean() > 0.95
    assert same_partition(found.themes[known], truth[known])
    assert len(found.cluster_themes) == 0


def test_tiny_inputs() -> None:
    empty = find_themes(np.zeros((0, 3), np.float32), np.zeros(0, np.int32))
    assert len(empty.themes) == len(empty.parents) == 0
    vectors = np.eye(3, dtype=np.float32)
    story = find_themes(vectors[:1], np.zeros(1, np.int32))
    assert story.themes.tolist() == story.cluster_themes.tolist() == story.parents.tolist() == [0]
    lone = find_themes(vectors[:1], np.full(1, -1, np.int32))
    assert lone.themes.tolist() == [-1]
    same = find_themes(np.repeat(vectors[:1], 6, axis=0), np.array([0, 0, 0, 1, 1, 1], np.int32))
    assert same.themes.tolist() == [0] * 6


@pytest.mark.parametrize(
    ("stories", "expected"), [(0, (1, 1)), (8, (2, 4)), (60, (8, 30)), (144, (12, 48)), (50_000, (20, 80))]
)
def test_default_counts(stories: int, expected: tuple[int, int]) -> None:
    assert default_counts(stories) == expected


def test_errors_name_the_numbers() -> None:
    vectors, labels = np.eye(4, dtype=np.float32), np.array([0, 0, 2, -1], np.int32)
    with pytest.raises(ValueError, match="labels from -1 to 2"):
        find_themes(vectors, labels)
    with pytest.raises(ValueError, match=r"\(4, 4\) and labels \(3,\)"):
        find_themes(vectors, labels[:3])
    with pytest.raises(ValueError, match="float64"):
        find_themes(vectors.astype(np.float64), labels)  # type: ignore[arg-type]
    good = np.zeros(4, np.int32)
    with pytest.raises(ValueError, match=r"counts=\(5, 3\)"):
        find_themes(vectors, good, counts=(5, 3))
    with pytest.raises(ValueError, match="4 rows"):
        find_themes(vectors, good, ranks=np.zeros(4, np.int64))


def test_linkage_without_penalty_is_average_linkage() -> None:
    points = np.random.default_rng(8).normal(size=(60, 4))
    distances = squareform(pdist(points))
    merges = size_penalized_linkage(distances.copy(), np.ones(60), 0.0)
    tree = linkage(pdist(points), "average")
    for count in (1, 2, 5, 20, 60):
        assert same_partition(cut_merges(merges, count), fcluster(tree, count, "maxclust"))


def test_linkage_takes_weights_as_copies() -> None:
    points = np.random.default_rng(9).normal(size=(30, 4))
    copies = np.random.default_rng(10).integers(1, 4, 30)
    rows = np.repeat(np.arange(30), copies)
    full = squareform(pdist(points))
    merged = size_penalized_linkage(full.copy(), copies.astype(float), 0.25)
    single = size_penalized_linkage(full[np.ix_(rows, rows)].copy(), np.ones(len(rows)), 0.25)
    for count in (2, 6, 15):
        assert same_partition(cut_merges(merged, count)[rows], cut_merges(single, count))


def merged_one_by_one(distances: np.ndarray, weights: np.ndarray, power: float) -> list[tuple[int, int]]:
    """The contract of `size_penalized_linkage`, by a look at all pairs for each merge."""
    distances, weights, merges = distances.copy(), weights.copy(), []
    left = list(range(len(weights)))
    while len(left) > 1:
        pairs = [(i, j) for i in left for j in left if i < j]
        value = {p: distances[p] * (weights[p[0]] * weights[p[1]] / weights[list(p)].sum()) ** power for p in pairs}
        a, b = min(pairs, key=lambda pair: (value[pair], pair))
        mean = (weights[a] * distances[a] + weights[b] * distances[b]) / (weights[a] + weights[b])
        distances[a] = distances[:, a] = mean
        weights[a] += weights[b]
        left.remove(b)
        merges.append((a, b))
    return merges


@pytest.mark.parametrize("power", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_of_equal_distances_the_first_pair_merges_first(seed: int, power: float) -> None:
    random = np.random.default_rng(seed)
    m = int(random.integers(2, 30))
    steps = np.triu(random.integers(1, 2 + seed, (m, m)), 1)
    distances = (steps + steps.T) / 4
    weights = random.integers(1, 4, m).astype(float)
    merges = size_penalized_linkage(distances.copy(), weights, power)
    assert [(int(a), int(b)) for a, b in merges] == merged_one_by_one(distances, weights, power)


def test_equal_distances_take_about_as_long_as_others() -> None:
    m = 1_000
    points = np.random.default_rng(14).normal(size=(m, 20))
    seconds = []
    for distances in (squareform(pdist(points)), np.ones((m, m)), np.ones((m, m)), squareform(pdist(points))):
        start = time.perf_counter()
        size_penalized_linkage(distances, np.ones(m), 0.25)
        seconds.append(time.perf_counter() - start)
    # each merge would look at all pairs: 50 times
    assert min(seconds[1:3]) < 10 * max(seconds[0], seconds[3])


def test_small_themes_and_topics_join_larger_ones() -> None:
    vectors, labels, truth = corpus(4, 100, 20, seed=11)
    # one more topic with a single story of three headlines, of some 2,500: a theme by itself in a cut at five
    own = np.random.default_rng(12).normal(size=64)
    rows = (own + 0.05 * np.random.default_rng(13).normal(size=(3, 64))).astype(np.float32)
    vectors = np.concatenate([vectors, rows / np.linalg.norm(rows, axis=1, keepdims=True)])
    labels = np.append(labels, np.full(3, labels.max() + 1, np.int32))
    found = find_themes(vectors, labels, counts=(5, 40))
    assert same_partition(found.themes[:-3], truth)
    assert found.themes.max() == 3
    assert len(set(found.themes[-3:].tolist())) == 1
    assert np.bincount(found.topics[found.topics >= 0]).min() >= 0.001 * len(labels)
    has = found.topics >= 0
    np.testing.assert_array_equal(found.parents[found.topics[has]], found.themes[has])


def test_a_small_cluster_stays_inside_its_coarser_one() -> None:
    rows = np.eye(3)[[0, 0, 1, 2, 2]]
    roots, within = np.array([0, 0, 2, 3, 4]), np.array([0, 0, 0, 1, 1])
    sizes = np.array([9, 1, 1, 2, 1])
    joined = join_small(roots, within, rows, np.ones(5), sizes, 5)
    # 2 joins 0; of 3 and 4, which are both small, the larger one stays and takes the other
    assert joined.tolist() == [0, 0, 0, 3, 3]
