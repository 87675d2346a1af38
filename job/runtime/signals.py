"""Stopping on request: a signal sets a flag, and loops check the flag between two pieces of work.

Slurm sends USR1 or USR2 ahead of the time limit and TERM at the limit; a person presses Ctrl-C. After the first
signal the current piece of work finishes and is saved; a second Ctrl-C stops at once.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from job.runtime.errors import Resumable

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
_received: str | None = None
_received_at = 0.0


def _handle(number: int, frame: FrameType | None) -> None:
    global _received, _received_at
    if _received is not None and number == signal.SIGINT:
        raise KeyboardInterrupt
    if _received is None:
        _received_at = time.monotonic()
    _received = signal.Signals(number).name


@contextmanager
def stop_signals() -> Iterator[None]:
    """Within this block the stop signals set a flag instead of ending the process.

    Only the main thread can handle signals: in another thread the block changes nothing.
    """
    global _received
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received = None
    previous = {number: signal.signal(number, _handle) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        # a later run in a thread does not reset it
        _received = None


def check(after: float = 0.0) -> None:
    """Raise `Resumable` if the first stop signal came at least `after` seconds ago.

    Call it wherever finished work has just been saved. Within a piece of work that may take longer than the sender of
    the signal waits, call it with the seconds that the piece is given to finish.
    """
    if _received is not None and time.monotonic() - _received_at >= after:
        raise Resumable(f"stopped by {_received}; finished work is kept: run the same command again to continue")
