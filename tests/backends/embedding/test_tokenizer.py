"""Flat token ids against the tokenizer as FlagEmbedding calls it."""

import csv

import numpy as np
import pytest
from conftest import ROOT, SAMPLE

from job.backends.embedding.models import find_model
from job.backends.embedding.tokenizer import Tokenizer, Tokens
from job.stages.embed_fingerprint import TEXTS

UCI = ROOT.parent / "shared" / "data" / "uci_dev.parquet"


def texts() -> list[str]:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = [f"{row['title']}\n{row['description']}" for row in csv.DictReader(file)]
    if UCI.exists():
        import pyarrow.parquet as pq

        rows += pq.read_table(UCI, columns=["title"])["title"].to_pylist()[:3000]
    odd = [
        "x",
        "…",
        "  spaces   inside ",
        "word " * 600,
        "UPPER",
        "a\u0301 combining",
        "\u200b",
        "[CLS] [PAD] <s> </s>",
    ]
    return [*rows, *TEXTS, *odd]


@pytest.fixture(params=["minilm", "tiny_m3"])
def tokenizer(request: pytest.FixtureRequest) -> object:
    from transformers import AutoTokenizer

    name = request.param
    folder = find_model("minilm", "auto").folder if name == "minilm" else request.getfixturevalue("tiny_m3")
    return AutoTokenizer.from_pretrained(folder)


def as_flagembedding_has_it(tokenizer: object, some: list[str], max_length: int) -> list[list[int]]:
    ids: list[list[int]] = tokenizer(some, truncation=True, max_length=max_length, padding=False)["input_ids"]  # type: ignore[operator]
    return ids


@pytest.mark.parametrize("max_length", [16, 128, 512])
def test_ids_are_those_of_the_tokenizer_as_flagembedding_calls_it(tokenizer: object, max_length: int) -> None:
    some = texts()
    theirs = as_flagembedding_has_it(tokenizer, some, max_length)
    ours = Tokenizer(tokenizer, max_length)(some)
    assert ours.lists() == theirs
    assert ours.ids.dtype == np.int32
    assert max(map(len, theirs)) <= max_length


def test_a_tokenizer_without_a_rust_part_gives_the_same(tokenizer: object) -> None:
    class Slow:
        def __call__(self, *some: object, **settings: object) -> object:
            return tokenizer(*some, **settings)  # type: ignore[operator]

    some = texts()[:300]
    slow = Tokenizer(Slow(), 64)(some)
    assert slow.lists() == Tokenizer(tokenizer, 64)(some).lists()


def test_no_texts_have_no_tokens(tokenizer: object) -> None:
    none = Tokenizer(tokenizer, 64)([])
    assert (len(none), none.lists(), none.lengths.tolist()) == (0, [], [])


def test_texts_are_found_by_their_offsets() -> None:
    tokens = Tokens(np.arange(6, dtype=np.int32), np.array([0, 2, 5, 6]))
    assert len(tokens) == 3
    assert tokens.lengths.tolist() == [2, 3, 1]
    assert tokens.lists() == [[0, 1], [2, 3, 4], [5]]


def test_the_golden_ids_of_minilm() -> None:
    from transformers import AutoTokenizer

    tokenizer = Tokenizer(AutoTokenizer.from_pretrained(find_model("minilm", "auto").folder), 128)
    golden = [101, 7115, 4894, 4515, 2044, 1020, 1012, 1019, 1003, 3477, 3066, 102]
    assert tokenizer(["Ferry strike ends after 6.5% pay deal"]).lists() == [golden]
