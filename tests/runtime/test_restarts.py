"""Restarts that finish nothing are counted; what is finished a second time is no progress."""

from pathlib import Path

import numpy as np

from job.runtime.journal import Journal
from job.runtime.restarts import note_stop
from job.runtime.rundir import RunDir
from job.runtime.shards import Shards


def make(run: RunDir, *numbers: int) -> None:
    shards = Shards(run.file("embeddings"), "key", 12, 4)
    shards.to_make()
    for number in numbers:
        shards.write(shards.all[number], np.full((4, 2), number, np.float32))


def test_the_first_stop_and_each_stop_after_progress_count_as_none(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert note_stop(run, "7") == 0
    make(run, 0)
    assert note_stop(run, "7") == 0
    run.finish("ingest", "key", "out", [], 1.0, {})
    assert note_stop(run, "7") == 0
    with Journal(run.file("store_done.txt"), "key") as journal:
        journal.add(0)
    assert note_stop(run, "7") == 0


def test_stops_without_progress_are_counted_until_there_is_some(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    make(run, 0)
    assert [note_stop(run, "7") for _ in range(3)] == [0, 1, 2]
    make(run, 1)
    assert [note_stop(run, "7") for _ in range(2)] == [0, 1]
    # a new submission
    assert [note_stop(run, "8") for _ in range(2)] == [0, 1]


def test_a_start_whose_place_others_took_is_not_counted(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert [note_stop(run, "7", preempted) for preempted in (False, True, True, True, False, True, False)] == [
        *(0, 0, 0, 0, 1, 1, 2)
    ]


def test_what_is_made_again_is_no_progress(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    make(run, 0, 1)
    run.finish("store", "key", "out", [], 1.0, {})
    note_stop(run, "7")
    run.forget("store")
    assert note_stop(run, "7") == 1
    run.finish("store", "key", "out", [], 9.0, {})
    make(run, 1)
    assert note_stop(run, "7") == 2
