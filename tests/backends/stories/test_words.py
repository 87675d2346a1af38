"""The words of headlines: terms in any script, and vectors whose dot products are TF-IDF cosines."""

import numpy as np
import pytest
from conftest import SAMPLE
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer

from job.backends.stories.words import WIDTH, lexical_vectors, terms, word_vectors


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ferry strike: 6.5% deal, a WIN", ["ferry", "strike", "6", "5", "deal", "win"]),
        ("Café naïve ﬁnance", ["café", "naïve", "finance"]),
        ("地震で東京", ["地震", "震で", "で東", "東京"]),
        ("雪", ["雪"]),
        ("ฟุตบอล", ["ฟุ", "ุต", "ตบ", "บอ", "อล"]),
        ("انتخابات هادئة", ["انتخابات", "هادئة"]),
        ("중앙은행 금리", ["중앙은행", "금리"]),
        ("iPhone発売", ["iphone", "発売"]),
        ("… — !", []),
    ],
)
def test_terms_are_words_or_pairs_of_characters_by_script(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def sample_titles() -> list[str]:
    return [line.split(",")[0] for line in SAMPLE.read_text(encoding="utf-8").splitlines()[1:]]


def test_dot_products_are_those_of_tf_idf() -> None:
    titles = sample_titles()
    vectorizer = TfidfVectorizer(analyzer=terms, sublinear_tf=True, min_df=2)
    exact = vectorizer.fit_transform(titles)
    vectors = word_vectors(titles)
    assert (vectors.shape, vectors.dtype) == ((len(titles), WIDTH), np.float32)
    error = vectors @ vectors.T - (exact @ exact.T).toarray()
    assert np.sqrt((error**2).mean()) < 1.2 / np.sqrt(WIDTH)
    some = np.asarray(exact.sum(axis=1)).ravel() > 0
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), some.astype(float), atol=1e-5)


def test_the_order_of_the_texts_changes_no_bit() -> None:
    titles = sample_titles()
    order = np.random.default_rng(0).permutation(len(titles))
    shuffled = word_vectors([titles[i] for i in order])
    np.testing.assert_array_equal(shuffled, word_vectors(titles)[order])


def test_texts_without_a_shared_term_are_zero() -> None:
    assert not word_vectors(["alpha beta", "gamma delta", ""]).any()
    assert word_vectors([]).shape == (0, WIDTH)


def test_lexical_weights_take_the_place_of_counted_words() -> None:
    weights = csr_array(np.array([[0, 2, 1, 0], [0, 4, 2, 0], [3, 0, 0, 0], [0, 0, 0, 0]], np.float32))
    vectors = lexical_vectors(weights)
    products = vectors @ vectors.T
    assert products[0, 1] == pytest.approx(1, abs=1e-6)
    assert abs(products[0, 2]) < 0.2
    assert not vectors[3].any()
