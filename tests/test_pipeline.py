"""The pipeline's loop: skip, run, save, mark, clean up."""

import errno
import logging
from pathlib import Path
from typing import Any

import pytest

from job import pipeline
from job.config import Config
from job.context import Job, Stage, StageResult
from job.runtime.errors import Resumable
from job.runtime.markers import Content
from job.runtime.needs import Need, Size


class CountLines(Stage):
    """A stage of the test's own: counts the lines of a file, leaves the count and a scratch file."""

    name = "count_lines"

    def __init__(self, source: Path) -> None:
        self.source = source
        self.runs = 0

    def key(self, job: Job) -> list[Any]:
        return [self.source.read_text()]

    def files(self, job: Job) -> list[str]:
        return ["count.txt"]

    def need(self, job: Job, size: Size) -> Need:
        return Need()

    def run(self, job: Job) -> StageResult:
        self.runs += 1
        count = len(self.source.read_text().splitlines())
        job.run.file("count.txt").write_text(str(count))
        job.run.file("scratch.txt").write_text("only needed until the marker is there")
        return StageResult(count, str(count), ["a fallback"], ["a warning"], {"longest": 7})

    def clean_up(self, job: Job) -> None:
        assert job.run.marker(self.name) is not None, "removed before the marker was written"
        job.run.file("scratch.txt").unlink(missing_ok=True)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "source.txt").write_text("one\ntwo\n")
    folder = tmp_path / "run"
    folder.mkdir()
    return Job(Config(run_dir=folder, device="cpu", input={"path": "news.csv"}))


@pytest.fixture
def stage(tmp_path: Path) -> CountLines:
    return CountLines(tmp_path / "source.txt")


def test_a_stage_is_run_once_and_again_when_its_key_or_its_files_change(
    job: Job, stage: CountLines, tmp_path: Path
) -> None:
    for change, runs in (
        (lambda: None, 1),
        (lambda: None, 1),
        (lambda: (tmp_path / "source.txt").write_text("one\ntwo\nthree\n"), 2),
        (lambda: job.run.file("count.txt").unlink(), 3),
        (lambda: job.run.file("count.txt").write_text("three"), 4),
        (lambda: job.run.file("count.txt").write_text("4"), 5),
    ):
        change()
        assert pipeline.do(stage, job)
        assert stage.runs == runs
    assert job.done == ["count_lines"] * 5


def test_a_result_is_kept_in_the_marker_and_its_warnings_are_logged(
    job: Job, stage: CountLines, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        pipeline.do(stage, job)
    assert "count_lines: a warning" in caplog.text
    marker = job.run.marker("count_lines")
    assert marker is not None
    assert (marker.output, marker.files) == ("2", {"count.txt": Content.of(job.run.file("count.txt"))})
    assert marker.made_with["versions"]["python"]
    stats = dict(marker.stats)
    assert stats.pop("peak_mb_so_far") > 0
    assert stats == {"rows": 2, "longest": 7, "fallbacks": ["a fallback"], "warnings": ["a warning"]}


def test_a_kill_between_the_marker_and_the_clean_up_costs_nothing(job: Job, stage: CountLines) -> None:
    pipeline.do(stage, job)
    job.run.file("scratch.txt").write_text("left by a kill right after the marker was written")
    assert pipeline.do(stage, job)
    assert stage.runs == 1
    assert not job.run.file("scratch.txt").exists()


def test_a_change_takes_the_last_stages_marker_away_so_that_a_killed_run_does_not_look_complete(
    job: Job, stage: CountLines
) -> None:
    job.run.finish(pipeline.NAMES[-1], "key", "output", [], 0.0, {})
    pipeline.do(stage, job)
    assert job.run.marker(pipeline.NAMES[-1]) is None


def test_every_stage_declares_its_name_files_and_key_and_names_are_distinct() -> None:
    assert len(set(pipeline.NAMES)) == len(pipeline.STAGES)
    for stage in pipeline.STAGES:
        assert stage.name and stage.version >= 1
        assert type(stage).__doc__


def test_a_full_disk_is_named_with_the_run_folder_where_the_system_names_no_file(job: Job) -> None:
    def work() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(Resumable, match=rf"the run folder is '{job.run.path}'\): make room"):
        pipeline.in_run_folder(job, work)
