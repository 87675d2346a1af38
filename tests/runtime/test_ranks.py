"""Which rank a process is, and what its share is."""

import os
import signal

import pytest

from job.runtime import signals
from job.runtime.errors import BadInput, Resumable
from job.runtime.ranks import Ranks, resolve_ranks, wait_for

SRUN = {"SLURM_STEP_ID": "0", "SLURM_PROCID": "2", "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4"}
TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}


def numbers(environment: dict[str, str], **given: int) -> tuple[int, int, int]:
    found = resolve_ranks(**given, environment=environment)
    return found.rank, found.world, found.local


def test_a_plain_process_is_the_only_one() -> None:
    ranks = resolve_ranks(environment={})
    assert (ranks.rank, ranks.world, ranks.single) == (0, 1, True)


def test_the_configuration_comes_before_torchrun_and_torchrun_before_slurm() -> None:
    assert numbers(SRUN | {"SLURM_LOCALID": "0"}) == (2, 4, 0)
    assert numbers(SRUN | TORCHRUN) == (3, 8, 1)
    assert numbers(SRUN | TORCHRUN, rank=1, world=2) == (1, 2, 1)


def test_slurms_two_variables_are_enough() -> None:
    assert numbers({"SLURM_PROCID": "1", "SLURM_NTASKS": "4"}) == (1, 4, 1)
    assert numbers({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}) == (0, 4, 0)


def test_the_source_is_named() -> None:
    assert resolve_ranks(environment=SRUN).source.startswith("Slurm")
    assert resolve_ranks(environment=TORCHRUN).source.startswith("torchrun")
    assert str(resolve_ranks(environment=SRUN)) == "rank 2 of 4"


@pytest.mark.parametrize(
    "environment",
    [
        {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"},  # a batch script
        {"SLURM_STEP_ID": "4294967291", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"},  # the batch step, numbered
        {"SLURM_STEP_ID": "4294967290", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"},  # salloc's interactive step
        SRUN | {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"},  # srun --ntasks=1 --pty bash in a job of four
        {"RANK": "3"},  # a variable of another program
    ],
)
def test_one_process_that_looks_like_ranks(environment: dict[str, str]) -> None:
    assert numbers(environment) == (0, 1, 0)


@pytest.mark.parametrize("world", [1, 2, 4, 7, 12])
def test_every_item_is_in_exactly_one_share(world: int) -> None:
    items = list(range(10))
    ranks = [Ranks(rank, world) for rank in range(world)]
    assert sorted(item for rank in ranks for item in rank.share_of(items)) == items
    assert all(rank.owner(item) == rank.rank for rank in ranks for item in rank.share_of(items))
    sizes = [len(rank.share_of(items)) for rank in ranks]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("rank", "world"), [(4, 4), (-1, 4), (0, 0)])
def test_an_impossible_rank_is_refused(rank: int, world: int) -> None:
    with pytest.raises(BadInput, match="count from 0"):
        resolve_ranks(rank, world, {})


def test_a_variable_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(BadInput, match=r"SLURM_PROCID = 'x'.*ranks\.rank"):
        resolve_ranks(environment=SRUN | {"SLURM_PROCID": "x"})


# ---- waiting


def test_waiting_ends_when_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("job.runtime.ranks._POLL_SECONDS", 0.01)
    answers = [["shard 1", "shard 2"], ["shard 2"], ["shard 2"], []]
    wait_for("embed", lambda: answers.pop(0), 60)
    assert answers == []


def test_the_wait_counts_from_the_last_progress_and_its_error_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("job.runtime.ranks._POLL_SECONDS", 0.01)
    left = [["a", "b"]] * 12 + [["b"]] * 12
    answers = iter(left)
    message = r"embed: waited 0 s \(ranks\.wait\).*still missing: b: start those ranks again"
    with pytest.raises(Resumable, match=message):
        wait_for("embed", lambda: next(answers, ["b"]), 0.2)
    assert next(answers, None) is None


def test_a_stop_signal_ends_the_waiting() -> None:
    with signals.stop_signals(), pytest.raises(Resumable, match="SIGTERM"):
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for("embed", lambda: ["a"], 60)
    with signals.stop_signals():  # clears the signal
        pass
