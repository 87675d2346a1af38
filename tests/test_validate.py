"""`validate` finds what can be known before a run, and changes nothing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import DEMO, ROOT, Run, clean_environment, logger_as_before, write_csv

from job.cli import main
from job.runtime.device import cuda_devices


@pytest.fixture(autouse=True)
def kept_logger() -> Iterator[None]:
    with logger_as_before():
        yield


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *words: object) -> str:
    """The one line that `validate` says; what is in `folder` is as before."""
    before = files(folder)
    assert main(["validate", str(DEMO), f"run_dir={folder / 'run'}", *map(str, words)]) == 2
    assert files(folder) == before
    lines = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert len(lines) == 1
    return lines[0]


def accepted(capsys: pytest.CaptureFixture[str], folder: Path, *words: object) -> str:
    before = files(folder)
    assert main(["validate", str(DEMO), f"run_dir={folder / 'run'}", *map(str, words)]) == 0
    assert files(folder) == before
    return capsys.readouterr().out


def test_it_says_what_it_checked_and_what_it_cannot(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = accepted(capsys, tmp_path, "device=cpu")
    assert f"run_dir: '{tmp_path / 'run'}' is a new folder" in said
    assert "embed: 'minilm' is in " in said and " on cpu (device = cpu)" in said
    assert f"store: Milvus Lite in '{tmp_path / 'run' / 'milvus.db'}', collection 'news_data', index auto" in said
    assert "not checked: whether Milvus or an LLM answers" in said
    assert "not checked: the rows of the input" in said


def test_what_the_terminals_encoding_lacks_is_shown_as_an_escape(job: Run, tmp_path: Path) -> None:
    environment = clean_environment() | {"PYTHONIOENCODING": "ascii"}
    done = job("validate", DEMO, f"run_dir={tmp_path / 'zz_é'}", env=environment)
    assert done.returncode == 0, done.stderr
    assert r"zz_\xe9" in done.stdout


def test_it_asks_no_server(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = accepted(capsys, tmp_path, "store.uri=http://root:hunter2@127.0.0.1:9", "store.index=IVF_FLAT")
    assert "store: Milvus at http://127.0.0.1:9" in said
    assert "hunter2" not in said


def test_an_index_that_is_not_searched_has_no_limit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["store.index=GPU_CAGRA", "neighbors.k=1020", "neighbors.backend=exact", "store.uri=http://127.0.0.1:9"]
    assert "index GPU_CAGRA" in accepted(capsys, tmp_path, *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["embed.model=nowhere"], "embed.model = 'nowhere': no folder 'nowhere' here"),
        (["embed.model=job"], "embed.model = 'job': no config.json"),
        (["embed.sparse=true"], "embed.sparse = true: 'minilm' gives no lexical weights"),
        (["store.extra_fields=[sorce]"], "store.extra_fields: the input has no column 'sorce'"),
        (["store.index=GPU_IVF_FLAT"], "store.index = 'GPU_IVF_FLAT'"),
        (["store.index=GPU_IVF_FLAT", "neighbors.backend=exact"], "Milvus Lite builds only FLAT, IVF_FLAT, HNSW"),
        (
            ["store.index=GPU_CAGRA", "neighbors.k=1020", "store.uri=http://127.0.0.1:9"],
            "GPU_CAGRA returns at most 1,024 rows per query, this run asks for 1,029",
        ),
        (["store.uri=README.md/a.db"], "store.uri = 'README.md/a.db': "),
        (["store.uri=https://127.0.0.1:9", "store.tls_ca=nowhere"], "store.tls_ca = 'nowhere': no such file"),
        (["input.time=when"], "input.time = 'when': no such column"),
        (["input.path=nowhere.csv"], "input.path = 'nowhere.csv': no such file"),
        (["cluster.previous=nowhere"], "cluster.previous = 'nowhere' is no run folder"),
        (["run_dir=README.md"], "run_dir = 'README.md': "),
        (["run_dir=README.md/run"], "run_dir = 'README.md/run': "),
        (["run_dir=configs"], "run_dir = 'configs' is not empty and no run folder"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_what_a_run_would_fail_on_is_found(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(ROOT)
    assert said in refused(capsys, tmp_path, *words)


def test_an_environment_of_ranks_that_makes_no_sense_is_found(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_STEP_ID", "first")
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    assert "SLURM_STEP_ID = 'first' in the environment: expected a number" in refused(capsys, tmp_path)


@pytest.mark.skipif(cuda_devices()[0] > 0, reason="there is a GPU")
def test_a_batch_job_is_checked_on_a_machine_without_its_gpu(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = accepted(capsys, tmp_path, "device=cuda")
    assert "; fp16 on cuda (device = 'cuda': no NVIDIA driver" in said


def test_a_folder_of_a_model_is_looked_at(capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_m3: Path) -> None:
    folder = Path(shutil.copytree(tiny_m3, tmp_path / "model"))
    assert f"is in '{folder}'" in accepted(capsys, tmp_path, f"embed.model={folder}", "embed.sparse=true")
    (folder / "adapter_config.json").write_text("{}")
    assert "makes it an adapter" in refused(capsys, tmp_path, f"embed.model={folder}")


def test_a_model_of_the_hub_is_not_downloaded(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = accepted(capsys, tmp_path, "embed.model=nobody/no-such-model")
    assert "embed: 'nobody/no-such-model' is not on this machine: a run downloads it" in said


def test_a_folder_that_may_not_be_written_is_found(job: Run, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    if os.access(closed, os.W_OK):  # root: /proc lets nobody make a folder
        closed = Path("/proc/sys")
    done = job("validate", DEMO, f"run_dir={closed / 'run'}")
    assert done.returncode == 2
    assert f"cannot write in '{closed}'" in done.stderr


def test_a_finished_run_is_still_as_it_was(capsys: pytest.CaptureFixture[str], copy: Path) -> None:
    before = files(copy)
    assert main(["validate", str(DEMO), f"run_dir={copy}"]) == 0
    assert "is a run folder: a run goes on" in capsys.readouterr().out
    assert files(copy) == before


def test_a_collection_without_input_is_accepted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["validate", str(ROOT / "configs" / "collection.yaml"), "store.uri=http://127.0.0.1:9"]) == 0
    said = capsys.readouterr().out
    assert "store: Milvus at http://127.0.0.1:9" in said and "embed: " not in said
    assert files(tmp_path) == {}


def test_it_imports_nothing_large(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [{"title": "Ferry strike ends", "lang": "en"}])
    words = ["validate", str(DEMO), f"run_dir={tmp_path / 'run'}", f"input.path={path}", "store.extra_fields=[lang]"]
    code = (
        f"import sys; from job.cli import main; assert main({words!r}) == 0\n"
        "print('heavy:', sorted({'torch', 'numba', 'pymilvus', 'transformers', 'sklearn'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_settings_may_stand_after_an_option_and_what_is_unknown_is_named(job_here: Run, tmp_path: Path) -> None:
    words = ("run", DEMO, f"run_dir={tmp_path}", "--force", "input.path=nothing.csv")
    assert "input.path = 'nothing.csv': no such file" in job_here(*words).stderr
    for wrong in (["run", DEMO, "--forse", "seed=1"], ["status", tmp_path, "--forse"]):
        refused = job_here(*wrong)
        assert refused.returncode == 2
        assert refused.stderr.endswith("unrecognized arguments: --forse\n")
    refused = job_here("status", tmp_path, "seed=1")
    assert refused.returncode == 2
    assert refused.stderr.endswith("unrecognized arguments: seed=1\n")
