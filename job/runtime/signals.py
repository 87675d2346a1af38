"""Stopping on request: a signal sets a flag, the loops ask for it between two pieces of work.

Slurm sends USR1 or USR2 ahead of the time limit and TERM at it; a person presses Ctrl-C. The first
signal lets the piece of work at hand finish and be saved; a second Ctrl-C stops at once.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from job.runtime.errors import Resumable

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
_received: str | None = None
_received_at = 0.0


def _remember(number: int, frame: FrameType | None) -> None:
    global _received, _received_at
    if _received is not None and number == signal.SIGINT:
        raise KeyboardInterrupt
    if _received is None:
        _received_at = time.monotonic()
    _received = signal.Signals(number).name


@contextmanager
def stop_signals() -> Iterator[None]:
    """Within this block the stop signals set a flag instead of ending the process."""
    global _received
    _received = None
    previous = {number: signal.signal(number, _remember) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def check(after: float = 0.0) -> None:
    """Raise `Resumable` if a stop signal came; call it wherever finished work has just been saved.

    Within a piece of work that may take longer than whoever sent the signal will wait, call it with the seconds
    that the piece is given to come to its end.
    """
    if _received is not None and time.monotonic() - _received_at >= after:
        raise Resumable(f"stopped by {_received}; what is finished is kept: the same command goes on from here")
