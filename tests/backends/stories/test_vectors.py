"""Story vectors: dot products are shares of meaning and words, times a factor for the time between."""

import numpy as np
import pytest

from job.backends.stories.vectors import WIDTH, Shares, story_vectors

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


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_order_of_rows_and_the_threads_change_no_bit(dtype: type) -> None:
    n = 70_000
    rng = np.random.default_rng(1)
    vectors = dense(n, 16).astype(dtype)
    texts = [f"headline {number}" for number in rng.integers(0, 5_000, n)]
    times = np.where(rng.random(n) < 0.1, np.nan, 1.7e9 + rng.random(n) * 900 * HOUR)
    expected = story_vectors(vectors, texts, times, Shares(), threads=1)
    order = rng.permutation(n)
    shuffled = story_vectors(vectors[order], [texts[i] for i in order], times[order], Shares(), threads=2)
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
