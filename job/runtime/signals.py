"""Stopping on request: a signal sets a flag, and loops check the flag between two pieces of work.

Slurm sends USR1 or USR2 ahead of the time limit and TERM at the limit; a person presses Ctrl-C. After the first
signal the current piece of work finishes and is saved. A second one stops at once, and so does a piece of work that
takes too long: a thread watches for both, since the main thread may be waiting within a library.
"""

import io
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from job.runtime.errors import EXIT_RESUMABLE, Resumable

# seconds: that a piece of work may take after a signal; after which a second signal is not the first one's echo (Slurm
# sends some twice); that a process that stops at once has for its last words
STUCK_SECONDS, _ECHO_SECONDS, _UNWIND_SECONDS = 10.0, 1.0, 10.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
_received: str | None = None
_received_at = 0.0
# the last call of `check`, and the seconds that it gives the next piece of work
_checked_at = _grace = 0.0
_at_once = False
_last_words: Callable[[str], None] | None = None


def _message() -> str:
    return f"stopped by {_received}; finished work is kept: run the same command again to continue"


def _handle(number: int, frame: FrameType | None) -> None:
    global _received, _received_at, _at_once
    if _at_once:
        # once: another one would raise while this one is on its way out, and leave the block half-way
        _at_once = False
        raise Resumable(_message())
    if _received is None:
        _received_at = time.monotonic()
    elif number == signal.SIGINT:
        # no library takes it for an error of its own
        raise KeyboardInterrupt
    # whatever comes before or after it: only a TERM may be a preemption
    if _received != signal.SIGTERM.name:
        _received = signal.Signals(number).name


@contextmanager
def stop_signals() -> Iterator[None]:
    """Within this block the stop signals set a flag instead of ending the process.

    Only the main thread can handle signals: in another thread the block changes nothing.

    Raises:
        Resumable: a second SIGINT.
    """
    global _received, _at_once
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received, _at_once = None, False
    read, write = os.pipe()
    os.set_blocking(write, False)
    watcher = threading.Thread(target=_watch, args=(read,), daemon=True)
    watcher.start()
    previous = {number: signal.signal(number, _handle) for number in _STOP_SIGNALS}
    # the kernel's own handler writes the signal's number there, even if no Python code runs in the main thread
    previous_fd = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield
    except KeyboardInterrupt:
        if _received is None:
            raise
        raise Resumable(_message()) from None
    finally:
        # the watcher may be about to send a signal, which must neither raise here nor find the handlers of before
        for number in previous:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(previous_fd)
        os.close(write)
        watcher.join()
        for number, handler in previous.items():
            signal.signal(number, handler)
        # a later run in a thread does not reset it
        _received, _at_once = None, False


@contextmanager
def last_words(say: Callable[[str], None]) -> Iterator[None]:
    """Within this block, `say(message)` is called before the process ends without leaving its blocks."""
    global _last_words
    _last_words = say
    try:
        yield
    finally:
        _last_words = None


def check(after: float = 0.0) -> None:
    """Raise `Resumable` if the first stop signal came at least `after` seconds ago.

    Call it wherever finished work has just been saved. Within a piece of work that may take longer than the sender of
    the signal waits, call it with the seconds that the piece is given to finish.
    """
    global _checked_at, _grace
    _checked_at, _grace = time.monotonic(), after
    if _received is not None and _checked_at - _received_at >= after:
        raise Resumable(_message())


def _watch(read: int) -> None:
    """Until the other end of the pipe is closed: stop the process where the main thread does not."""
    global _received
    first = None
    with os.fdopen(read, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], None if first is None else 0.25)
            numbers = pipe.read(64) if ready else b"."
            if not numbers:
                return
            stops = [number for number in _STOP_SIGNALS if number in numbers]
            now = time.monotonic()
            again = first is not None and now - first > _ECHO_SECONDS
            if first is None and stops:
                first = now
                name = stops[0].name
            stuck = first is not None and now - max(first, _checked_at) > max(STUCK_SECONDS, _grace)
            if stuck or (again and (signal.SIGTERM in stops or signal.SIGINT in stops)):
                _received = _received or name
                # a second INT has raised KeyboardInterrupt already, if Python code runs at all
                _stop_at_once(pipe, wake=signal.SIGINT not in stops)
                return


def _stop_at_once(pipe: io.RawIOBase, wake: bool) -> None:
    """Raise in the main thread; if that does not end the block in time, end the process."""
    global _at_once
    _at_once = True
    end = time.monotonic() + _UNWIND_SECONDS
    while (left := end - time.monotonic()) > 0:
        if wake and _at_once:
            # ends a call that waits, such as a read, and raises in the handler; one that comes just before such a call
            # ends nothing
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        ready, _, _ = select.select([pipe], [], [], min(left, 0.25))
        if ready and not pipe.read(64):
            return
    with suppress(Exception):
        sys.stderr.write(f"error: {_message()}\n")
        sys.stderr.flush()
        if _last_words is not None:
            _last_words(_message())
    os._exit(EXIT_RESUMABLE)
