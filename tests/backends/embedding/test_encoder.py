"""Our loop against FlagEmbedding's own `encode`, which defines the vectors."""

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SAMPLE

from job.backends.embedding.batches import plan_batches
from job.backends.embedding.encoder import BatchError, FlagEncoder
from job.backends.embedding.models import find_model
from job.data import Floats
from job.runtime.errors import BadInput, JobError
from job.runtime.log import logger

Encoders = Callable[..., FlagEncoder]
Vectors = Callable[..., Floats]
Skip = Callable[[str], None]


def encoder(folder: Path, budget: int = 1024) -> FlagEncoder:
    """A new encoder, for a test that changes it."""
    return FlagEncoder(find_model(str(folder), "auto"), "cpu", "fp32", 128, budget)


@pytest.fixture(scope="module")
def flag_m3(tiny_m3: Path, texts: list[str]) -> Any:
    """What FlagEmbedding gives for the tiny BGE-M3: vectors and lexical weights."""
    from FlagEmbedding import BGEM3FlagModel

    flag = BGEM3FlagModel(str(tiny_m3), use_fp16=False, devices="cpu")
    return flag.encode(texts, batch_size=16, max_length=128, return_sparse=True)


def test_the_tiny_m3_is_recognized_and_pools_the_first_token(tiny_m3: Path) -> None:
    model = find_model(str(tiny_m3), "auto")
    assert model.m3
    assert model.pooling == "cls"


def test_vectors_of_a_bge_m3_equal_flagembeddings(flag_m3: Any, vectors: Vectors) -> None:
    np.testing.assert_allclose(vectors("tiny_m3"), flag_m3["dense_vecs"], atol=1e-5)


def test_vectors_of_minilm_equal_flagembeddings(
    flag_minilm: Any, texts_for: dict[str, list[str]], vectors: Vectors
) -> None:
    theirs = flag_minilm.encode(texts_for["minilm"], batch_size=8, max_length=512)
    np.testing.assert_allclose(vectors("minilm"), theirs, atol=1e-5)


@pytest.fixture(scope="module")
def all_lengths(texts: list[str], flag_minilm: Any) -> tuple[list[str], Floats]:
    """512 texts of all lengths, and FlagEmbedding's vectors."""
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    some = [" ".join((row["title"] + " " + row["description"]).split()[: 1 + i % 60]) for i, row in enumerate(rows)]
    some = (some + [text for text in texts[160:] if len(text) < 500])[-512:]
    return some, np.asarray(flag_minilm.encode(some, batch_size=32, max_length=512))


@pytest.mark.parametrize(("precision", "least", "mean"), [("fp32", 0.999999, 0.999999), ("bf16", 0.999, 0.9998)])
def test_the_equality_check_of_512_texts_over_all_lengths(
    precision: str,
    least: float,
    mean: float,
    shared_encoder: Encoders,
    all_lengths: tuple[list[str], Floats],
    skip_unsupported: Skip,
) -> None:
    """The bars of facts/embedding.md: min cosine 0.999, mean 0.9999, norms within 1e-3; here in both precisions."""
    skip_unsupported(precision)
    some, theirs = all_lengths
    ours = shared_encoder("minilm", precision).encode(some)
    cosine = (ours * theirs).sum(axis=1)
    assert cosine.min() >= least
    assert cosine.mean() >= mean
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1.0, atol=1e-3)


@pytest.mark.parametrize("name", ["minilm", "tiny_m3"])
def test_onednns_layers_give_what_torchs_give(name: str, shared_encoder: Encoders, vectors: Vectors) -> None:
    fast, plain = shared_encoder(name), shared_encoder(name, "fp32", False)
    assert type(fast._module.encoder.layer[0].intermediate.dense).__name__ == "PackedLinear"
    assert type(plain._module.encoder.layer[0].intermediate.dense).__name__ == "Linear"
    np.testing.assert_allclose(vectors(name), vectors(name, "fp32", False), atol=2e-6)


@pytest.mark.parametrize("name", ["minilm", "tiny_m3"])
@pytest.mark.parametrize("own_layers", [True, False])
def test_left_over_texts_that_are_padded_keep_their_vectors(
    name: str,
    own_layers: bool,
    shared_encoder: Encoders,
    vectors: Vectors,
    texts_for: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, some = shared_encoder(name, "fp32", own_layers), texts_for[name]
    expected = vectors(name, "fp32", own_layers)
    monkeypatch.setattr(model, "budget", 2048)
    monkeypatch.setattr(model, "_floor", 1024)  # as on a GPU
    assert any(batch.padded for batch in plan_batches(model.tokenize(some).lengths, 2048, 1024))
    np.testing.assert_allclose(model.encode(some), expected, atol=2e-6)


def test_half_precision_vectors_are_the_float32_vectors_rounded(
    shared_encoder: Encoders, texts: list[str], vectors: Vectors
) -> None:
    model = shared_encoder("tiny_m3")
    half = model.forward(model.tokenize(texts), True).vectors()
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, vectors("tiny_m3").astype(np.float16))


def out_of_memory_above(model: FlagEncoder, tokens: int) -> list[int]:
    """Make the forward pass of larger batches fail as CUDA's does; returns the number of tokens of each attempt."""
    attempts: list[int] = []
    real = model._module

    def forward(input_ids: torch.Tensor, **settings: object) -> object:
        attempts.append(input_ids.numel())
        if input_ids.numel() > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return real(input_ids=input_ids, **settings)

    model._module = forward
    return attempts


def test_out_of_memory_halves_the_budget_once_and_keeps_it(
    tiny_m3: Path, texts: list[str], vectors: Vectors, caplog: pytest.LogCaptureFixture
) -> None:
    some = texts * 8
    expected = np.tile(vectors("tiny_m3"), (8, 1))
    model = encoder(tiny_m3, budget=4096)
    attempts = out_of_memory_above(model, 1100)
    logger.propagate = True
    done: list[int] = []
    np.testing.assert_allclose(model.encode(some, done.append), expected, atol=1e-6)
    assert model.budget == 1024
    assert sum(done) == len(some)
    assert sum(size > 1100 for size in attempts) <= 2
    messages = [record.getMessage() for record in caplog.records if "out of GPU memory" in record.getMessage()]
    assert messages == ["embed: out of GPU memory with 4096 tokens per batch: going on with embed.token_budget=1024"]
    attempts.clear()
    model.encode(some)
    assert max(attempts) <= 1024


def test_out_of_memory_at_the_lowest_budget_names_what_to_do(tiny_m3: Path, texts: list[str]) -> None:
    model = encoder(tiny_m3, budget=4096)
    attempts = out_of_memory_above(model, 0)
    with pytest.raises(JobError, match=r"free the GPU, or lower embed\.max_length"):
        model.encode(texts)
    assert len(attempts) == 4


def test_any_other_error_names_its_texts_and_is_not_retried(tiny_m3: Path, texts: list[str]) -> None:
    model = encoder(tiny_m3)
    calls = []

    def fails(input_ids: torch.Tensor) -> object:
        calls.append(input_ids)
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore")

    model._module = fails
    with pytest.raises(
        BatchError, match=r"RuntimeError: CUDA error: an illegal memory access was encountered$"
    ) as caught:
        model.encode(texts)
    assert len(calls) == 1
    lengths = model.tokenize(texts).lengths
    assert caught.value.rows.tolist() == np.flatnonzero(lengths == lengths.max()).tolist()


def test_vectors_that_are_not_finite_name_their_texts(tiny_m3: Path, texts: list[str]) -> None:
    model = encoder(tiny_m3)
    real = model._module
    bad = model.tokenize([texts[5]]).ids.tolist()

    def overflows(input_ids: torch.Tensor) -> object:
        answer = real(input_ids=input_ids)
        answer.last_hidden_state[[row.tolist() == bad for row in input_ids]] = float("nan")
        return answer

    model._module = overflows
    with pytest.raises(BatchError, match=r"not finite; try embed\.precision=fp32") as caught:
        model.encode(texts)
    assert caught.value.rows.tolist() == [5]


def test_bf16_stays_close_to_fp32(
    texts: list[str], shared_encoder: Encoders, vectors: Vectors, skip_unsupported: Skip
) -> None:
    skip_unsupported("bf16")
    full, half = vectors("minilm")[:40], shared_encoder("minilm", "bf16").encode(texts[:40])
    assert (full * half).sum(axis=1).min() > 0.999
    assert not np.array_equal(full, half)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_vectors_are_of_unit_length(precision: str, vectors: Vectors, skip_unsupported: Skip) -> None:
    skip_unsupported(precision)
    np.testing.assert_allclose(np.linalg.norm(vectors("tiny_m3", precision), axis=1), 1.0, atol=1e-6)


def test_a_text_has_the_same_vector_alone_and_in_any_batch(
    tiny_m3: Path, texts: list[str], shared_encoder: Encoders, vectors: Vectors
) -> None:
    model, together = shared_encoder("tiny_m3"), vectors("tiny_m3")
    np.testing.assert_allclose(model.encode([texts[7]])[0], together[7], atol=1e-6)
    np.testing.assert_allclose(model.encode(texts[::-1])[::-1], together, atol=1e-6)
    np.testing.assert_allclose(encoder(tiny_m3, budget=64).encode(texts), together, atol=1e-6)


def test_a_text_is_cut_where_the_models_positions_end(tiny_m3: Path) -> None:
    model = FlagEncoder(find_model(str(tiny_m3), "auto"), "cpu", "fp32", 512)
    assert model.tokenize(["word " * 400]).lengths.tolist() == [128]
    assert np.isfinite(model.encode(["word " * 400])).all()


def test_no_texts_give_no_vectors(shared_encoder: Encoders) -> None:
    assert shared_encoder("tiny_m3").encode([]).shape == (0, 32)


def test_every_text_is_reported_as_done(shared_encoder: Encoders, texts: list[str]) -> None:
    done: list[int] = []
    shared_encoder("tiny_m3").encode(texts, done.append)
    assert sum(done) == len(texts)


def test_a_model_that_does_not_load_is_bad_input(tiny_m3: Path, tmp_path: Path) -> None:
    for file in tiny_m3.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(BadInput, match="does not load"):
        encoder(tmp_path)


@pytest.mark.parametrize("floor", [0, 1024])
def test_lexical_weights_equal_flagembeddings(
    tiny_m3: Path, texts: list[str], floor: int, flag_m3: Any, vectors: Vectors
) -> None:
    theirs = flag_m3["lexical_weights"]
    model = FlagEncoder(find_model(str(tiny_m3), "auto"), "cpu", "fp32", 128, 1024, sparse=True)
    model._floor = floor
    pending = model.forward(model.tokenize(texts), False)
    ours: list[dict[str, float]] = [{} for _ in texts]
    for row, token, weight in pending.lexical().tolist():
        assert str(token) not in ours[row]
        ours[row][str(token)] = weight
    assert sum(map(len, theirs)) > 100
    for mine, other in zip(ours, theirs, strict=True):
        # of a weight of nearly 0, rounding alone decides whether it is there
        tokens = mine.keys() | other.keys()
        expected = {token: float(other.get(token, 0)) for token in tokens}
        assert {token: mine.get(token, 0) for token in tokens} == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(pending.vectors(), vectors("tiny_m3"), atol=1e-6)


def test_a_model_without_a_sparse_head_is_refused_for_lexical_weights() -> None:
    with pytest.raises(BadInput, match=r"embed\.sparse = true: 'minilm' gives no lexical weights.*sparse=false"):
        FlagEncoder(find_model("minilm", "auto"), "cpu", "fp32", 128, sparse=True)


RELEASED = """
import gc, warnings
from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
warnings.simplefilter("ignore")
encoder = FlagEncoder(find_model("minilm", "auto"), "cpu", "fp32", 64)
encoder.encode(["One headline", "Another headline of more words"])
import torch
encoder.release()
gc.unfreeze()
print([tuple(each.shape) for each in gc.get_objects() if isinstance(each, torch.Tensor)])
"""


def test_nothing_holds_the_model_after_its_release() -> None:
    said = subprocess.run([sys.executable, "-c", RELEASED], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
