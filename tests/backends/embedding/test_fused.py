"""The layers for a GPU, computed by torch on the CPU: the same vectors as with the model's own layers."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from job.backends.embedding import fused
from job.backends.embedding.batches import plan_batches
from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.data import Floats

Vectors = Callable[..., Floats]
LAYERS = {"minilm": 6, "tiny_m3": 2}
# operators that only look at memory in another way
VIEWS = ("t", "transpose", "view", "_unsafe_view", "unbind", "slice", "select", "detach", "alias")


class Operators(TorchDispatchMode):
    """The names of torch's operators that were called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(function).removeprefix("aten.").split(".")[0]
        if name not in VIEWS:
            self.names.append(name)
        return function(*args, **(kwargs or {}))


def make(folder: str, precision: str = "fp32", sparse: bool = False) -> FlagEncoder:
    model = FlagEncoder(find_model(folder, "auto"), "cpu", precision, 128, 2048, sparse=sparse, own_layers=False)
    assert fused.is_supported(model._module)
    model._fused = fused.FusedEncoder(model._module, model._pooling == "cls" and not sparse)
    model._floor = 1024
    return model


@pytest.mark.parametrize("name", ["minilm", "tiny_m3"])
def test_fused_layers_give_what_torchs_give(
    name: str, folders: dict[str, str], texts_for: dict[str, list[str]], vectors: Vectors
) -> None:
    model = make(folders[name])
    some = [text for text in texts_for[name] if len(text) < 500]
    assert any(batch.padded for batch in plan_batches(model.tokenize(some).lengths, model.budget, model._floor))
    kept = [row for row, text in enumerate(texts_for[name]) if len(text) < 500]
    np.testing.assert_allclose(model.encode(some), vectors(name, "fp32", False)[kept], atol=2e-6)


def test_operators_that_the_device_lacks_are_found_before_the_layers_are_taken_apart(
    folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for precision in ("fp32", "bf16"):
        module = FlagEncoder(find_model(folders["tiny_m3"], "auto"), "cpu", precision, 128, own_layers=False)._module
        assert fused.why_unusable(module) is None

    def lacking(*_: Any, **__: Any) -> Any:
        raise RuntimeError("CUBLAS_STATUS_NOT_SUPPORTED\nmore")

    monkeypatch.setattr(torch, "_addmm_activation", lacking)
    assert fused.why_unusable(module) == "CUBLAS_STATUS_NOT_SUPPORTED"


@pytest.mark.parametrize("name", ["minilm", "tiny_m3"])
def test_in_half_precision_they_are_as_close_as_torchs(
    name: str,
    folders: dict[str, str],
    texts: list[str],
    shared_encoder: Callable[..., FlagEncoder],
    skip_unsupported: Callable[[str], None],
) -> None:
    skip_unsupported("bf16")
    some = texts[:60]
    exact = shared_encoder(name, "fp32", False).encode(some)
    ours, torchs = (
        1 - (model.encode(some) * exact).sum(axis=1)
        for model in (make(folders[name], "bf16"), shared_encoder(name, "bf16", False))
    )
    assert ours.max() < 1e-3
    assert ours.mean() < 1.3 * torchs.mean()


def test_lexical_weights_need_the_states_of_all_tokens(
    tiny_m3: Path, texts: list[str], shared_encoder: Callable[..., FlagEncoder]
) -> None:
    plain, ours = shared_encoder("tiny_m3", "fp32", False), make(str(tiny_m3), sparse=True)
    mine, theirs = (model.forward(model.tokenize(texts), False).lexical() for model in (ours, plain))
    assert len(mine) > 100
    np.testing.assert_array_equal(mine[["row", "token"]], theirs[["row", "token"]])
    np.testing.assert_allclose(mine["weight"], theirs["weight"], atol=2e-6)


@pytest.mark.parametrize("name", ["minilm", "tiny_m3"])
def test_a_layer_is_seven_kernels_in_half_precision(
    name: str, folders: dict[str, str], skip_unsupported: Callable[[str], None]
) -> None:
    skip_unsupported("bf16")
    layers = make(folders[name], "bf16")._fused
    assert layers is not None
    ids = torch.randint(5, 90, (3, 11))
    # in inference mode torch would not show what its composed operators call
    with torch.no_grad(), Operators() as embeddings:
        layers._embeddings(input_ids=ids)
    with torch.no_grad(), Operators() as everything:
        layers(ids)
    names = everything.names[len(embeddings.names) :]
    # the last layer of a model that pools the first token: its rows alone, and their query apart from key and value
    assert len(names) == 7 * LAYERS[name] + (2 if name == "tiny_m3" else 0), names
    assert names.count("addmm_") == 2 * LAYERS[name]
    assert names.count("_addmm_activation") == LAYERS[name]


def test_the_weights_that_are_joined_are_not_kept_twice(tiny_m3: Path) -> None:
    model = make(str(tiny_m3))
    assert model._module.encoder is None
    states = model._module.state_dict()
    assert all(name.startswith(("embeddings.", "pooler.")) for name in states)


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "deberta"},
        {"is_decoder": True},
        {"_attn_implementation": "eager"},
        {"position_embedding_type": "relative_key"},
    ],
)
def test_other_architectures_keep_torchs_layers(tiny_m3: Path, change: dict[str, Any]) -> None:
    module = FlagEncoder(find_model(str(tiny_m3), "auto"), "cpu", "fp32", 128, own_layers=False)._module
    names = ("model_type", "is_decoder", "_attn_implementation")
    config = SimpleNamespace(**({name: getattr(module.config, name) for name in names} | change))
    assert not fused.is_supported(SimpleNamespace(config=config, encoder=module.encoder))


def test_another_activation_keeps_torchs_layers(tiny_m3: Path) -> None:
    module = FlagEncoder(find_model(str(tiny_m3), "auto"), "cpu", "fp32", 128, own_layers=False)._module
    module.encoder.layer[1].intermediate.intermediate_act_fn = torch.nn.GELU(approximate="tanh")
    assert not fused.is_supported(module)


def test_cudnns_attention_is_not_used_while_texts_are_encoded(
    tiny_m3: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(str(tiny_m3))
    allowed = []
    real = model._states

    def states(*given: Any) -> Any:
        allowed.append((torch.backends.cuda.cudnn_sdp_enabled(), torch.backends.cuda.flash_sdp_enabled()))
        return real(*given)

    monkeypatch.setattr(model, "_states", states)
    before = torch.backends.cuda.cudnn_sdp_enabled()
    model.encode(texts[:5])
    assert set(allowed) == {(False, True)}
    assert torch.backends.cuda.cudnn_sdp_enabled() == before
