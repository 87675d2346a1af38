"""Flat token ids against those of the tokenizer as FlagEmbedding calls it."""

import csv
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, SAMPLE

from job.backends.embedding.models import find_model
from job.backends.embedding.tokenizer import Tokenizer, Tokens
from job.stages.embed_fingerprint import TEXTS

UCI = ROOT.parent / "shared" / "data" / "uci_dev.parquet"


@pytest.fixture(scope="module")
def many_texts() -> list[str]:
    """Headlines, and odd texts; with the folder `shared`, 3,000 real ones too."""
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


@pytest.fixture(scope="module", params=["minilm", "tiny_m3"])
def tokenizer(request: pytest.FixtureRequest, folders: dict[str, str]) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(find_model(folders[request.param], "auto").folder)


@pytest.mark.parametrize("max_length", [16, 128, 512])
def test_ids_are_those_of_the_tokenizer_as_flagembedding_calls_it(
    tokenizer: Any, max_length: int, many_texts: list[str]
) -> None:
    theirs = tokenizer(many_texts, truncation=True, max_length=max_length, padding=False)["input_ids"]
    ours = Tokenizer(tokenizer, max_length)(many_texts)
    assert ours.lists() == theirs
    assert ours.ids.dtype == np.int32
    assert max(map(len, theirs)) <= max_length


def test_a_tokenizer_without_a_rust_backend_gives_the_same(tokenizer: Any, many_texts: list[str]) -> None:
    class Slow:
        def __call__(self, *texts: object, **settings: object) -> object:
            return tokenizer(*texts, **settings)

    some = many_texts[:300]
    slow = Tokenizer(Slow(), 64)(some)
    assert slow.lists() == Tokenizer(tokenizer, 64)(some).lists()


def test_no_texts_have_no_tokens(tokenizer: Any) -> None:
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
