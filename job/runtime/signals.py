"""Stopping on request: a signal sets a flag, and loops check the flag between two pieces of work.

Slurm sends USR1 or USR2 ahead of the time limit and TERM at the limit; a person presses Ctrl-C. After the first
signal the current piece of work finishes and is saved. After TERM or Ctrl-C that may take `PATIENCE` seconds; then, or
at a second TERM or Ctrl-C, the process ends at once, with the same exit code. Files are written whole or not at all,
so that loses only the work at hand.
"""

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from job.runtime.errors import EXIT_RESUMABLE, Resumable
from job.runtime.log import logger

# seconds without `check`, after TERM or INT, until the process ends
PATIENCE = 10.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
_URGENT = (signal.SIGTERM, signal.SIGINT)
_LAST_WORDS_SECONDS = 2.0
_received: str | None = None
_received_at = 0.0
# when `check` was called last, and with what
_checked_at, _grace = 0.0, 0.0


def _handle(number: int, frame: FrameType | None) -> None:
    global _received, _received_at
    if _received is None:
        _received, _received_at = signal.Signals(number).name, time.monotonic()


class _Watch(threading.Thread):
    """Ends the process where the main thread does not stop.

    Python runs signal handlers only between two of its instructions in the main thread, so not while that waits or
    computes in C. The bytes of `signal.set_wakeup_fd` arrive at once.
    """

    def __init__(self) -> None:
        super().__init__(name="stop signals", daemon=True)
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._urgent_at: float | None = None
        self._ended = False

    def end(self) -> None:
        """Stop watching; from the main thread."""
        signal.set_wakeup_fd(self._before)
        self._ended = True
        self._writer.close()
        self.join()
        self._reader.close()

    def run(self) -> None:
        while not self._ended:
            wait = None
            if self._urgent_at is not None:
                deadline = max(self._urgent_at + max(PATIENCE, _grace), _checked_at + PATIENCE)
                if time.monotonic() >= deadline:
                    _die(f"the work at hand did not end within {time.monotonic() - self._urgent_at:.0f} s")
                # short, since a check may change the deadline
                wait = 0.2
            if not select.select([self._reader], [], [], wait)[0]:
                continue
            for number in self._reader.recv(64):
                if number in _URGENT and self._urgent_at is not None:
                    _die(f"a second signal, {signal.Signals(number).name}")
                if number in _URGENT:
                    self._urgent_at = time.monotonic()


def _die(why: str) -> None:
    """End the process without waiting for anything that it does."""
    message = f"stopped at once: {why}; finished work is kept: run the same command again to continue"
    # the log may be what hangs
    words = threading.Thread(target=logger.error, args=("run: %s", message), daemon=True)
    words.start()
    words.join(_LAST_WORDS_SECONDS)
    os._exit(EXIT_RESUMABLE)


# a signal to a forked child is none to its parent
os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))


@contextmanager
def stop_signals() -> Iterator[None]:
    """Within this block the stop signals set a flag instead of ending the process; see the head of this file.

    Only the main thread can handle signals: in another thread the block changes nothing.
    """
    global _received, _grace
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received, _grace = None, 0.0
    previous = {number: signal.signal(number, _handle) for number in _STOP_SIGNALS}
    watch = _Watch()
    watch.start()
    try:
        yield
    finally:
        watch.end()
        for number, handler in previous.items():
            signal.signal(number, handler)
        # a later run in a thread does not reset it
        _received = None


def check(after: float = 0.0) -> None:
    """Raise `Resumable` if the first stop signal came at least `after` seconds ago.

    Call it wherever finished work has just been saved. Within a piece of work that may take longer than the sender of
    the signal waits, call it with the seconds that the piece is given to finish: at its start and while it goes on.
    """
    global _checked_at, _grace
    _checked_at, _grace = time.monotonic(), after
    if _received is not None and _checked_at - _received_at >= after:
        raise Resumable(f"stopped by {_received}; finished work is kept: run the same command again to continue")
