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


def test_the_first_signal_is_the_one_reported() -> None:
    with signals.stop_signals():
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Resumable, match="SIGUSR1"):
            signals.check()


PROGRAM = """
import hashlib, os, sys, threading, time
from pathlib import Path
from job.runtime import log, signals
from job.runtime.files import atomic

def work(kind):
    print("ready", flush=True)
    if kind == "C":  # one call in C, which no signal interrupts
        hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
    if kind == "file":
        with atomic(Path(sys.argv[3])) as temporary, temporary.open("w") as file:
            file.write("half")
            file.flush()
            time.sleep(60)
    while kind == "grace":
        time.sleep(0.05)
        signals.check(3600)
    if kind == "before":  # the first batch of a shard
        signals.check(3600)
        time.sleep(3)
        signals.check()
    if kind == "lock":  # the log hangs too
        log.logger.handlers[0].acquire()
        threading.Thread(target=log.logger.error, args=("x",), daemon=True).start()
        threading.Event().wait()

log.to_stderr()
signals.PATIENCE = float(sys.argv[2])
with signals.stop_signals():
    try:
        work(sys.argv[1])
    except signals.Resumable as error:
        print(error, file=sys.stderr)
        sys.exit(75)
"""


def stopped(kind: str, patience: float, *numbers: signal.Signals, file: object = "") -> tuple[int, str]:
    """Exit code and stderr of a process that got these signals, 0.2 s apart."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind, str(patience), str(file)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for number in numbers:
            time.sleep(0.2)
            process.send_signal(number)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert "Traceback" not in said
    return process.returncode, said


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_process_at_once(first: signal.Signals, second: signal.Signals) -> None:
    code, said = stopped("C", 3600, first, second)
    assert code == 75
    assert f"a second signal, {second.name}; finished work is kept: run the same command again" in said


def test_a_signal_after_a_warning_is_no_second_one() -> None:
    code, said = stopped("before", 3600, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)
    assert code == 75
    assert "stopped by SIGUSR1" in said


@pytest.mark.parametrize("kind", ["C", "lock"])
def test_without_a_check_the_process_ends_when_patience_does(kind: str) -> None:
    code, said = stopped(kind, 0.5, signal.SIGTERM)
    assert code == 75
    assert kind == "lock" or "the work at hand did not end within" in said


def test_nothing_half_written_looks_whole(tmp_path: Path) -> None:
    assert stopped("file", 0.5, signal.SIGINT, file=tmp_path / "x.txt")[0] == 75
    assert not (tmp_path / "x.txt").exists()


@pytest.mark.parametrize("kind", ["grace", "before"])
def test_a_piece_of_work_with_a_grace_outlasts_patience(kind: str) -> None:
    numbers = [signal.SIGTERM] if kind == "before" else [signal.SIGUSR1, signal.SIGTERM]
    code, said = stopped(kind, 0.5, *numbers, *([] if kind == "before" else [signal.SIGTERM]))
    assert code == 75
    assert ("stopped by SIGTERM" if kind == "before" else "a second signal") in said


def test_a_signal_to_a_forked_child_is_none_to_its_parent() -> None:
    with signals.stop_signals():
        child = os.fork()
        if child == 0:
            for number in (signal.SIGTERM, signal.SIGTERM):
                os.kill(os.getpid(), number)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(Resumable):
            signals.check()


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
