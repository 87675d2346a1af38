"""Our loop against FlagEmbedding's own `encode`: the definition of the vectors."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SAMPLE

from job.backends.embedding.batches import plan
from job.backends.embedding.encoder import BatchError, FlagEncoder
from job.backends.embedding.models import find_model
from job.runtime.errors import BadInput, JobError
from job.runtime.log import logger

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


def test_the_equality_check_of_512_texts_over_all_lengths() -> None:
    """The bars of facts/embedding.md: min cosine 0.999, mean 0.9999, norms within 1e-3; here in both precisions."""
    from FlagEmbedding import FlagAutoModel

    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    some = [" ".join((row["title"] + " " + row["description"]).split()[: 1 + i % 60]) for i, row in enumerate(rows)]
    some = (some + ODD)[-512:]
    model = find_model("minilm", "auto")
    flag = FlagAutoModel.from_finetuned(
        str(model.folder), model_class="encoder-only-base", pooling_method="mean", use_fp16=False, devices="cpu"
    )
    theirs = flag.encode(some, batch_size=32, max_length=128)
    for precision, least, mean in (("fp32", 0.999999, 0.999999), ("bf16", 0.999, 0.9998)):
        ours = encoder("minilm", precision).encode(some)
        cosine = (ours * theirs).sum(axis=1)
        assert cosine.min() >= least
        assert cosine.mean() >= mean
        np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1.0, atol=1e-3)


@pytest.mark.parametrize("name", ["minilm", "tiny_m3"])
def test_onednns_layers_give_what_torchs_give(name: str, request: pytest.FixtureRequest, texts: list[str]) -> None:
    model = find_model("minilm" if name == "minilm" else str(request.getfixturevalue(name)), "auto")
    fast = FlagEncoder(model, "cpu", "fp32", 512, 1024)
    plain = FlagEncoder(model, "cpu", "fp32", 512, 1024, extras=False)
    assert type(fast._module.encoder.layer[0].intermediate.dense).__name__ == "PackedLinear"
    assert type(plain._module.encoder.layer[0].intermediate.dense).__name__ == "Linear"
    np.testing.assert_allclose(fast.encode(texts), plain.encode(texts), atol=2e-6)


@pytest.mark.parametrize("name", ["minilm", "tiny_m3"])
@pytest.mark.parametrize("extras", [True, False])
def test_left_overs_merged_by_padding_keep_their_vectors(
    name: str, extras: bool, request: pytest.FixtureRequest, texts: list[str]
) -> None:
    model = find_model("minilm" if name == "minilm" else str(request.getfixturevalue(name)), "auto")
    exact = FlagEncoder(model, "cpu", "fp32", 128, 2048, extras=extras)
    merged = FlagEncoder(model, "cpu", "fp32", 128, 2048, extras=extras)
    merged._floor = 1024  # as on a GPU
    assert any(batch.padded for batch in plan(merged.tokenize(texts).lengths, 2048, 1024))
    np.testing.assert_allclose(merged.encode(texts), exact.encode(texts), atol=2e-6)


def test_half_precision_vectors_are_the_full_ones_rounded(tiny_m3: Path, texts: list[str]) -> None:
    model = encoder(tiny_m3)
    tokens = model.tokenize(texts)
    half = model.forward(tokens, True).vectors()
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, model.forward(tokens, False).vectors().astype(np.float16))


def out_of_memory_above(model: FlagEncoder, tokens: int) -> list[int]:
    """Let the model's forward pass fail as CUDA's does where a batch is larger; the tokens of each try."""
    tries: list[int] = []
    real = model._module

    def forward(input_ids: torch.Tensor, **settings: object) -> object:
        tries.append(input_ids.numel())
        if input_ids.numel() > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return real(input_ids=input_ids, **settings)

    model._module = forward
    return tries


def test_out_of_memory_halves_the_budget_once_and_keeps_it(
    tiny_m3: Path, texts: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    some = texts * 20
    expected = encoder(tiny_m3, budget=4096).encode(some)
    model = encoder(tiny_m3, budget=4096)
    tries = out_of_memory_above(model, 1100)
    logger.propagate = True
    done: list[int] = []
    np.testing.assert_allclose(model.encode(some, done.append), expected, atol=1e-6)
    assert model.budget == 1024
    assert sum(done) == len(some)
    assert sum(size > 1100 for size in tries) <= 2
    said = [record.getMessage() for record in caplog.records if "out of GPU memory" in record.getMessage()]
    assert said == ["embed: out of GPU memory with 4096 tokens a batch: going on with embed.token_budget=1024"]
    tries.clear()
    model.encode(some)
    assert max(tries) <= 1024


def test_out_of_memory_at_the_floor_says_what_to_do(tiny_m3: Path, texts: list[str]) -> None:
    model = encoder(tiny_m3, budget=4096)
    tries = out_of_memory_above(model, 0)
    with pytest.raises(JobError, match=r"free the GPU, or lower embed\.max_length"):
        model.encode(texts)
    assert len(tries) == 4


def test_any_other_error_names_its_texts_and_is_not_tried_again(tiny_m3: Path, texts: list[str]) -> None:
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


@pytest.mark.parametrize("floor", [0, 1024])
def test_lexical_weights_are_flagembeddings(tiny_m3: Path, texts: list[str], floor: int) -> None:
    from FlagEmbedding import BGEM3FlagModel

    flag = BGEM3FlagModel(str(tiny_m3), use_fp16=False, devices="cpu")
    theirs = flag.encode(texts, batch_size=16, max_length=128, return_sparse=True)["lexical_weights"]
    model = FlagEncoder(find_model(str(tiny_m3), "auto"), "cpu", "fp32", 128, 1024, sparse=True)
    model._floor = floor
    pending = model.forward(model.tokenize(texts), False)
    ours: list[dict[str, float]] = [{} for _ in texts]
    for row, token, weight in pending.lexical().tolist():
        assert str(token) not in ours[row]
        ours[row][str(token)] = weight
    assert sum(map(len, theirs)) > 100
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.keys() == other.keys()
        assert mine == pytest.approx({key: float(value) for key, value in other.items()}, abs=1e-5)
    np.testing.assert_allclose(pending.vectors(), encoder(tiny_m3).encode(texts), atol=1e-6)


def test_a_model_without_a_sparse_head_is_refused_lexical_weights() -> None:
    with pytest.raises(BadInput, match=r"embed\.sparse = true: 'minilm' gives no lexical weights.*sparse=false"):
        FlagEncoder(find_model("minilm", "auto"), "cpu", "fp32", 128, None, sparse=True)
