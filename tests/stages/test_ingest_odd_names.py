"""Globs that go round loops, names that hold what a name should not, and the run's own answer."""

import csv
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, write_csv

from job.backends.tables.files import find_files
from job.config import Input
from job.runtime.errors import BadInput
from job.runtime.rundir import RunDir
from job.stages.ingest import ingest

ROWS = [{"title": "Ferry strike ends", "description": ""}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file, `news.csv`."""
    write_csv(tmp_path / "news.csv", ROWS)
    return tmp_path


def found(*paths: object) -> list[str]:
    return [path.name for path in find_files([str(path) for path in paths])]


def test_a_loop_of_links_is_entered_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for name in "abcdefgh":
        (folder / name).symlink_to(folder)
    assert found("**/*.csv") == found(folder / "**" / "*.csv") == found(f"{folder}/**") == ["news.csv"]


def test_two_stars_find_what_glob_finds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for name in ["a.csv", "x/b.csv", "x/y/c.csv", "x/y/z/b.csv", ".hidden/d.csv", "x/.e.csv", "w[1]/f.csv"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_csv(folder / name, ROWS)
    assert sorted(found("**/*.csv")) == ["a.csv", "b.csv", "b.csv", "c.csv", "f.csv", "news.csv"]
    assert found("x/**/b.csv") == ["b.csv", "b.csv"]
    assert found("x/**/y/**/*.csv") == ["c.csv", "b.csv"]
    assert sorted(found("x/**")) == ["b.csv", "b.csv", "c.csv"]


@pytest.mark.parametrize(
    "name", ["a\nb.csv", "a\r\nb.csv", b"caf\xe9.csv".decode("utf-8", "surrogateescape"), "=1.csv"]
)
def test_an_odd_file_name_breaks_neither_rejects_nor_messages(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    path.write_text("title\nFerry strike ends\na,b\n")
    run = tmp_path / "run"
    run.mkdir()
    ingest(Input(path=f"{tmp_path}/*.csv"), RunDir(run))
    text = (run / "rejects.csv").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 2
    rows: list[dict[str, Any]] = list(csv.DictReader(text.splitlines()))
    assert rows[0]["row"] == "2" and rows[0]["file"].isprintable()
    assert all(record.getMessage().isprintable() for record in caplog.records)
    path.write_text("headline\na\n")
    with pytest.raises(BadInput) as caught:
        ingest(Input(path=f"{tmp_path}/*.csv"), RunDir(run))
    assert str(caught.value).isprintable()


def test_assign_does_not_read_the_run_folders_answer(job: Run, demo: Path, tmp_path: Path) -> None:
    done = job("assign", demo, demo / "headlines_clustered.csv", "--output", tmp_path / "out.csv")
    assert done.returncode == 2
    assert "lies in run_dir = " in done.stderr and not (tmp_path / "out.csv").exists()
