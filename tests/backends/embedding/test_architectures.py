"""Encoders other than BERT and XLM-R: small ones with random weights, and MiniLM's tokenizer."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import EuroBertConfig, EuroBertModel, ModernBertConfig, ModernBertModel, MPNetConfig, MPNetModel

from job.backends.embedding.batches import plan_batches
from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.flag_embedding import max_tokens
from job.backends.embedding.models import find_model
from job.runtime.errors import BadInput

SIZES: dict[str, Any] = {"vocab_size": 30_522, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
SIZES |= {"intermediate_size": 64, "pad_token_id": 0}
MODELS: dict[str, tuple[Any, Any]] = {
    "mpnet": (MPNetModel, MPNetConfig(**SIZES)),
    "modernbert": (
        ModernBertModel,
        ModernBertConfig(**SIZES, local_attention=16, cls_token_id=101, sep_token_id=102, bos_token_id=101),
    ),
    "eurobert": (EuroBertModel, EuroBertConfig(**SIZES, num_key_value_heads=2, bos_token_id=101, eos_token_id=102)),
}
TEXTS = [f"{'word ' * (3 + 7 * (row % 6))} headline {row}" for row in range(24)]


@pytest.fixture(params=MODELS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    model_class, config = MODELS[request.param]
    torch.manual_seed(0)
    model_class(config).save_pretrained(tmp_path)
    for file in find_model("minilm", "auto").folder.glob("*token*"):
        shutil.copy(file, tmp_path)
    for file in find_model("minilm", "auto").folder.glob("vocab*"):
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_are_those_of_each_text_alone_also_where_texts_are_padded(
    folder: Path, pooling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = FlagEncoder(find_model(str(folder), pooling), "cpu", "fp32", 64)
    stock = FlagEncoder(find_model(str(folder), pooling), "cpu", "fp32", 64, own_layers=False)
    alone = np.concatenate([stock.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode(TEXTS), alone, atol=1e-5)
    for one in (encoder, stock):
        monkeypatch.setattr(one, "budget", 2048)
        monkeypatch.setattr(one, "_floor", 1024)  # as on a GPU
        assert any(batch.padded for batch in plan_batches(one.tokenize(TEXTS).lengths, 2048, 1024))
        np.testing.assert_allclose(one.encode(TEXTS), alone, atol=1e-5)


def test_positions_that_begin_after_the_paddings_are_not_counted() -> None:
    assert max_tokens(MPNetConfig(max_position_embeddings=514, pad_token_id=1)) == 512


@pytest.mark.parametrize("change", ["renamed", "missing", "shape"])
def test_a_folder_that_lacks_weights_is_refused_and_no_random_ones_are_used(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(find_model("minilm", "auto").folder, folder)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("layer.1.output.dense.weight"))
    if change == "renamed":
        weights = {f"student.{name}": value for name, value in weights.items()}
    elif change == "missing":
        del weights[name]
    else:
        weights[name] = weights[name][:5].contiguous()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match=r"lacks \d+ weights of its architecture, such as|does not load"):
        FlagEncoder(find_model(str(folder), "auto"), "cpu", "fp32", 64)


def test_a_model_with_layers_behind_its_pooling_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(find_model("minilm", "auto").folder, folder)
    kinds = ["Transformer", "Pooling", "Dense", "Normalize"]
    modules = [{"idx": at, "type": f"sentence_transformers.models.{kind}"} for at, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(
        BadInput, match=r"modules\.json' names Dense: its vectors come out of layers behind the pooling"
    ):
        find_model(str(folder), "auto")
