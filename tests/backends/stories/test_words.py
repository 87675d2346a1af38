"""The words of headlines: terms in any script, and vectors whose dot products are TF-IDF cosines."""

import numpy as np
import pyarrow as pa
import pytest
from conftest import SAMPLE
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer

from job.backends.stories.words import Terms, lexical_terms, project, text_terms

WIDTH = 512


def sample_titles() -> list[str]:
    return [line.split(",")[0] for line in SAMPLE.read_text(encoding="utf-8").splitlines()[1:]]


def projected(terms: Terms, width: int = WIDTH, threads: int = 1) -> np.ndarray:
    out = np.full((len(terms.offsets) - 1, width), np.nan, np.float32)
    project(terms, 1.0, out, threads)
    return out


def terms_of(text: str) -> set[int]:
    return set(text_terms([text]).hashes.tolist())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ferry strike: 6.5% deal, a WIN", ["ferry", "strike", "6", "5", "deal", "a", "win"]),
        ("Café naïve ﬁnance", ["cafe", "naive", "finance"]),
        ("❤️ Mum wins", ["mum", "wins"]),
        ("Путин прибыл", ["путин", "прибыл"]),
        ("انتخابات هادئة", ["انتخابات", "هادئة"]),
        ("الحُكومة", ["الحكومة"]),
        ("चुनाव शांत", ["चुनाव", "शांत"]),
        ("地震で東京", ["地震", "震で", "で東", "東京"]),
        ("雪", ["雪"]),
        ("중앙은행 금리", ["중앙", "앙은", "은행", "금리"]),
        ("ไทยรัฐ", ["ไทย", "ทยร", "ยรั", "รัฐ"]),
        ("iPhone発売", ["iphone", "発売"]),
        ("𠀀𠀁", ["𠀀𠀁"]),
        ("… — ! 🎈", []),
    ],
)
def test_terms_are_words_or_neighboring_characters_by_script(text: str, words: list[str]) -> None:
    expected = set().union(*(terms_of(word) for word in words)) if words else set()
    assert terms_of(text) == expected
    assert len(expected) == len(words), "each of the words is one term"


def test_weights_are_those_of_scikit_learn() -> None:
    titles = sample_titles()
    vectorizer = TfidfVectorizer(
        sublinear_tf=True, strip_accents="unicode", token_pattern=r"[^\W_]+", norm=None, dtype=np.float64
    )
    latin = [title for title in titles if title.isascii() and "_" not in title]
    expected = vectorizer.fit_transform(latin)
    terms = text_terms(latin)
    assert len(terms.weights) == expected.nnz
    sums = np.add.reduceat(terms.weights, terms.offsets[:-1])
    np.testing.assert_allclose(sums, np.asarray(expected.sum(axis=1)).ravel())


def test_dot_products_are_cosines_of_the_weights() -> None:
    terms = text_terms(sample_titles())
    columns = np.unique(terms.hashes, return_inverse=True)[1]
    exact = csr_array((terms.weights, columns, terms.offsets)).toarray()
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    vectors = projected(terms)
    error = vectors @ vectors.T - exact @ exact.T
    assert np.sqrt((error**2).mean()) < 1.2 / np.sqrt(WIDTH)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_order_of_the_texts_and_the_threads_change_no_bit() -> None:
    titles = sample_titles()
    order = np.random.default_rng(0).permutation(len(titles))
    expected = projected(text_terms(titles))
    shuffled = projected(text_terms([titles[i] for i in order], threads=2), threads=2)
    np.testing.assert_array_equal(shuffled, expected[order])


def test_arrow_columns_are_read_as_lists_are() -> None:
    titles = ["Ferry strike", "", "地震で東京", "Ferry deal"]
    expected = text_terms(titles)
    column = pa.chunked_array([["skipped"], [*titles[:2]], [*titles[2:]]]).slice(1)
    for array in (column, pa.array(["x", *titles], pa.large_string()).slice(1)):
        found = text_terms(array)
        np.testing.assert_array_equal(found.hashes, expected.hashes)
        np.testing.assert_array_equal(found.weights, expected.weights)
    assert text_terms(pa.array([None, "a"])).offsets.tolist() == [0, 0, 1]


def test_no_texts_and_texts_without_terms() -> None:
    assert projected(text_terms([])).shape == (0, WIDTH)
    assert not projected(text_terms(["", "…"])).any()


def test_lexical_weights_take_the_place_of_counted_words() -> None:
    weights = csr_array(np.array([[0, 2, 1, 0], [0, 4, 2, 0], [3, 0, 0, 0], [0, 0, 0, 0]], np.float32))
    vectors = projected(lexical_terms(weights))
    products = vectors @ vectors.T
    assert products[0, 1] == pytest.approx(1, abs=1e-6)
    assert abs(products[0, 2]) < 0.2
    assert not vectors[3].any()
