"""The neighbors stage split over ranks: whoever is killed, and in whatever order, the graph is that of one process."""

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import DEMO, Run, start

from job.config import load
from job.context import Job
from job.stages.neighbors import NeighborsStage

SHARDS = "neighbors.shard_rows=40"


def rank(number: int, world: int) -> tuple[str, str]:
    return f"ranks.rank={number}", f"ranks.world={world}"


def assert_same_graph(one: Path, other: Path) -> None:
    with np.load(one / "neighbors.npz") as mine, np.load(other / "neighbors.npz") as theirs:
        for name in mine.files:
            np.testing.assert_array_equal(mine[name], theirs[name])


@pytest.fixture(params=[pytest.param("server", marks=pytest.mark.slow), "exact"])
def settings(request: pytest.FixtureRequest) -> list[str]:
    """Where the graph comes from, with a collection of its own on a server."""
    if request.param == "exact":
        return ["neighbors.backend=exact", SHARDS]
    uri = request.getfixturevalue("milvus_server").uri
    return [f"store.uri={uri}", f"store.collection=ranks_{abs(hash(request.node.name))}", SHARDS]


@pytest.fixture
def stored(job_here: Run, copy: Path, settings: list[str]) -> list[str]:
    """The words after the stage's name, for a run folder that has come as far as the store."""
    words = [str(DEMO), f"run_dir={copy}", *settings]
    done = job_here("stage", "store", *words)
    assert done.returncode == 0, done.stderr
    return words


@pytest.mark.slow
def test_ranks_one_after_the_other_the_first_puts_them_together(
    job_here: Run, demo: Path, copy: Path, stored: list[str]
) -> None:
    """Also with another number of ranks in between, and one process for the rest."""
    last = job_here("stage", "neighbors", *stored, *rank(2, 3))
    assert last.returncode == 0, last.stderr
    assert "rank 2 of 3: its share is done; still missing: shards 00000, 00003" in last.stderr
    made = {path: path.stat().st_mtime_ns for path in (copy / "neighbors").glob("*.npy")}
    assert {int(path.stem) % 3 for path in made} == {2}
    early = job_here("stage", "cluster", *stored)
    assert early.returncode == 2
    assert "stage neighbors is not done" in early.stderr
    assert "00000, 00001, 00003" in early.stderr
    assert job_here("stage", "neighbors", *stored, *rank(1, 2)).returncode == 0
    done = job_here("stage", "neighbors", *stored, *rank(1, 3))
    assert "rank 1 of 3: its share is done; still missing: shards 00000, 00006" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in made} == made, "finished shards were made again"
    first = job_here("stage", "neighbors", *stored, *rank(0, 3))
    assert first.returncode == 0, first.stderr
    assert_same_graph(copy, demo)
    assert not (copy / "neighbors").exists()
    assert json.loads((copy / "markers" / "neighbors.json").read_text())["stats"]["ranks"] == 3
    assert "neighbors: up to date" in job_here("stage", "neighbors", *stored, *rank(1, 3)).stderr


@pytest.mark.slow
def test_a_rank_killed_at_its_work_and_started_again(demo: Path, copy: Path, stored: list[str]) -> None:
    ranks = [start("run", *stored, *rank(number, 3), "ranks.wait=15") for number in range(3)]
    while not list((copy / "neighbors").glob("*.json")) and ranks[2].poll() is None:
        time.sleep(0.002)
    ranks[2].kill()
    said = [process.communicate(timeout=250)[1] for process in ranks]
    if ranks[2].returncode == -signal.SIGKILL and ranks[0].returncode:  # it may have been through with its share
        assert [process.returncode for process in ranks[:2]] == [75, 0], said
        assert "of rank 2)" in said[0]
        again = [start("run", *stored, *rank(number, 3)) for number in (0, 2)]
        said = [process.communicate(timeout=250)[1] for process in again]
        assert [process.returncode for process in again] == [0, 0], said
    assert_same_graph(copy, demo)
    for name in ("headlines_clustered.csv", "topics.csv"):
        assert (copy / name).read_bytes() == (demo / name).read_bytes()


def test_only_rank_0_asks_a_lite_file(job_here: Run, demo: Path, copy: Path) -> None:
    words = [str(DEMO), f"run_dir={copy}", SHARDS]
    assert job_here("stage", "store", *words).returncode == 0
    done = job_here("stage", "neighbors", *words, *rank(1, 2))
    assert done.returncode == 0, done.stderr
    assert "neighbors: is not split over ranks: rank 0 does it" in done.stderr
    assert not (copy / "neighbors").exists()
    assert job_here("stage", "neighbors", *words, *rank(0, 2)).returncode == 0
    assert_same_graph(copy, demo)


def test_rank_0_does_not_assemble_a_damaged_shard_of_another_rank(
    job_here: Run, demo: Path, copy: Path, stored: list[str]
) -> None:
    assert job_here("stage", "neighbors", *stored, *rank(1, 2)).returncode == 0
    shard = copy / "neighbors" / "00001.npy"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 0x41
    shard.write_bytes(content)
    first = job_here("stage", "neighbors", *stored, *rank(0, 2))
    assert first.returncode == 0, first.stderr
    assert "its share is done; still missing: shards 00001 (1 of rank 1)" in first.stderr
    assert job_here("stage", "neighbors", *stored, *rank(1, 2)).returncode == 0
    assert job_here("stage", "neighbors", *stored, *rank(0, 2)).returncode == 0
    assert_same_graph(copy, demo)


def test_a_rank_that_is_late_does_not_repeat_what_rank_0_has_put_together(
    job_here: Run, copy: Path, stored: list[str]
) -> None:
    assert job_here("stage", "neighbors", *stored).returncode == 0
    late = Job(load(DEMO, [*stored[1:], *rank(1, 2), "device=cpu"]))
    # as if it had looked for the stage's marker just before
    assert NeighborsStage().run(late) is None
    assert not (copy / "neighbors").exists()
