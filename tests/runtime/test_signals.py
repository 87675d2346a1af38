"""Stopping on request: the signal sets a flag, the next check ends the run with exit code 75."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

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
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Resumable, match="SIGTERM"):
            signals.check()


def test_a_second_interrupt_stops_at_once() -> None:
    with signals.stop_signals():
        os.kill(os.getpid(), signal.SIGUSR1)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


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
