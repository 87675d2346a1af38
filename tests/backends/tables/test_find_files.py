"""Which files are the input: regular ones, each once, and never the run's own."""

import os
import socket
from pathlib import Path

import pytest

from job.backends.tables.files import find_files
from job.runtime.errors import BadInput


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(f"title\n{name}\n")
    return tmp_path


def find(*patterns: object, run_dir: Path | None = None) -> list[str]:
    return [str(path) for path in find_files([str(pattern) for pattern in patterns], run_dir)]


def refused(*patterns: object, run_dir: Path | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        find(*patterns, run_dir=run_dir)
    return str(caught.value)


def test_what_is_no_regular_file_is_refused_before_it_is_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket.csv"))
        (folder / "link.csv").symlink_to("/dev/zero")
        for name in ("pipe.csv", "socket.csv", "link.csv", "/dev/null", "p*.csv"):
            assert "is no regular file: copy what it gives into a file first" in refused(name)
    (folder / "gone.csv").symlink_to("nowhere")
    assert "No such file" in refused("g*.csv")
    assert "'gone.csv': No such file" in refused("gone.csv")
    assert "no such file; give a file or a glob" in refused("nowhere.csv")
    assert "is a folder" in refused(".")
    assert "a path holds no NUL" in refused("a\0.csv")
    assert "File name too long" in refused("a" * 300 + ".csv")


def test_a_file_of_several_names_is_read_once(folder: Path) -> None:
    (folder / "link.csv").symlink_to("a.csv")
    os.link(folder / "a.csv", folder / "second.csv")
    assert find("a.csv", "./a.csv", folder / "a.csv", "link.csv", "second.csv", "b.csv") == ["a.csv", "b.csv"]
    (folder / "loop").symlink_to(".")
    assert len(find("**/*.csv")) == 2


def test_a_named_file_in_the_run_folder_is_refused_and_one_of_a_glob_left_out(folder: Path) -> None:
    run = folder / "run"
    run.mkdir()
    (run / "topics.csv").write_text("title\nmine\n")
    (folder / "way.csv").symlink_to("run/topics.csv")
    for pattern in ("run/topics.csv", "way.csv", "run/*.csv", run / "*"):
        said = refused(pattern, run_dir=Path("run"))
        assert "lies in run_dir = 'run', where the run writes its own files: move the input out of it" in said
    assert find("**/*.csv", run_dir=run) == ["a.csv", "b.csv"]
    assert find("run/topics.csv", run_dir=folder / "other") == ["run/topics.csv"]


def test_what_begins_with_an_underscore_is_left_out_unless_it_is_named(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inner = folder / "out"
    (inner / "_delta_log").mkdir(parents=True)
    for name in ("_SUCCESS", ".part.csv.crc", "part.csv", "_delta_log/0.csv"):
        (inner / name).touch()
    assert find("out/*.csv", "out/**/*.csv", "out/**") == ["out/part.csv"]
    assert "input.path = 'out/**': 2 files of names with _ in front are left out" in caplog.text
    assert find("out/_S*", "out/_delta_log/*") == ["out/_SUCCESS", "out/_delta_log/0.csv"]


def test_a_folder_is_answered_with_the_suffix_that_is_there(folder: Path) -> None:
    assert refused(".").endswith("such as './*.csv'")
    for name, pattern in (("a/x.jsonl.gz", "*.jsonl.gz"), ("b/day=1/x.Parquet", "**/*.Parquet"), ("c/x.txt", "*.csv")):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.touch()
        (path.parent / "_SUCCESS.csv").touch()
        assert refused(name[0]).endswith(f"such as '{name[0]}/{pattern}'")
    assert refused("b/*").endswith("'b/day=1' is a folder: name the files in it, such as 'b/**/*.Parquet'")


@pytest.mark.parametrize(
    ("pattern", "root"),
    [
        ("lr=1/day=2/a.csv", "lr=1/day=2"),
        ("lr=1/day=2/*.csv", "lr=1/day=2"),
        ("lr=1/day=[2]/a.csv", "lr=1"),
        ("lr=1/**/a.csv", "lr=1"),
        ("lr=*/day=2/a.csv", "."),
        ("./**", "."),
    ],
)
def test_a_file_has_the_folder_that_its_pattern_begins_in(folder: Path, pattern: str, root: str) -> None:
    inner = folder / "lr=1" / "day=2"
    inner.mkdir(parents=True)
    (inner / "a.csv").touch()
    for start in ("", f"{folder}/"):
        found = find_files([start + pattern])
        assert found[Path(f"{start}lr=1/day=2/a.csv")] == Path(start + root)


def test_standard_input_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"standard input can be read only once, .*: write it to a file first"):
        find_files(["-"])
