"""The run folder: no half-written file is ever visible, and two runs never share a folder."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from job.runtime.errors import BadInput, JobError
from job.runtime.files import atomic, digest, digest_file, read_sealed, write_array, write_json, write_sealed
from job.runtime.markers import Content, Marker
from job.runtime.ranks import ONE_PROCESS, Ranks
from job.runtime.rundir import RunDir

HOLD = """
import sys
from pathlib import Path
from job.runtime.markers import Content
from job.runtime.rundir import RunDir
with RunDir(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    (tmp_path / "run").mkdir()
    return RunDir(tmp_path / "run")


@pytest.fixture
def holder(run: RunDir) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder's lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


# ---- atomic


def test_a_file_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "layout.npy"
    with atomic(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".npy"
        temporary.write_bytes(b"half")
        assert not path.exists()
    assert [file.name for file in tmp_path.iterdir()] == ["layout.npy"]
    assert path.read_bytes() == b"half"


def test_a_failure_keeps_the_old_file_and_nothing_of_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "layout.npy"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic(path) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    assert [file.name for file in tmp_path.iterdir()] == ["layout.npy"]
    assert path.read_bytes() == b"old"


def test_a_failure_before_the_first_byte_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic(tmp_path / "x"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_json_that_cannot_be_written_keeps_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"title": "Überschrift"})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"title": object()})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"title": "Überschrift"}
    assert len(list(tmp_path.iterdir())) == 1


def test_json_with_a_name_that_is_not_utf_8_is_written_and_read(tmp_path: Path) -> None:
    values = {"file": "caf\udce9.csv", "by_number": {2: "b", 10: "a"}}
    write_sealed(tmp_path / "a.json", values)
    assert read_sealed(tmp_path / "a.json") == {"file": "caf\udce9.csv", "by_number": {"2": "b", "10": "a"}}


# ---- digests


def test_a_digest_depends_on_values_dtype_shape_and_order() -> None:
    a = np.arange(6, dtype=np.int32)
    digests = [
        digest(a),
        digest(a + 1),
        digest(a.astype(np.int64)),
        digest(a.reshape(2, 3)),
        digest(a.reshape(3, 2)),
        digest("x", a),
        digest(a, "x"),
        digest("ab", "c"),
        digest("a", "bc"),
        digest(1),
        digest("1"),
        digest(None),
    ]
    assert len(set(digests)) == len(digests)


def test_a_digest_does_not_depend_on_key_order_or_memory_layout() -> None:
    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(np.asfortranarray(table)) == digest(table)
    assert digest(table[:, ::2]) == digest(table[:, ::2].copy())


def test_a_files_digest_is_of_its_content_not_its_name(tmp_path: Path) -> None:
    for name, content in (("a", b"x"), ("b", b"x"), ("c", b"y")):
        (tmp_path / name).write_bytes(content)
    assert digest_file(tmp_path / "a") == digest_file(tmp_path / "b") != digest_file(tmp_path / "c")


# ---- markers


def finished(run: RunDir) -> Marker:
    run.file("layout.npy").write_bytes(b"12345")
    run.file("embeddings").mkdir()
    return run.finish("project", "key", "out", ["layout.npy", "embeddings"], 1.23456, {"rows": 5, "note": "naïve"})


def test_a_marker_is_read_as_it_was_written(run: RunDir) -> None:
    written = finished(run)
    read = run.marker("project")
    assert read == written
    assert read is not None
    assert (read.key, read.output, read.seconds) == ("key", "out", 1.235)
    assert read.files == {"layout.npy": Content.of(run.file("layout.npy")), "embeddings": None}
    assert dict(read.stats) == {"rows": 5, "note": "naïve"}


def test_a_new_stage_and_a_forgotten_one_have_no_marker(run: RunDir) -> None:
    assert run.marker("project") is None
    finished(run)
    run.forget("project")
    assert run.marker("project") is None
    run.forget("project")


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "null", '{"stage": "project"}', '{"other": 1}'])
def test_a_marker_that_cannot_be_read_counts_as_none(run: RunDir, content: str) -> None:
    finished(run)
    (run.path / "markers" / "project.json").write_text(content)
    assert run.marker("project") is None


@pytest.mark.parametrize("old, new", [('"out"', '"oux"'), ('"rows": 5', '"rows": 6'), ('"format": 2', '"format": 3')])
def test_a_marker_that_is_not_as_it_was_written_counts_as_none(run: RunDir, old: str, new: str) -> None:
    finished(run)
    file = run.path / "markers" / "project.json"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert run.marker("project") is None


def test_a_file_of_a_marker_is_intact_until_it_is_missing_or_changes(run: RunDir) -> None:
    marker = finished(run)
    assert run.intact(marker)
    run.file("layout.npy").write_bytes(b"12346")
    assert not run.intact(marker)
    assert run.problems(marker) == {"layout.npy": "is damaged: its content has changed"}
    assert run.problems(marker, content=False) == {}
    run.file("layout.npy").write_bytes(b"1234")
    assert not run.intact(marker)
    run.file("layout.npy").write_bytes(b"12345")
    assert run.intact(marker)
    run.file("layout.npy").unlink()
    assert not run.intact(marker)


def test_a_folder_of_a_marker_must_exist(run: RunDir) -> None:
    marker = finished(run)
    run.file("embeddings").rmdir()
    assert not run.intact(marker)


# ---- the lock


def test_a_folder_is_created_locked_with_the_holders_name_and_released(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "deep" / "run")
    assert run.holder() is None
    with run.locked():
        assert "process " in str(run.holder())
    assert run.holder() is None


def test_a_second_process_is_refused_with_the_holders_name(run: RunDir, holder: subprocess.Popen[str]) -> None:
    assert f"process {holder.pid} on " in str(run.holder())
    with pytest.raises(JobError, match=f"in use by process {holder.pid} on .* since ") as caught, run.locked():
        pass
    assert caught.value.exit_code == 1


def test_a_refused_process_removes_nothing(run: RunDir, holder: subprocess.Popen[str]) -> None:
    half = run.file(temporary("layout.npy"))
    half.write_bytes(b"the holder is writing this")
    with pytest.raises(JobError, match="in use"), run.locked():
        pass
    assert half.exists()


def test_a_killed_process_releases_its_lock(run: RunDir, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert run.holder() is None
    with run.locked():
        assert run.holder() is not None


def temporary(name: str, writer: str = "single") -> str:
    """A name as `atomic` gives it."""
    return f".{name}.{writer}.0123abcd.tmp{Path(name).suffix}"


def test_only_the_temporary_files_of_a_killed_run_are_removed(run: RunDir) -> None:
    with run.locked():
        pass
    for folder in ("markers", "mine", ".mine.tmp"):
        run.file(folder).mkdir()
    half = [temporary("layout.npy"), temporary("topics.csv", "rank-3"), f"markers/{temporary('embed.json')}"]
    names = ("layout.npy", "notes.tmp", ".env", ".notes.tmp", ".layout.npy.tmp.npy", ".mine.tmp/x", "mine/.x.tmp")
    whole = [*names, f"mine/{temporary('a.csv')}"]
    for name in half + whole:
        run.file(name).write_text("x")
    with run.locked():
        assert not any(run.file(name).exists() for name in half)
        assert all(run.file(name).exists() for name in whole)


def test_a_run_folder_that_cannot_be_created_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match=r"run_dir = .*cannot write there"), RunDir(tmp_path / "file" / "run").locked():
        pass


# ---- ranks


def refused(run: RunDir, ranks: Ranks = ONE_PROCESS) -> str:
    with pytest.raises(JobError, match="in use by") as caught, run.locked(ranks):
        pass
    return str(caught.value)


def test_ranks_of_one_world_share_a_folder_but_not_a_rank(run: RunDir) -> None:
    with run.locked(Ranks(0, 4)), run.locked(Ranks(3, 4)):
        assert "rank 0 of 4, process " in str(run.holder())
        assert "rank 3 of 4, process " in str(run.holder())
        assert "in use by rank 3 of 4, process " in refused(run, Ranks(3, 4))
    assert run.holder() is None
    with run.locked(Ranks(3, 4)):
        pass


def test_ranks_a_single_process_and_other_worlds_refuse_each_other(run: RunDir) -> None:
    with run.locked(Ranks(1, 4)):
        assert "rank 1 of 4" in refused(run)
        assert "rank 1 of 4" in refused(run, Ranks(0, 2))
    with run.locked():
        assert "process " in refused(run, Ranks(1, 4))
    with run.locked(Ranks(0, 2)):
        assert "rank 0 of 2" in str(run.holder())


def test_a_rank_removes_no_file_that_another_may_be_writing(run: RunDir) -> None:
    with run.locked():
        pass
    half = run.file(temporary("layout.npy"))
    half.write_bytes(b"another rank is writing this")
    with run.locked(Ranks(1, 4)):
        assert half.exists()
    with run.locked():
        assert not half.exists()


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with atomic(path) as first:
        first.write_text("first")
        with atomic(path) as second:
            assert second != first
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64])
@pytest.mark.parametrize("shape", [(0, 3), (5,), (700, 3)])
def test_arrays_are_written_as_numpy_writes_them(tmp_path: Path, dtype: Any, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    np.save(tmp_path / "numpy.npy", array)
    write_array(tmp_path / "ours.npy", array)
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    write_array(tmp_path / "ours.npy", array[::-1].T)
    np.testing.assert_array_equal(np.load(tmp_path / "ours.npy"), array[::-1].T)
