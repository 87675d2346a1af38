"""Our loop against FlagEmbedding's own `encode`: the definition of the vectors."""

import csv
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLE

from job.backends.encoder import FlagEncoder
from job.backends.models import find_model
from job.runtime.errors import BadInput

ODD = ["x", "…", "naïve café — “quotes”", "日本語の見出し", "word " * 300, "</s> is only text", "🎈", "UPPER lower 12%"]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [f"{row['title']}\n{row['description']}".strip() for row in rows[:160]] + ODD


def encoder(name: str | Path, precision: str = "fp32", budget: int = 1024) -> FlagEncoder:
    return FlagEncoder(find_model(str(name), "auto"), "cpu", precision, 128, budget)


def test_the_tiny_m3_is_recognised_and_pools_the_first_token(tiny_m3: Path) -> None:
    model = find_model(str(tiny_m3), "auto")
    assert model.m3
    assert model.pooling == "cls"


def test_vectors_of_a_bge_m3_equal_flagembeddings(tiny_m3: Path, texts: list[str]) -> None:
    from FlagEmbedding import BGEM3FlagModel

    ours = encoder(tiny_m3).encode(texts)
    theirs = BGEM3FlagModel(str(tiny_m3), use_fp16=False, devices="cpu").encode(texts, batch_size=16, max_length=128)
    np.testing.assert_allclose(ours, theirs["dense_vecs"], atol=1e-5)


def test_vectors_of_minilm_equal_flagembeddings(texts: list[str]) -> None:
    from FlagEmbedding import FlagAutoModel

    model = find_model("minilm", "auto")
    flag = FlagAutoModel.from_finetuned(
        str(model.folder), model_class="encoder-only-base", pooling_method="mean", use_fp16=False, devices="cpu"
    )
    theirs = flag.encode(texts[:64] + ODD, batch_size=8, max_length=128)
    np.testing.assert_allclose(encoder("minilm").encode(texts[:64] + ODD), theirs, atol=1e-5)


def test_bf16_stays_close_to_fp32(texts: list[str]) -> None:
    full, half = encoder("minilm").encode(texts[:64]), encoder("minilm", "bf16").encode(texts[:64])
    assert (full * half).sum(axis=1).min() > 0.999
    assert not np.array_equal(full, half)


def test_vectors_are_of_unit_length(tiny_m3: Path, texts: list[str]) -> None:
    for precision in ("fp32", "bf16"):
        norms = np.linalg.norm(encoder(tiny_m3, precision).encode(texts), axis=1)
        np.testing.assert_allclose(norms, 1.0, atol=1e-6)


def test_a_text_has_the_same_vector_alone_and_in_any_company(tiny_m3: Path, texts: list[str]) -> None:
    model = encoder(tiny_m3)
    together = model.encode(texts)
    np.testing.assert_allclose(model.encode([texts[7]])[0], together[7], atol=1e-6)
    np.testing.assert_allclose(model.encode(texts[::-1])[::-1], together, atol=1e-6)
    np.testing.assert_allclose(encoder(tiny_m3, budget=64).encode(texts), together, atol=1e-6)


def test_a_text_is_cut_where_the_models_positions_end(tiny_m3: Path) -> None:
    model = FlagEncoder(find_model(str(tiny_m3), "auto"), "cpu", "fp32", 512, None)
    assert model.tokenize(["word " * 400]).lengths.tolist() == [128]
    assert np.isfinite(model.encode(["word " * 400])).all()


def test_no_texts_give_no_vectors(tiny_m3: Path) -> None:
    assert encoder(tiny_m3).encode([]).shape == (0, 32)


def test_every_text_is_reported_as_done(tiny_m3: Path, texts: list[str]) -> None:
    done: list[int] = []
    encoder(tiny_m3).encode(texts, done.append)
    assert sum(done) == len(texts)


def test_a_model_that_does_not_load_is_bad_input(tiny_m3: Path, tmp_path: Path) -> None:
    for file in tiny_m3.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(BadInput, match="does not load"):
        encoder(tmp_path)
