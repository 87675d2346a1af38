"""A setting or an input that a run refuses leaves the answer that was finished before."""

from pathlib import Path

import pytest
from conftest import DEMO, SAMPLE, Run, write_csv

from job.runtime.files import digest_file
from job.runtime.rundir import RunDir


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
    assert job_here("export", copy, "--to", "csv", "--output", tmp_path / "out").returncode == 0
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
