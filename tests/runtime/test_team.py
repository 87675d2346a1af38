"""Ranks that compare their settings with rank 0's, and notice when another one fails."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from job.runtime.errors import BadInput, JobError, Resumable
from job.runtime.holders import holders
from job.runtime.locks import OthersFailed
from job.runtime.ranks import Ranks
from job.runtime.rundir import RunDir
from job.runtime.team import Team

SRUN = {
    "SLURM_JOB_ID": "7",
    "SLURM_CLUSTER_NAME": "c",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "1",
    "SLURM_NTASKS": "4",
}


@pytest.fixture(autouse=True)
def _look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("job.runtime.team._LOOK_SECONDS", 0.0)


@pytest.fixture(params=["srun", "by hand"])
def numbered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether launches have numbers."""
    for name, value in SRUN.items() if request.param == "srun" else ():
        monkeypatch.setenv(name, value)
    return bool(request.param == "srun")


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def team(held: ExitStack, folder: Path, rank: int, **settings: str) -> Team:
    ranks = Ranks(rank, 4, "Slurm: SLURM_PROCID, SLURM_NTASKS" if "SLURM_JOB_ID" in os.environ else "one by one")
    return Team(folder, ranks, held.enter_context(RunDir(folder).locked(ranks, settings)))


def fail(folder: Path, rank: int, error: JobError) -> None:
    with pytest.raises(JobError), RunDir(folder).locked(Ranks(rank, 4)):
        raise error


def test_another_value_is_refused_with_its_key(tmp_path: Path, held: ExitStack, numbered: bool) -> None:
    team(held, tmp_path, 0, seed="1", **{"cluster.k": "5"})
    mine = team(held, tmp_path, 3, seed="1", **{"cluster.k": "6"})
    message = r"^rank 3 of 4: cluster\.k = 6, rank 0 has 5: start all ranks with the same configuration"
    with pytest.raises(BadInput, match=message):
        mine.missing_leader()
    with pytest.raises(BadInput, match=message):
        mine.check("embed")


def test_ranks_that_wait_for_nobody_compare_with_all_that_have_started(
    tmp_path: Path, held: ExitStack, numbered: bool
) -> None:
    first = team(held, tmp_path, 1, device="cuda", seed="1")
    first.compare_all()
    message = r"^rank 3 of 4: device = cpu, rank 1 has cuda: start all ranks"
    with pytest.raises(BadInput, match=message):
        team(held, tmp_path, 3, device="cpu", seed="1").compare_all()


def test_a_rank_that_may_be_of_a_launch_before_is_only_warned_of(
    tmp_path: Path, held: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    team(held, tmp_path, 1, device="cuda")
    (holder,) = holders(tmp_path)
    holder.file.write_text(json.dumps({**holder.facts, "machine": "another"}))
    with caplog.at_level("WARNING", "job"):
        team(held, tmp_path, 3, device="cpu").compare_all()
    assert "if that rank still runs: rank 3 of 4: device = cpu, rank 1 has cuda" in caplog.text


def test_equal_settings_are_accepted_once_rank_0_has_noted_all(tmp_path: Path, held: ExitStack, numbered: bool) -> None:
    leader = team(held, tmp_path, 0, seed="1")
    mine = team(held, tmp_path, 1, seed="1")
    mine.note({"input": "abc"})
    assert mine.missing_leader() == ["rank 0, which has just started"]
    leader.note({"input": "abc"})
    assert mine.missing_leader() == []
    assert leader.missing_leader() == []


def test_rank_0_is_waited_for_where_it_is_known_to_start(tmp_path: Path, held: ExitStack, numbered: bool) -> None:
    with RunDir(tmp_path).locked(Ranks(0, 4), {"seed": "of a run before"}):
        pass
    for holder in holders(tmp_path):
        launch = {"launch": {"id": "c:6.0 start 0"}} if numbered else {}
        holder.file.write_text(json.dumps({**holder.facts, **launch}))
    mine = team(held, tmp_path, 1, seed="1")
    assert mine.missing_leader() == (["rank 0, which has not started"] if numbered else [])
    mine.check("embed")


def test_ranks_that_failed_are_named_with_their_logs(
    tmp_path: Path, held: ExitStack, numbered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    mine = team(held, tmp_path, 0)
    fail(tmp_path, 1, JobError("the disk is full"))
    fail(tmp_path, 2, Resumable("the server is gone"))
    message = rf"rank 1 of 4, .* ended with 1: the disk is full \(its log: {tmp_path}/job\.rank-1\.log\); rank 2 of 4"
    if numbered:
        with pytest.raises(OthersFailed, match=message) as caught:
            mine.check("embed")
        assert caught.value.exit_code == 1
    else:  # somebody may start only these ranks again
        with caplog.at_level("WARNING", "job"):
            mine.check("embed")
        assert "the disk is full" in caplog.text and "start it again" in caplog.text


def test_ranks_that_stopped_on_the_way_make_this_one_stop_on_the_way(
    tmp_path: Path, held: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SRUN.items():
        monkeypatch.setenv(name, value)
    mine = team(held, tmp_path, 0)
    with RunDir(tmp_path).locked(Ranks(2, 4)):
        killed = holders(tmp_path)[-1].facts
    # the same without its end, and of a process that is no more
    (tmp_path / "locks" / "rank-2-of-4.2").write_text(json.dumps({**killed, "ended": None, "started": "1"}))
    with pytest.raises(OthersFailed, match=r"rank 2 of 4, .* died without a word .*job\.rank-2\.log") as caught:
        mine.check("embed")
    assert caught.value.exit_code == 75


def test_what_happened_before_this_launch_does_not_count(tmp_path: Path, held: ExitStack) -> None:
    fail(tmp_path, 1, JobError("yesterday"))
    team(held, tmp_path, 0).check("embed")


def test_ranks_set_by_hand_in_several_slurm_jobs_are_one_team(
    tmp_path: Path, held: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an array of jobs, of which each is one rank."""
    for name, value in SRUN.items():
        monkeypatch.setenv(name, value)
    leader = Ranks(0, 4, "ranks.rank, ranks.world")
    held.enter_context(RunDir(tmp_path).locked(leader, {"seed": "1"}))
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    mine = Ranks(1, 4, "ranks.rank, ranks.world")
    team = Team(tmp_path, mine, held.enter_context(RunDir(tmp_path).locked(mine, {"seed": "2"})))
    with pytest.raises(BadInput, match="seed = 2, rank 0 has 1"):
        team.missing_leader()


def test_a_failure_is_told_once_however_many_ranks_stop_because_of_it(
    tmp_path: Path, held: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SRUN.items():
        monkeypatch.setenv(name, value)
    mine = team(held, tmp_path, 0)
    fail(tmp_path, 1, JobError("the disk is full"))
    for rank in (2, 3):
        fail(tmp_path, rank, OthersFailed("rank 1 of 4 ended with 1: the disk is full"))
    with pytest.raises(OthersFailed) as caught:
        mine.check("embed")
    assert str(caught.value).count("the disk is full") == 1
    assert "rank 2" not in str(caught.value)
    assert [holder.ended["message"] for holder in holders(tmp_path) if holder.ended] == [
        "the disk is full",
        *["other ranks failed"] * 2,
    ]


def test_rank_0_that_ended_before_it_had_noted_all_is_not_waited_for(
    tmp_path: Path, held: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SRUN.items():
        monkeypatch.setenv(name, value)
    mine = team(held, tmp_path, 1)
    mine.note({"input": "abc"})
    assert mine.missing_leader() == ["rank 0, which has not started"]
    fail(tmp_path, 0, Resumable("no Milvus server answers"))
    with pytest.raises(OthersFailed, match=r"rank 0 of 4.* ended with 75: no Milvus server answers") as caught:
        mine.missing_leader()
    assert caught.value.exit_code == 75
