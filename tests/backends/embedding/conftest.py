"""Shared by the tests of embedding: texts, and models that are loaded once."""

import csv
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLE

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.backends.embedding.precision import check_precision
from job.backends.torch_import import import_torch
from job.data import Floats
from job.runtime.errors import BadInput

# before a test imports torch: with torch's own settings the encoder's tests take three times as long on a busy machine
import_torch()

ODD = ["x", "…", "naïve café — “quotes”", "日本語の見出し", "word " * 300, "</s> is only text", "🎈", "UPPER lower 12%"]
# tokens per text; the tiny model has no more positions
LONGEST = {"minilm": 512, "tiny_m3": 128}
Encoders = Callable[..., FlagEncoder]
Vectors = Callable[..., Floats]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """160 headlines with descriptions, and odd texts."""
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [f"{row['title']}\n{row['description']}".strip() for row in rows[:160]] + ODD


@pytest.fixture(scope="session")
def texts_for(texts: list[str]) -> dict[str, list[str]]:
    """The texts for each model: fewer headlines for MiniLM, which is larger, and the odd ones."""
    return {"minilm": texts[:40] + ODD, "tiny_m3": texts}


@pytest.fixture(scope="session")
def folders(tiny_m3: Path) -> dict[str, str]:
    """What to give to `find_model` for the models of the tests."""
    return {"minilm": "minilm", "tiny_m3": str(tiny_m3)}


@pytest.fixture(scope="session")
def shared_encoder(folders: dict[str, str]) -> Encoders:
    """An encoder on the CPU, made once per settings: a test must not change it."""

    @cache
    def make(name: str, precision: str = "fp32", own_layers: bool = True) -> FlagEncoder:
        model = find_model(folders[name], "auto")
        return FlagEncoder(model, "cpu", precision, LONGEST[name], 1024, sparse=model.m3, own_layers=own_layers)

    return make


@pytest.fixture(scope="session")
def vectors(shared_encoder: Encoders, texts_for: dict[str, list[str]]) -> Vectors:
    """The vectors of the model's texts by `shared_encoder`, computed once per settings."""

    @cache
    def make(name: str, *settings: Any) -> Floats:
        found = shared_encoder(name, *settings).encode(texts_for[name])
        found.flags.writeable = False
        return found

    return make


@pytest.fixture(scope="session")
def flag_minilm() -> Any:
    """FlagEmbedding's own object for MiniLM, in float32."""
    from FlagEmbedding import FlagAutoModel

    return FlagAutoModel.from_finetuned(
        str(find_model("minilm", "auto").folder),
        model_class="encoder-only-base",
        pooling_method="mean",
        use_fp16=False,
        devices="cpu",
    )


@pytest.fixture
def skip_unsupported() -> Callable[[str], None]:
    """Skips the test if this CPU cannot compute in a precision."""

    def skip(precision: str) -> None:
        try:
            check_precision(precision, "cpu")
        except BadInput as error:
            pytest.skip(str(error))

    return skip
