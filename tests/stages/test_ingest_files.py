"""Which files are read: regular ones, each once, none of the run folder's own."""

import csv
import logging
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from conftest import DEMO, Run, write_csv

from job.config import Input
from job.runtime.errors import BadInput
from job.runtime.rundir import RunDir
from job.stages.ingest import ingest
from job.stages.ingest_files import find_files

ROWS = [{"title": "Ferry strike ends", "description": ""}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file, `news.csv`."""
    write_csv(tmp_path / "news.csv", ROWS)
    return tmp_path


def found(*paths: object, run_dir: Path | None = None) -> list[str]:
    return [path.name for path in find_files(Input(path=[str(path) for path in paths]), run_dir)]


def refused(path: object, run_dir: Path | None = None) -> str:
    with pytest.raises(BadInput, match=r"input\.path") as caught:
        find_files(Input(path=str(path)), run_dir)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("pattern", ["pipe.csv", "*.csv", "**/*.csv"])
def test_a_pipe_is_refused_at_once_by_name_and_by_glob(folder: Path, pattern: str) -> None:
    os.mkfifo(folder / "pipe.csv")
    assert "pipe.csv' is a named pipe: the input is read more than once" in refused(folder / pattern)


def test_a_socket_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.csv")
        assert "is a socket" in refused("s.csv")


def test_devices_are_refused_also_behind_links(folder: Path) -> None:
    assert "is a device" in refused("/dev/zero")
    (folder / "link.csv").symlink_to("/dev/zero")
    assert "link.csv' is a device" in refused(folder / "link.csv")


def test_a_pipe_as_standard_input_ends_a_run_at_once(job: Run, tmp_path: Path) -> None:
    settings = ["input.path=/dev/stdin", "input.format=csv", f"run_dir={tmp_path / 'run'}"]
    done = job("validate", DEMO, *settings, input="title\na\n", timeout=30)
    assert done.returncode == 2
    assert "is a named pipe" in done.stderr and "Traceback" not in done.stderr


def test_a_link_to_nothing_says_so(folder: Path) -> None:
    (folder / "gone.csv").symlink_to(folder / "nowhere.csv")
    assert "gone.csv' is a link to a file that does not exist" in refused(folder / "gone.csv")
    assert "gone.csv' is a link to a file that does not exist" in refused(folder / "g*.csv")
    (folder / "self.csv").symlink_to(folder / "self.csv")
    assert "self.csv': " in refused(folder / "self.csv")


def test_a_name_that_cannot_be_is_no_such_file(folder: Path) -> None:
    assert "no such file" in refused(folder / ("x" * 5000))
    assert "no such file" in refused(f"{folder}/a\0b.csv")
    assert "no such file" in refused(f"{folder}/none/**/*.csv")


def test_one_file_by_several_spellings_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "link.csv").symlink_to("news.csv")
    (folder / "inner").mkdir()
    names = ["news.csv", "./news.csv", "inner/../news.csv", str(folder / "news.csv"), "link.csv", "*.csv"]
    assert found(*names) == ["news.csv"]
    assert ingest(Input(path=names), RunDir(folder / "inner")).rows == 1


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


def test_a_file_is_preferred_to_the_pattern_that_its_name_is(folder: Path) -> None:
    write_csv(folder / "a1.csv", ROWS)
    write_csv(folder / "a[1].csv", ROWS)
    assert found(folder / "a[1].csv") == ["a[1].csv"]


def test_a_file_in_the_run_folder_is_refused_with_both_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = folder / "run"
    run.mkdir()
    write_csv(run / "headlines_clustered.csv", ROWS)
    (folder / "link.csv").symlink_to(run / "headlines_clustered.csv")
    monkeypatch.chdir(folder)
    for name in ["run/headlines_clustered.csv", "./run/../run/headlines_clustered.csv", "link.csv"]:
        assert "lies in run_dir = " in refused(name, run)
    assert "lies in run_dir = " in refused(run / "headlines_clustered.csv", Path("run"))


def test_a_glob_leaves_the_run_folder_out_and_says_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = folder / "run"
    run.mkdir()
    for name in ["topics.csv", "rejects.csv"]:
        write_csv(run / name, ROWS)
    caplog.set_level(logging.INFO, logger="job")
    assert found(folder / "**" / "*.csv", run_dir=run) == ["news.csv"]
    assert [record.getMessage() for record in caplog.records] == [
        f"ingest: 2 files of run_dir match input.path and are left out, such as {run}/rejects.csv"
    ]
    assert "matches only files in run_dir" in refused(run / "*.csv", run)


@pytest.mark.parametrize("command", ["validate", "run"])
def test_no_command_reads_its_own_answer(job: Run, tmp_path: Path, command: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    write_csv(run / "headlines_clustered.csv", ROWS)
    done = job(command, DEMO, f"input.path={run}/*.csv", f"run_dir={run}")
    assert done.returncode == 2, done.stderr
    assert "matches only files in run_dir" in done.stderr or "run_dir" in done.stderr


def test_assign_does_not_read_the_run_folders_answer(job: Run, demo: Path, tmp_path: Path) -> None:
    done = job("assign", demo, demo / "headlines_clustered.csv", "--output", tmp_path / "out.csv")
    assert done.returncode == 2
    assert "lies in run_dir = " in done.stderr and not (tmp_path / "out.csv").exists()


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
