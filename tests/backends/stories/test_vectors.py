"""Story vectors: dot products are shares of meaning and words, times a factor for the time between."""

import numpy as np
import pytest

from job.backends.stories.vectors import WIDTH, Shares, StorySpace, story_vectors

HOUR = 3600.0


def dense(n: int, d: int = 384) -> np.ndarray:
    found = np.random.default_rng(0).normal(size=(n, d)) + 1
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def no_times(n: int) -> np.ndarray:
    return np.full(n, np.nan)


def cosines(vectors: np.ndarray) -> np.ndarray:
    moved = vectors - vectors.mean(axis=0, dtype=np.float64)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    return moved @ moved.T


def test_without_times_words_and_meaning_share_the_similarity() -> None:
    texts = ["ferry strike", "ferry strike", "tiara stolen", "tiara stolen"]
    vectors = story_vectors(dense(4), texts, no_times(4), Shares(words=0.3))
    assert (vectors.shape, vectors.dtype) == ((4, 384 + WIDTH), np.float32)
    assert vectors[0] @ vectors[1] == pytest.approx(0.7 * cosines(dense(4))[0, 1] + 0.3, abs=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("apart", [0.0, 1.0, 24.0, 72.0, 200.0, 500.0])
def test_time_multiplies_the_similarity_by_its_kernel(apart: float) -> None:
    n = 60
    texts = [f"headline {i // 2}" for i in range(n)]
    at_once = story_vectors(dense(n), texts, no_times(n), Shares())
    times = 1.7e9 + np.arange(n) % 2 * apart * HOUR
    vectors = story_vectors(dense(n), texts, times, Shares())
    expected = 0.25 + 0.75 * np.exp(-apart / 72)
    factors = (vectors[::2] @ vectors[1::2].T)[at_once[::2] @ at_once[1::2].T > 0.25]
    before = (at_once[::2] @ at_once[1::2].T)[at_once[::2] @ at_once[1::2].T > 0.25]
    assert (factors / before).mean() == pytest.approx(expected, abs=0.12)
    same_time = vectors[::2] @ vectors[::2].T
    np.testing.assert_allclose(same_time, at_once[::2] @ at_once[::2].T, atol=1e-5)


def test_a_headline_without_a_time_is_as_near_as_an_average_time() -> None:
    n = 200
    texts = ["ferry strike"] * n
    same = np.repeat(dense(2), n // 2, axis=0)
    times = 1.7e9 + np.linspace(0, 1000 * HOUR, n)
    times[::10] = np.nan
    vectors = story_vectors(same, texts, times, Shares())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    story, known = slice(0, n // 2), np.isfinite(times[: n // 2])
    products = vectors[story] @ vectors[story].T
    unknown_to_known = products[~known][:, known].mean()
    assert products[known][:, known].mean() < unknown_to_known < 1
    np.testing.assert_allclose(products[~known][:, ~known], 1, atol=1e-5)


def test_without_any_time_nothing_is_lost() -> None:
    texts = ["ferry strike", "tiara stolen", "ferry strike"]
    alone = story_vectors(dense(3), texts, no_times(3), Shares())
    at_once = story_vectors(dense(3), texts, np.full(3, 1.7e9), Shares())
    np.testing.assert_allclose(alone @ alone.T, at_once @ at_once.T, atol=1e-5)


def test_the_corpus_mean_does_not_count() -> None:
    """Models whose vectors all lie in one direction give the same similarities."""
    vectors = dense(50)
    moved = (vectors + 3 * vectors.mean(axis=0)) / 4
    plain, shifted = (
        story_vectors(v.astype(np.float32), ["x"] * 50, no_times(50), Shares(words=0.0)) for v in (vectors, moved)
    )
    np.testing.assert_allclose(plain @ plain.T, shifted @ shifted.T, atol=1e-3)


def around(center: np.ndarray, n: int, spread: float, d: int = 384) -> np.ndarray:
    """Unit vectors around a center of length 1, as far from it as noise of length `spread` is long."""
    found = center + spread * np.random.default_rng(5).normal(size=(n, d)) / np.sqrt(d)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def alike(vectors: np.ndarray, background: np.ndarray | None) -> float:
    """The mean similarity of two headlines, without words."""
    n = len(vectors)
    story = story_vectors(vectors, ["x"] * n, no_times(n), Shares(words=0.0), background=background)
    return float((story @ story.T)[np.triu_indices(n, 1)].mean())


EVENT, COMMON = np.eye(384)[0], np.eye(384)[1]


@pytest.mark.parametrize("n", [2, 4, 12])
def test_a_few_headlines_about_one_event_are_alike_and_unrelated_ones_are_not(n: int) -> None:
    about_it = around(EVENT, n, 0.8)
    # centered on their own mean they are as unlike as can be
    assert alike(about_it, None) < 0
    assert alike(about_it, around(COMMON, 5, 1.0).mean(axis=0)) > 0.3
    # what all texts of a model have in common is no evidence
    unrelated = around(COMMON, n, 1.2)
    assert (unrelated @ unrelated.T)[0, 1] > 0.3
    assert alike(unrelated, np.zeros(384, np.float32)) > 0.15
    assert alike(unrelated, around(COMMON, 5, 1.0).mean(axis=0)) < 0.1


def test_of_many_headlines_the_background_changes_next_to_nothing() -> None:
    n = 2_000
    some = around(COMMON, n, 1.2)
    plain, shrunk = (
        story_vectors(some, ["x"] * n, no_times(n), Shares(words=0.0), background=background)
        for background in (None, around(EVENT, 5, 1.0).mean(axis=0))
    )
    np.testing.assert_allclose(plain @ plain.T, shrunk @ shrunk.T, atol=0.005)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_order_of_rows_and_the_threads_change_no_bit(dtype: type) -> None:
    n = 70_000
    rng = np.random.default_rng(1)
    vectors = dense(n, 16).astype(dtype)
    texts = [f"headline {number}" for number in rng.integers(0, 5_000, n)]
    times = np.where(rng.random(n) < 0.1, np.nan, 1.7e9 + rng.random(n) * 900 * HOUR)
    background = dense(5, 16).mean(axis=0)
    expected = story_vectors(vectors, texts, times, Shares(), threads=1, background=background)
    order = rng.permutation(n)
    shuffled = story_vectors(
        vectors[order], [texts[i] for i in order], times[order], Shares(), threads=2, background=background
    )
    np.testing.assert_array_equal(shuffled, expected[order])


def test_equal_vectors_and_an_odd_number_of_columns_are_no_problem() -> None:
    same = np.repeat(dense(1, 15), 3, axis=0)
    vectors = story_vectors(same, ["a", "b", "a"], 1.7e9 + np.arange(3) * HOUR, Shares())
    assert np.isfinite(vectors).all()
    assert not vectors[:, :14].any()
    assert story_vectors(dense(0, 16), [], np.zeros(0), Shares()).shape == (0, 16 + WIDTH)


def test_arrays_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="4 embeddings with 3 texts"):
        story_vectors(dense(4), ["a"] * 3, no_times(4), Shares())


def test_the_mean_of_tens_of_millions_of_rows_does_not_overflow() -> None:
    n = 2**25
    space = StorySpace.of(np.broadcast_to(np.ones((1, 1), np.float32), (n, 1)), np.broadcast_to(np.nan, n), Shares())
    assert space.mean.tolist() == [1.0]
