"""Story vectors: shares of the evidence as dot products, and the background."""

import numpy as np
import pytest

from job.backends.stories.vectors import Shares, background, story_vectors

HOUR = 3600.0


def dense(n: int, d: int = 16) -> np.ndarray:
    found = np.random.default_rng(0).normal(size=(n, d)) + 2
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_without_times_words_and_meaning_share_the_similarity() -> None:
    texts = ["ferry strike", "ferry strike", "tiara stolen", "tiara stolen"]
    vectors = story_vectors(dense(4), texts, np.full(4, np.nan), Shares())
    centered = dense(4) - dense(4).mean(axis=0)
    centered /= np.linalg.norm(centered, axis=1, keepdims=True)
    expected = 0.7 * centered[0] @ centered[1] + 0.3
    assert vectors[0] @ vectors[1] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("apart", [0.0, 1.0, 24.0, 72.0, 300.0])
def test_time_counts_by_its_kernel(apart: float) -> None:
    times = 1.7e9 + np.array([0, apart * HOUR])
    shares = Shares(words=0.0, time=1.0)
    vectors = story_vectors(dense(2), ["a", "b"], times, shares)
    assert vectors[0] @ vectors[1] == pytest.approx(np.exp(-apart / shares.hours), abs=0.03 if apart < 100 else 0.16)


def test_a_headline_without_a_time_is_as_near_in_time_as_an_average_headline() -> None:
    times = 1.7e9 + np.array([0, 10 * HOUR, 500 * HOUR, np.nan])
    vectors = story_vectors(dense(4), ["a"] * 4, times, Shares(words=0.0, time=1.0))
    assert vectors[3] @ vectors[0] == pytest.approx((vectors[:3] @ vectors[0]).mean(), abs=1e-5)


def test_the_corpus_mean_does_not_count() -> None:
    """Models whose vectors all lie in one direction give the same similarities."""
    vectors = dense(50)
    moved = vectors + 3 * vectors.mean(axis=0)
    plain, shifted = (
        story_vectors(v.astype(np.float32), ["x"] * 50, np.full(50, np.nan), Shares(words_only=0.0))
        for v in (vectors, moved)
    )
    np.testing.assert_allclose(plain @ plain.T, shifted @ shifted.T, atol=1e-4)


def test_the_background_is_a_quantile_of_the_similarities_to_others() -> None:
    vectors = dense(200)
    products = vectors @ vectors.T
    np.fill_diagonal(products, np.nan)
    expected = np.nanquantile(products, 0.8, axis=1, method="lower")
    # components are rounded to multiples of 2^-11
    np.testing.assert_allclose(background(vectors, 0), expected, atol=1e-3)
    np.testing.assert_allclose(background(vectors, 0, sample=60), expected, atol=0.2)
    assert background(vectors[:1], 0).tolist() == [0.0]
