"""Half precision on a CPU that lacks the instructions is refused before anything is loaded."""

import subprocess
import sys

import pytest
from conftest import ROOT

from job.backends.embedding import onednn
from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.backends.embedding.precision import check_precision
from job.backends.torch_import import import_torch
from job.runtime.errors import BadInput


@pytest.mark.parametrize(("precision", "device"), [("fp32", "cpu"), ("fp16", "cuda"), ("bf16", "cuda")])
def test_what_always_works_is_accepted_without_importing_torch(precision: str, device: str) -> None:
    command = f"""
import sys
from job.backends.embedding.precision import check_precision
check_precision("{precision}", "{device}")
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=True)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_the_check_agrees_with_what_the_encoder_can_compute(precision: str) -> None:
    torch = import_torch()
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    module = torch.nn.Sequential(torch.nn.Linear(32, 32, dtype=dtype))
    try:
        onednn._replace_linear_layers(module, 64, torch)
        module(torch.ones(64, 32, dtype=dtype))
    except RuntimeError:
        with pytest.raises(BadInput):
            check_precision(precision, "cpu")
    else:
        check_precision(precision, "cpu")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_the_error_names_the_setting_and_what_to_set(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for what torch says of the CPU: not every machine lacks the instructions."""
    monkeypatch.setattr(onednn, "why_unsupported", lambda _: "it needs avx512bw")
    expected = rf"^embed\.precision = '{precision}': .*\(it needs avx512bw\); set embed\.precision=fp32$"
    with pytest.raises(BadInput, match=expected):
        check_precision(precision, "cpu")
    check_precision("fp32", "cpu")


def test_the_encoder_checks_before_it_loads_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same stand-in."""
    monkeypatch.setattr(onednn, "why_unsupported", lambda _: "it needs avx512bw")
    monkeypatch.setattr("job.backends.embedding.encoder.load_flag_model", lambda *_: pytest.fail("loaded"))
    with pytest.raises(BadInput, match=r"embed\.precision = 'bf16'"):
        FlagEncoder(find_model("minilm", "auto"), "cpu", "bf16", 128)
