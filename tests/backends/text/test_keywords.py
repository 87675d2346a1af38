"""Keywords by class-based TF-IDF."""

import math
import random
from collections import Counter

import pytest

from job.backends.text.keywords import cluster_keywords, stop_words


def test_words_of_only_one_cluster_come_before_words_of_all() -> None:
    found = cluster_keywords(
        ["volcano iceland news volcano", "bank rates news bank", "football final news football"], 3
    )
    assert [words[0] for words in found] == ["volcano", "bank", "football"]
    assert all(words[-1] == "news" for words in found)


def test_weights_are_the_share_of_the_class_times_log_of_one_plus_mean_over_frequency() -> None:
    rng = random.Random(0)
    words = [f"{first}{second}bola" for first in "dfghk" for second in "aeiou"]
    documents = [rng.choices(words, weights=range(1, 26), k=size) for size in (4, 12, 90, 400)]
    mean = sum(map(len, documents)) / len(documents)
    total = Counter(word for document in documents for word in document)
    for document, found in zip(
        documents, cluster_keywords([" ".join(document) for document in documents], 25), strict=True
    ):
        counts = Counter(document)
        weights = {word: n / len(document) * math.log(1 + mean / total[word]) for word, n in counts.items()}
        assert found == sorted(weights, key=lambda word: (-weights[word], word))


def test_equal_weights_come_in_alphabetical_order() -> None:
    assert cluster_keywords(["zebra yacht xylophone"], 3) == [["xylophone", "yacht", "zebra"]]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_at_most_the_requested_number_of_keywords(count: int) -> None:
    assert [len(words) for words in cluster_keywords(["storm coast rain", "bank"], count)] == [count, min(count, 1)]


def test_stop_words_of_several_languages_numbers_and_single_letters_are_not_keywords() -> None:
    assert cluster_keywords(["the and der und les des el 2024 12 x volcano"], 9) == [["volcano"]]


def test_upper_and_lower_case_are_one_word_and_compounds_stay_whole() -> None:
    assert cluster_keywords(["Volcano VOLCANO volcano"], 9) == [["volcano"]]
    assert cluster_keywords(["covid-19 zürich"], 9) == [["covid-19", "zürich"]]


def test_a_cluster_without_words_has_no_keywords_and_does_not_affect_others() -> None:
    assert cluster_keywords(["", "volcano", "the and 12"], 5) == [[], ["volcano"], []]


@pytest.mark.parametrize("documents", [[], ["the"], ["", ""]])
def test_documents_without_words_are_not_an_error(documents: list[str]) -> None:
    assert cluster_keywords(documents, 5) == [[] for _ in documents]


def test_text_that_looks_like_code_is_split_into_words() -> None:
    assert cluster_keywords(["{volcano} %s <b>volcano</b>"], 1) == [["volcano"]]


def test_the_stop_words_cover_several_languages() -> None:
    assert {"the", "und", "les"} <= set(stop_words())
