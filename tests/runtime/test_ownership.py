"""Run folders are told from other folders, and nothing is written into those."""

import json
from pathlib import Path

import pytest

from job.runtime import ownership
from job.runtime.errors import BadInput
from job.runtime.files import write_json
from job.runtime.markers import Content
from job.runtime.ranks import Ranks
from job.runtime.rundir import RunDir


def listing(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "run")
    with run.locked():
        write_json(run.file("config.json"), {"run_dir": "runs/old", "cluster": {"recipe": "stories", "k": 15}})
        ownership.note_config(run.path)
    return run


@pytest.mark.parametrize(
    "name", ["news.csv", "config.json", "input.parquet", "embeddings/notes.txt", ".hidden", "locks/x"]
)
def test_a_folder_that_holds_something_else_is_refused_and_stays_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    (tmp_path / ".x.csv.single.0123abcd.tmp.csv").write_text("mine")
    before = listing(tmp_path)
    said = r"run_dir = .* is not empty and no run folder: it holds '.*name an empty"
    with pytest.raises(BadInput, match=said), RunDir(tmp_path).locked():
        pass
    assert listing(tmp_path) == before


def test_an_empty_folder_and_one_that_a_kill_left_at_its_first_file_become_run_folders(tmp_path: Path) -> None:
    (tmp_path / f".{ownership.NAME}.single.0123abcd.tmp.json").write_text("{")
    with RunDir(tmp_path).locked():
        assert json.loads((tmp_path / ownership.NAME).read_text())["format"] == ownership.FORMAT
    assert not list(tmp_path.glob(".run*"))


def test_two_ranks_that_start_at_once_both_get_the_folder(tmp_path: Path) -> None:
    with RunDir(tmp_path).locked(Ranks(0, 2)), RunDir(tmp_path).locked(Ranks(1, 2)):
        pass


def test_a_run_folder_of_a_later_version_is_refused(run: RunDir) -> None:
    write_json(run.file(ownership.NAME), {"program": ownership.PROGRAM, "format": ownership.FORMAT + 1})
    for use in (lambda: run.locked().__enter__(), lambda: ownership.settings(run.path)):
        with pytest.raises(BadInput, match=r"of a later version \(format 3; this one knows 2\): use that version"):
            use()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"program": 1}', "\0" * 40, "format 3"])
def test_a_damaged_file_of_ours_is_written_again(run: RunDir, content: str) -> None:
    run.finish("project", "key", "out", [], 1.0, {})
    whole = run.file(ownership.NAME).read_text()
    if content == "format 3":
        content = whole.replace('"format": 2', '"format": 3')
    run.file(ownership.NAME).write_text(content)
    with pytest.raises(BadInput, match="is damaged: give its `run` once more"):
        ownership.settings(run.path)
    with run.locked():
        pass
    assert run.file(ownership.NAME).read_text() == whole
    assert run.marker("project") is not None


def test_a_lost_file_of_ours_is_written_again(run: RunDir) -> None:
    run.finish("project", "key", "out", [], 1.0, {})
    run.file(ownership.NAME).unlink()
    with run.locked():
        assert run.file(ownership.NAME).exists()


def test_the_settings_are_those_of_the_run_in_this_folder_without_its_recipe(run: RunDir) -> None:
    assert ownership.settings(run.path) == {"run_dir": str(run.path), "cluster": {"k": 15}}


@pytest.mark.parametrize("change", ["one byte", "gone"])
def test_a_config_that_is_not_as_the_run_wrote_it_is_not_used(run: RunDir, change: str) -> None:
    file = run.file("config.json")
    text = file.read_text()
    file.unlink()
    if change == "one byte":
        file.write_text(text.replace("15", "16"))
    with pytest.raises(BadInput, match="give its `run` once more"):
        ownership.settings(run.path)


def test_an_older_run_folder_is_taken_over_with_what_is_finished_in_it(run: RunDir) -> None:
    run.file(ownership.NAME).unlink()
    run.file("layout.npy").write_bytes(b"12345")
    run.file("short.npy").write_bytes(b"1")
    fields = {
        "key": "key",
        "output": "out",
        "seconds": 1.0,
        "finished": "2026-11-01T10:00:00+0000",
        "stats": {"rows": 5},
    }
    run.file("markers").mkdir()
    for stage, files in (
        ("project", {"layout.npy": 5, "locks": -1}),
        ("cluster", {"short.npy": 5}),
        ("store", {"x": -1}),
    ):
        run.file(f"markers/{stage}.json").write_text(json.dumps({"stage": stage, **fields, "files": files}))
    with pytest.raises(BadInput, match="of an older version"):
        ownership.settings(run.path)
    with run.locked():
        marker = run.marker("project")
        assert marker is not None and run.intact(marker)
        assert marker.files == {"layout.npy": Content.of(run.file("layout.npy")), "locks": None}
        assert (marker.key, marker.stats) == ("key", {"rows": 5})
        assert run.marker("cluster") is None, "its file has another size"
    assert ownership.settings(run.path)["run_dir"] == str(run.path)
