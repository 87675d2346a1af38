"""What `status` says of a run folder that is worked in, also of one that may only be read."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from job.runtime.errors import JobError, Resumable
from job.runtime.files import read_sealed
from job.runtime.holders import holders
from job.runtime.overview import overview
from job.runtime.ranks import Ranks
from job.runtime.rundir import RunDir
from job.runtime.shards import Shards

STAGES = ("ingest", "embed", "store")


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A folder in which three ranks have made 4 of 6 shards, of 10 rows each, one every 2 seconds."""
    run = RunDir(tmp_path)
    run.finish("ingest", "key", "out", [], 1.5, {"rows": 60})
    shards = Shards(run.file("embeddings"), "key", 60, 10)
    shards.to_make(Ranks(0, 3))
    for number in range(4):
        shards.write(shards.all[number], np.zeros((10, 2), np.float32))
        marker = run.file("embeddings") / f"0000{number}.json"
        # the year 2100: after any start
        marker.write_text(json.dumps(read_sealed(marker) | {"at": 4_102_444_800 + 2 * number}))
    return run


def test_shards_by_rank_the_rate_and_the_time_left(run: RunDir) -> None:
    ingest, embed, store = overview(run, STAGES)["stages"]
    assert (ingest["state"], ingest["rows"], ingest["seconds"]) == ("done", 60, 1.5)
    assert store == {"name": "store", "state": "not done"}
    shards = embed["shards"]
    assert (shards["done"], shards["total"], shards["rows_done"]) == (4, 6, 40)
    assert [(one["done"], one["total"]) for one in shards["by_rank"]] == [(2, 2), (1, 2), (1, 2)]
    # three shards in the 6 seconds after the first one
    assert (shards["rows_per_second"], shards["seconds_left"]) == (5.0, 4)


def test_the_rate_counts_from_the_start_in_whatever_time_zone_it_is_read(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run.locked(Ranks(0, 3)):
        # two shards an hour old, of an earlier start, and two after this one, 4 s apart
        for number, at in enumerate([-3_604, -3_600, 1, 5]):
            marker = run.file("embeddings") / f"0000{number}.json"
            marker.write_text(json.dumps(read_sealed(marker) | {"at": time.time() + at}))
        rates = []
        for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            rates.append(overview(run, STAGES)["stages"][1]["shards"]["rows_per_second"])
    monkeypatch.undo()
    time.tzset()
    assert rates == [2.5, 2.5, 2.5]


def test_files_that_are_missing_or_have_another_size(run: RunDir) -> None:
    for name in ("a.txt", "b.txt"):
        run.file(name).write_text("x")
    run.finish("store", "key", "out", ["a.txt", "b.txt"], 1.0, {})
    states = []
    for change in (lambda: None, lambda: run.file("a.txt").write_text("xy"), run.file("b.txt").unlink):
        change()
        states.append(overview(run, ["store"])["stages"][0]["state"])
    assert states == ["done", "files changed", "files missing"]


def test_shards_of_other_settings_are_not_counted(run: RunDir) -> None:
    Shards(run.file("embeddings"), "other key", 60, 10).to_make()
    assert overview(run, STAGES)["stages"][1]["shards"]["done"] == 0


def test_processes_running_stopped_failed_and_dead(run: RunDir) -> None:
    for rank, error in ((1, Resumable("the server is gone")), (2, JobError("no disk"))):
        with pytest.raises(JobError), run.locked(Ranks(rank, 4)):
            raise error
    with run.locked(Ranks(0, 4)), run.locked(Ranks(3, 4)):
        last = holders(run.path)[-1].file
        last.write_text(json.dumps(read_sealed(last) | {"started": "1"}))
        found = overview(run, STAGES)
    assert found["running"]
    states = [(one["rank"], one["state"], one["code"], one["message"]) for one in found["processes"]]
    assert states == [
        (0, "running", None, ""),
        (1, "stopped", 75, "the server is gone"),
        (2, "failed", 1, "no disk"),
        (3, "died", None, "it did not say why"),
    ]
    assert [Path(one["log"]).name for one in found["processes"]][:2] == ["job.log", "job.rank-1.log"]


def test_only_the_world_that_started_last_is_shown(run: RunDir) -> None:
    with run.locked(Ranks(1, 2)):
        pass
    for holder in holders(run.path):
        holder.file.write_text(json.dumps({**holder.facts, "at": 1.0}))
    with run.locked():
        pass
    (one,) = overview(run, STAGES)["processes"]
    assert (one["world"], one["state"]) == (1, "done")


def test_a_process_of_another_machine_is_judged_by_the_time_of_its_heartbeat(run: RunDir) -> None:
    with run.locked():
        (holder,) = holders(run.path)
        holder.file.write_text(json.dumps({**holder.facts, "machine": "another"}))
        beat = holder.file.with_name(f"{holder.file.name}.beat")
        states = []
        for text in ("5 4102444800\n", "5 1000000000\n", ""):
            beat.write_text(text)
            states.append(overview(run, STAGES)["processes"][0]["state"])
    assert states == ["running", "died", "died"]
