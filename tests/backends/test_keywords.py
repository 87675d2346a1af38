"""Keywords by class-based TF-IDF."""

import math

import pytest

from job.backends.keywords import cluster_keywords, stop_words


def test_words_of_one_cluster_alone_come_before_words_of_all() -> None:
    found = cluster_keywords(
        ["volcano iceland news volcano", "bank rates news bank", "football final news football"], 3
    )
    assert [words[0] for words in found] == ["volcano", "bank", "football"]
    assert all(words[-1] == "news" for words in found)


def test_weights_are_the_share_of_the_class_times_log_of_one_plus_mean_over_frequency() -> None:
    documents = [["storm"] * 3 + ["coast"] * 2 + ["rain"], ["rain"] * 5 + ["umbrella", "coast"], ["storm", "umbrella"]]
    mean = sum(map(len, documents)) / len(documents)
    every = [word for words in documents for word in words]
    for words, found in zip(documents, cluster_keywords([" ".join(words) for words in documents], 9), strict=True):
        weights = {
            word: words.count(word) / len(words) * math.log(1 + mean / every.count(word)) for word in sorted(set(words))
        }
        assert found == sorted(weights, key=lambda word: -weights[word])


def test_equal_weights_come_in_alphabetical_order() -> None:
    assert cluster_keywords(["zebra yacht xylophone"], 3) == [["xylophone", "yacht", "zebra"]]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_no_more_keywords_than_asked_for(count: int) -> None:
    assert [len(words) for words in cluster_keywords(["storm coast rain", "bank"], count)] == [count, min(count, 1)]


def test_stop_words_of_several_languages_numbers_and_single_letters_are_no_keywords() -> None:
    assert cluster_keywords(["the and der und les des el 2024 12 x volcano"], 9) == [["volcano"]]


def test_upper_and_lower_case_are_one_word_and_compounds_stay_whole() -> None:
    assert cluster_keywords(["Volcano VOLCANO volcano"], 9) == [["volcano"]]
    assert cluster_keywords(["covid-19 zürich"], 9) == [["covid-19", "zürich"]]


def test_a_cluster_without_words_has_no_keywords_and_spoils_no_other() -> None:
    assert cluster_keywords(["", "volcano", "the and 12"], 5) == [[], ["volcano"], []]


@pytest.mark.parametrize("documents", [[], ["the"], ["", ""]])
def test_no_words_at_all_are_no_error(documents: list[str]) -> None:
    assert cluster_keywords(documents, 5) == [[] for _ in documents]


def test_text_that_looks_like_code_is_only_words() -> None:
    assert cluster_keywords(["{volcano} %s <b>volcano</b>"], 1) == [["volcano"]]


def test_there_are_stop_words() -> None:
    assert {"the", "und", "les"} <= set(stop_words())
