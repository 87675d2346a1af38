"""A command that is refused, stopped or killed leaves a finished run's answer as it was, with its settings."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DEMO, ROOT, SAMPLE, Run, clean_environment, write_csv

from job.runtime.files import digest_file, read_sealed, write_sealed
from job.runtime.rundir import RunDir

# gets the signal named second when Python first does what is named first with a file whose name has the third in it
_STOPPED = """
import os, signal, sys
from job.cli import main

def watch(event, words):
    if event == sys.argv[1] and sys.argv[3] in str(words[0]) and not sent:
        sent.append(words[0])
        os.kill(os.getpid(), signal.Signals[sys.argv[2]])

sent = []
sys.addaudithook(watch)
sys.exit(main(sys.argv[4:]))
"""


def stopped(event: str, by: str, name: str, *words: object) -> int:
    command = [sys.executable, "-c", _STOPPED, event, by, name, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=clean_environment(), check=False).returncode


def files_of(run: Path) -> dict[str, str]:
    """The digests of the run folder's files, but for its locks and its log."""
    paths = [path for path in run.rglob("*") if path.is_file() and path.parent.name != "locks"]
    return {str(path.relative_to(run)): digest_file(path) for path in paths if path.suffix not in (".log", ".db")}


def refused_input(name: str, folder: Path) -> list[str]:
    text = SAMPLE.read_text(encoding="utf-8")
    path = folder / "refused.csv"
    if name == "empty":
        path.write_bytes(b"")
    elif name == "no rows":
        path.write_text(text.splitlines()[0] + "\n", encoding="utf-8")
    elif name == "no titles":
        write_csv(path, [{"title": " ", "description": "something"}] * 3)
    elif name == "another column":
        path.write_text(text.replace("title", "headline", 1), encoding="utf-8")
    else:
        path.write_text(text, encoding="utf-8")
    return [f"input.path={path}", *([name] if "=" in name else [])]


@pytest.mark.parametrize(
    "name",
    ["empty", "no rows", "no titles", "another column", "input.encoding=utf-16", "input.time=publishd"],
)
def test_a_refused_input_leaves_the_answer_as_it_was(job_here: Run, copy: Path, tmp_path: Path, name: str) -> None:
    before = files_of(copy)
    done = job_here("run", DEMO, f"run_dir={copy}", *refused_input(name, tmp_path))
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    after = files_of(copy)
    changed = {file for file in before if before[file] != after.get(file)}
    assert changed <= {"run.json"}
    assert "done" in job_here("status", copy).stdout.split("report", 1)[1].splitlines()[0]


def test_after_work_that_replaced_something_nothing_comes_back(job_here: Run, copy: Path, tmp_path: Path) -> None:
    """Ingest has read another input when the store refuses its settings: the old answer is not finished any more."""
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    (tmp_path / "part.csv").write_text("\n".join(lines[:200]), encoding="utf-8")
    words = (f"input.path={tmp_path / 'part.csv'}", "store.scope=collection", "store.filter=titel == 1")
    done = job_here("run", DEMO, f"run_dir={copy}", *words)
    assert done.returncode == 2, done.stderr
    assert "store.filter" in done.stderr
    assert RunDir(copy).marker("report") is None
    assert job_here("export", copy, "--to", "csv", "--output", tmp_path / "out").returncode == 2


def test_a_refused_filter_leaves_the_answer_as_it_was(job_here: Run, copy: Path) -> None:
    settings = (f"input.path={SAMPLE}", f"run_dir={copy}", "store.scope=collection")
    assert job_here("run", DEMO, *settings).returncode == 0
    before = files_of(copy)
    done = job_here("run", DEMO, *settings, "store.filter=titel == 1")
    assert done.returncode == 2, done.stderr
    after = files_of(copy)
    assert before["config.json"] == after["config.json"]
    assert before["markers/report.json"] == after["markers/report.json"]
    assert before["headlines_clustered.parquet"] == after["headlines_clustered.parquet"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "embed.sparse=true"), "'minilm' gives no lexical weights"),
        (("stage", "embed", "embed.sparse=true"), "'minilm' gives no lexical weights"),
        (("stage", "store", "store.index=GPU_CAGRA"), "Milvus Lite builds only"),
    ],
)
def test_a_refused_run_takes_no_answer_away(job_here: Run, copy: Path, words: tuple[str, ...], said: str) -> None:
    before = files_of(copy)
    *command, setting = words
    refused = job_here(*command, DEMO, f"run_dir={copy}", setting)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert files_of(copy) == before


def test_a_recut_that_is_killed_before_it_changes_the_answer_leaves_its_settings(copy: Path) -> None:
    before = files_of(copy)
    code = stopped("os.remove", "SIGKILL", "markers/stories.json", "recut", copy, "smallest_story=6")
    assert code == -signal.SIGKILL
    assert files_of(copy) == before


def test_a_stop_before_a_file_is_replaced_leaves_the_answer(job_here: Run, copy: Path, tmp_path: Path) -> None:
    before = files_of(copy)
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    (tmp_path / "part.csv").write_text("\n".join(lines[:200]), encoding="utf-8")
    words = ("run", DEMO, f"run_dir={copy}", f"input.path={tmp_path / 'part.csv'}")
    assert stopped("open", "SIGTERM", ".rejects.csv.", *words) == 75
    after = files_of(copy)
    assert {name for name in before if before[name] != after.get(name)} <= {"run.json"}
    assert job_here("export", copy, "--to", "csv", "--output", tmp_path / "out").returncode == 0


@pytest.mark.parametrize("command", ["recut", "assign"])
def test_texts_of_an_older_version_are_read_anew_first(job_here: Run, copy: Path, tmp_path: Path, command: str) -> None:
    marker = copy / "markers" / "ingest.json"
    values = read_sealed(marker)
    del values["stats"]["texts_of_version"]
    write_sealed(marker, values)
    words = {"recut": ["smallest_story=6"], "assign": [SAMPLE, "--output", tmp_path / "out.csv"]}[command]
    done = job_here(command, copy, *words)
    assert done.returncode == 2
    assert f"'{copy}': an older version read its headlines: give its `run` once more" in done.stderr
