"""No code of a model's folder is run: each trap writes a marker file when it is, and is first seen to do so."""

import json
import pickle
import runpy
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from conftest import DEMO, SAMPLE, Run

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.backends.embedding.own_code import weights_only
from job.runtime.errors import BadInput

Trap = Callable[[Path, Path], None]


class Payload:
    """Runs code when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.code = f"open({str(marker)!r}, 'w').close()"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (self.code,)


def update(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values if path.exists() else values))


def plant_module(folder: Path, marker: Path) -> None:
    """Write `evil.py`: classes that a model could be made of, and the marker when it is imported."""
    (folder / "evil.py").write_text(
        "from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel\n"
        f"open({str(marker)!r}, 'w').close()\n"
        "class Settings(XLMRobertaConfig): pass\n"
        "class Model(XLMRobertaModel): pass\n"
        "class Tokens(PreTrainedTokenizerFast): pass\n"
    )
    runpy.run_path(str(folder / "evil.py"))
    sprung(marker)


def plant_pickle(path: Path, content: object, marker: Path, raw: bool = False, protocol: int = 2) -> None:
    """Write a PyTorch file, or a bare pickle, with a payload in it."""
    if raw:
        path.write_bytes(pickle.dumps(content, protocol))
    else:
        torch.save(content, path, pickle_protocol=protocol)
    with suppress(RuntimeError, pickle.UnpicklingError):  # a bare pickle is run, and then is no PyTorch file
        torch.load(path, weights_only=False)
    sprung(marker)


def sprung(marker: Path) -> None:
    """The trap works: set it again."""
    marker.unlink()


def head(name: str, protocol: int) -> Trap:
    def plant(folder: Path, marker: Path) -> None:
        state = torch.load(folder / name, weights_only=True)
        plant_pickle(folder / name, {**state, "more": Payload(marker)}, marker, protocol=protocol)

    return plant


def weights(raw: bool) -> Trap:
    def plant(folder: Path, marker: Path) -> None:
        (folder / "model.safetensors").unlink()
        plant_pickle(folder / "pytorch_model.bin", {"more": Payload(marker)}, marker, raw)

    return plant


def weights_beside(folder: Path, marker: Path) -> None:
    plant_pickle(folder / "pytorch_model.bin", {"more": Payload(marker)}, marker)


def architecture(model_type: str) -> Trap:
    def plant(folder: Path, marker: Path) -> None:
        plant_module(folder, marker)
        auto_map = {"AutoConfig": "evil.Settings", "AutoModel": "evil.Model"}
        update(folder / "config.json", model_type=model_type, auto_map=auto_map)

    return plant


def tokenizer(folder: Path, marker: Path) -> None:
    plant_module(folder, marker)
    settings = folder / "tokenizer_config.json"
    update(settings, tokenizer_class="Tokens", auto_map={"AutoTokenizer": ["evil.Tokens", "evil.Tokens"]})


def module(folder: Path, marker: Path) -> None:
    plant_module(folder, marker)
    modules = [{"idx": 0, "name": "0", "path": "", "type": "evil.Model"}]
    (folder / "modules.json").write_text(json.dumps(modules))


def adapter(folder: Path, marker: Path) -> None:
    plant_module(folder, marker)
    base = {"parent_library": "evil", "base_model_class": "Model"}
    update(folder / "adapter_config.json", peft_type="LORA", base_model_name_or_path=str(folder), auto_mapping=base)
    plant_pickle(folder / "adapter_model.bin", {"more": Payload(marker)}, marker)


def kernel(folder: Path, marker: Path) -> None:
    update(folder / "config.json", attn_implementation="somebody/kernel")


REFUSED = {
    "sparse_linear.pt": (
        head("sparse_linear.pt", 2),
        "sparse_linear.pt' is damaged or holds other things than tensors",
    ),
    "sparse_linear.pt of protocol 4": (head("sparse_linear.pt", 4), "sparse_linear.pt' is damaged or holds other"),
    "colbert_linear.pt": (head("colbert_linear.pt", 2), "colbert_linear.pt' is damaged or holds other things"),
    "pytorch_model.bin": (weights(raw=False), "pytorch_model.bin' is damaged or holds other things"),
    "pytorch_model.bin, a bare pickle": (weights(raw=True), "pytorch_model.bin' is damaged or holds other things"),
    "an architecture of its own": (architecture("evil"), "config.json names evil.Settings, evil.Model: code of the"),
    "an adapter": (adapter, "makes it an adapter of another model"),
    "a kernel from the hub": (kernel, "asks for code from the hub (attn_implementation = 'somebody/kernel')"),
}
LEFT_ALONE = {
    "pytorch_model.bin beside safetensors": (weights_beside, ""),
    "own code for a known architecture": (architecture("xlm-roberta"), "config.json names evil.Settings, evil.Model"),
    "a tokenizer of its own": (tokenizer, "tokenizer_config.json names evil.Tokens"),
    "a module for sentence-transformers": (module, "modules.json names evil.Model"),
}


def planted(tiny_m3: Path, tmp_path: Path, trap: Trap) -> tuple[Path, Path]:
    folder, marker = Path(shutil.copytree(tiny_m3, tmp_path / "model")), tmp_path / "marker"
    trap(folder, marker)
    return folder, marker


def load(folder: Path) -> FlagEncoder:
    return FlagEncoder(find_model(str(folder), "auto"), "cpu", "fp32", 64)


@pytest.mark.parametrize(("trap", "said"), REFUSED.values(), ids=REFUSED)
def test_code_in_a_model_is_refused_and_not_run(tiny_m3: Path, tmp_path: Path, trap: Trap, said: str) -> None:
    folder, marker = planted(tiny_m3, tmp_path, trap)
    with pytest.raises(BadInput) as caught:
        load(folder)
    assert not marker.exists()
    text = str(caught.value)
    assert text.startswith(f"embed.model = '{folder}': ")
    assert said in text
    assert "\n" not in text and "weights_only" not in text


@pytest.mark.parametrize(("trap", "said"), LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_code_that_a_model_does_not_need_is_left_alone_and_named_in_the_log(
    tiny_m3: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, trap: Trap, said: str
) -> None:
    folder, marker = planted(tiny_m3, tmp_path, trap)
    found = load(folder).encode(["Ferry strike ends"])
    assert not marker.exists()
    assert (found == load(tiny_m3).encode(["Ferry strike ends"])).all()
    assert said in caplog.text
    assert ("code of its own, which is not run" in caplog.text) == bool(said)


@pytest.mark.parametrize(("trap", "said"), REFUSED.values(), ids=REFUSED)
def test_a_run_with_such_a_model_ends_with_one_line(
    job_here: Run, tiny_m3: Path, tmp_path: Path, trap: Trap, said: str
) -> None:
    folder, marker = planted(tiny_m3, tmp_path, trap)
    done = job_here("run", DEMO, f"run_dir={tmp_path / 'run'}", f"input.path={SAMPLE}", f"embed.model={folder}")
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: embed.model = ") and said in last
    assert "Traceback" not in done.stderr
    assert not marker.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("trap", "said"), LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_a_run_with_code_that_is_not_needed_does_not_run_it(
    job: Run, tiny_m3: Path, tmp_path: Path, trap: Trap, said: str
) -> None:
    folder, marker = planted(tiny_m3, tmp_path, trap)
    settings = [f"run_dir={tmp_path / 'run'}", f"embed.model={folder}"]
    for stage in ("ingest", "embed"):
        done = job("stage", stage, DEMO, *settings)
        assert done.returncode == 0, done.stderr
    assert said in done.stderr
    assert not marker.exists()


def test_a_library_that_asks_torch_for_more_than_tensors_does_not_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    marker = tmp_path / "marker"
    plant_pickle(tmp_path / "x.pt", Payload(marker), marker)
    with weights_only(), pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "x.pt", weights_only=False)
    assert not marker.exists()
    torch.load(tmp_path / "x.pt")
    assert marker.exists()  # the user's own setting holds again
