"""Stopping on request: the signal sets a flag, the next check ends the run with exit code 75."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

from job.runtime import signals
from job.runtime.errors import Resumable
from job.runtime.rundir import RunDir


@pytest.fixture(autouse=True)
def clear_signal() -> Iterator[None]:
    """A signal in one test does not stop another test."""
    yield
    with signals.stop_signals():
        pass


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2"])
def test_a_stop_signal_stops_nothing_before_the_next_check(name: str) -> None:
    with signals.stop_signals():
        signals.check()
        os.kill(os.getpid(), getattr(signal, name))
        with pytest.raises(Resumable, match=f"stopped by {name}.*run the same command again") as caught:
            signals.check()
    assert caught.value.exit_code == 75


@pytest.mark.parametrize("names", [("SIGUSR1", "SIGTERM"), ("SIGTERM", "SIGUSR1"), ("SIGINT", "SIGTERM")])
def test_of_several_signals_sigterm_is_the_one_reported(names: tuple[str, str]) -> None:
    """By it, `requeue` knows a preemption."""
    with signals.stop_signals():
        for name in names:
            os.kill(os.getpid(), getattr(signal, name))
        with pytest.raises(Resumable, match="SIGTERM"):
            signals.check()


def test_the_signal_of_the_watcher_does_not_meet_the_handlers_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the process may end by it, and not with 75."""
    late: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: late.append(number))
    kill = signal.pthread_kill

    def slowly(thread: int, number: int) -> None:
        time.sleep(0.5)
        kill(thread, number)

    monkeypatch.setattr(signal, "pthread_kill", slowly)
    try:
        with pytest.raises(Resumable, match="stopped by SIGTERM"), signals.stop_signals():
            for wait in (0.0, 1.2, 0.2):
                time.sleep(wait)
                os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        time.sleep(0.6)
        assert late == []
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_second_interrupt_stops_at_once_and_the_run_can_be_continued(tmp_path: Path) -> None:
    again = pytest.raises(Resumable, match="run the same command again")
    with again, RunDir(tmp_path).locked(), signals.stop_signals():
        os.kill(os.getpid(), signal.SIGUSR1)
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except Exception:
            pytest.fail("a library could take it for an error of its own")
    ended = RunDir(tmp_path).holders()[0].ended
    assert ended is not None
    assert ended["code"] == 75


STUCK = """
import sys, time
from pathlib import Path
from job.runtime import signals
from job.runtime.errors import JobError
from job.runtime.rundir import RunDir

signals.STUCK_SECONDS, signals._UNWIND_SECONDS = float(sys.argv[3]), 0.5
try:
    with RunDir(Path(sys.argv[1])).locked(), signals.stop_signals():
        print("ready", flush=True)
        if sys.argv[2] == "waits":
            open(sys.argv[1] + "/fifo").read()
        elif sys.argv[2] == "sleeps":
            time.sleep(60)
        else:  # holds the main thread in C code, without the interpreter's lock
            import ctypes
            while True:
                ctypes.CDLL(None).sleep(60)
except JobError as error:
    print("error:", error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("kind", ["waits", "sleeps", "deaf"])
@pytest.mark.parametrize("again", [True, False])
def test_work_that_never_looks_is_stopped_by_a_second_signal_or_after_a_while(
    tmp_path: Path, kind: str, again: bool
) -> None:
    folder = tmp_path / "run"
    words = [sys.executable, "-c", STUCK, str(folder), kind, "60" if again else "0.5"]
    with RunDir(folder).locked():
        os.mkfifo(folder / "fifo")
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    if again:
        time.sleep(1.2)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 75
    assert "error: stopped by SIGTERM; finished work is kept" in said
    (holder,) = RunDir(folder).holders()
    assert holder.ended is not None and holder.ended["code"] == 75


def test_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), signals.stop_signals():
        assert signal.getsignal(signal.SIGUSR1) is not before[0]
        raise ZeroDivisionError
    assert (signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGINT)) == before


def test_a_new_block_starts_without_the_old_signal() -> None:
    with signals.stop_signals():
        os.kill(os.getpid(), signal.SIGUSR1)
    with signals.stop_signals():
        signals.check()


def test_a_long_piece_of_work_gets_time_to_finish() -> None:
    with signals.stop_signals():
        os.kill(os.getpid(), signal.SIGUSR1)
        signals.check(after=60)
        os.kill(os.getpid(), signal.SIGTERM)  # the time counts from the first signal
        signals.check(after=60)
        with pytest.raises(Resumable):
            signals.check()
        time.sleep(0.02)
        with pytest.raises(Resumable):
            signals.check(after=0.01)
