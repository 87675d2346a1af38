"""Locks between machines: a process of another one lives as long as its heartbeat changes, or its Slurm job runs."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from job.runtime import locks, ownership
from job.runtime.errors import JobError
from job.runtime.holders import Holder, ask_slurm, holders
from job.runtime.locks import Watch, acquire
from job.runtime.ranks import ONE_PROCESS, Ranks
from job.runtime.rundir import RunDir

HOLD = """
import sys, time
from pathlib import Path
from job.runtime import locks
from job.runtime.ranks import ONE_PROCESS
locks.BEAT_SECONDS = 0.1
lock = locks.acquire(Path(sys.argv[1]), ONE_PROCESS, {})
print(lock.file, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(locks, "DEAD_SECONDS", 1.0)


@pytest.fixture
def beating(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the folder's lock."""
    ownership.claim(tmp_path)
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().endswith("single.1\n")
    yield process
    process.kill()
    process.communicate()


def elsewhere(folder: Path, **changes: Any) -> Holder:
    """The lock in the folder, as if its process were on another machine."""
    (holder,) = holders(folder)
    facts = {**holder.facts, "machine": "another", "host": "node7", **changes}
    holder.file.write_text(json.dumps(facts))
    return holders(folder)[0]


def test_a_process_of_another_machine_lives_while_its_heartbeat_changes(
    tmp_path: Path, beating: subprocess.Popen[str]
) -> None:
    holder = elsewhere(tmp_path)
    assert holder.state() == "unsure"
    with pytest.raises(JobError, match=rf"in use by process {beating.pid} on node7 since"):
        acquire(tmp_path, ONE_PROCESS, {})
    assert beating.poll() is None


def test_a_process_of_another_machine_without_heartbeat_is_dead_and_its_lock_is_taken_over(
    tmp_path: Path, beating: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere(tmp_path)
    beating.kill()
    beating.wait()
    time.sleep(0.5)  # its heartbeat may be writing
    start = time.monotonic()
    with caplog.at_level("WARNING", "job"), RunDir(tmp_path).locked():
        assert time.monotonic() - start >= locks.DEAD_SECONDS
        assert [holder.generation for holder in holders(tmp_path)] == [2]
    assert "watching its heartbeat for 1 s" in caplog.text
    assert f"taking over the lock of process {beating.pid} on node7" in caplog.text


def test_a_process_whose_lock_was_taken_over_is_stopped_by_its_heartbeat(
    tmp_path: Path, beating: subprocess.Popen[str]
) -> None:
    (tmp_path / "locks" / "single.2").write_text("{}")
    assert beating.wait(10) == -signal.SIGTERM


def within_30_seconds(holds: Callable[[], bool]) -> None:
    """A busy machine starts processes late."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_heartbeat_ends_with_its_process_and_outlives_slurms_signals(
    tmp_path: Path, beating: subprocess.Popen[str]
) -> None:
    (child,) = Path(f"/proc/{beating.pid}/task/{beating.pid}/children").read_text().split()
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        os.kill(int(child), number)
    (holder,) = holders(tmp_path)
    before = holder.beat()
    within_30_seconds(lambda: holder.beat() not in ("", before))
    beating.kill()
    beating.wait()
    command = Path(f"/proc/{child}/cmdline")
    within_30_seconds(lambda: not command.exists() or not command.read_text())


def test_a_heartbeat_that_was_killed_is_started_again(tmp_path: Path, beating: subprocess.Popen[str]) -> None:
    children = Path(f"/proc/{beating.pid}/task/{beating.pid}/children")
    (child,) = children.read_text().split()
    os.kill(int(child), signal.SIGKILL)
    (holder,) = holders(tmp_path)
    before = holder.beat()
    within_30_seconds(lambda: holder.beat() not in ("", before) and child not in children.read_text().split())


@pytest.mark.parametrize(("here", "found"), [("c", "gone"), ("", None), ("d", None)])
def test_a_job_that_slurm_does_not_know_is_gone_only_from_its_own_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: str, found: str | None
) -> None:
    """With a stand-in for squeue."""
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_CLUSTER_NAME", here)
    assert ask_slurm("c", "7") == found
    squeue.write_text("#!/bin/sh\necho RUNNING\n")
    assert ask_slurm("c", "7") == (None if here == "d" else "RUNNING")


LOOK = """
import os, sys
sys.path.insert(0, sys.argv[1])
from job.runtime.holders import started
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print(started(int(sys.argv[2])), started(os.getpid()) is None, started(2**22))
"""


def test_a_process_that_proc_hides_from_another_user_is_not_taken_for_dead() -> None:
    words = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
    look = [sys.executable, "-c", LOOK, str(ROOT), str(os.getpid())]
    done = subprocess.run(["unshare", "--mount", "sh", "-c", words, "sh", *look], capture_output=True, text=True)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("no /proc can be mounted here")
    assert done.stdout == "hidden False None\n", done.stderr


def test_a_dead_process_of_this_machine_is_known_at_once(tmp_path: Path, beating: subprocess.Popen[str]) -> None:
    assert holders(tmp_path)[0].state() == "running"
    beating.kill()
    assert beating.wait() == -signal.SIGKILL
    assert holders(tmp_path)[0].state() == "died"


def test_a_number_that_another_process_has_now_is_not_the_process(
    tmp_path: Path, beating: subprocess.Popen[str]
) -> None:
    (holder,) = holders(tmp_path)
    holder.file.write_text(json.dumps({**holder.facts, "started": "1"}))
    assert holders(tmp_path)[0].state() == "died"


def test_a_slurm_job_that_was_started_again_has_no_process_of_its_start_before(
    tmp_path: Path, beating: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SLURM_JOB_ID", "7"), ("SLURM_CLUSTER_NAME", "c"), ("SLURM_RESTART_COUNT", "2")):
        monkeypatch.setenv(name, value)
    state = {start: elsewhere(tmp_path, launch={"id": "", "slurm": "c:7", "start": start}).state() for start in (1, 2)}
    assert state == {1: "died", 2: "unsure"}
    assert elsewhere(tmp_path, launch={"id": "", "slurm": "c:8", "start": 0}).state() == "unsure"


def test_dead_ranks_of_another_world_are_taken_over_and_stay_dead(tmp_path: Path) -> None:
    ownership.claim(tmp_path)
    for rank in range(3):
        lock = acquire(tmp_path, Ranks(rank, 3), {})
        lock.stop_heartbeat()
    for holder in holders(tmp_path):
        holder.file.write_text(json.dumps({**holder.facts, "machine": "another"}))
    with RunDir(tmp_path).locked():
        states = {holder.name: holder.state() for holder in holders(tmp_path)}
    assert states == {"single": "running"} | {f"rank-{rank}-of-3": "ended" for rank in range(3)}
    assert all(holder.ended and holder.ended["message"] == "died" for holder in holders(tmp_path) if not holder.single)


def test_of_many_that_start_at_once_one_gets_the_lock(tmp_path: Path) -> None:
    """Also from a dead lock of another machine."""
    lock = acquire(tmp_path, ONE_PROCESS, {})
    lock.stop_heartbeat()
    elsewhere(tmp_path)
    got: list[Any] = []

    def start() -> None:
        try:
            got.append(acquire(tmp_path, ONE_PROCESS, {}))
        except JobError as error:
            got.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [one for one in got if isinstance(one, locks.Lock)]
    assert len(got) == 8
    assert len(winners) == 1
    winners[0].end(0, "")


def test_a_lock_says_how_its_process_ended(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    with pytest.raises(JobError), run.locked(Ranks(1, 2), {"seed": "1"}):
        raise JobError("no luck")
    (holder,) = run.holders()
    assert (holder.rank, holder.world, holder.settings) == (1, 2, {"seed": "1"})
    assert holder.ended is not None
    assert (holder.ended["code"], holder.ended["message"]) == (1, "no luck")
    assert not list(tmp_path.glob("locks/*.beat"))


def test_a_damaged_lock_of_another_world_is_watched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "DEAD_SECONDS", 0.5)
    ownership.claim(tmp_path)
    acquire(tmp_path, Ranks(1, 2), {}).end(0, "")
    (holder,) = holders(tmp_path)
    holder.file.write_text(holder.file.read_text().replace("machine", "mbchine"))
    assert holders(tmp_path)[0].state() == "unsure"
    for _ in range(2):
        with RunDir(tmp_path).locked():
            states = {one.name: one.state() for one in holders(tmp_path)}
            assert states == {"rank-1-of-2": "ended", "single": "running"}


def test_a_half_written_lock_is_watched_like_one_of_another_machine(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "single.1").write_text("")
    (holder,) = holders(tmp_path)
    assert holder.state() == "unsure"
    assert "is starting" in str(holder)
    assert Watch().first_running([holder]) is None
