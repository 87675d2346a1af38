"""What every server that a test starts on this machine needs: ports, and an end with the process that started it."""

import contextlib
import ctypes
import random
import signal
import socket

_PR_SET_PDEATHSIG = 1


def free_ports(count: int) -> list[int]:
    """Ports below the range that outgoing connections get theirs from: one of those could take a port before the
    server does."""
    free: list[int] = []
    choose = random.SystemRandom().randrange
    while len(free) < count:
        port = choose(10_000, 32_768)
        with contextlib.suppress(OSError), socket.socket() as trial:
            trial.bind(("127.0.0.1", port))
            free += [port] * (port not in free)
    return free


def die_with_parent() -> None:
    """For `preexec_fn`: a test run that is killed leaves no server behind. Linux ends the server with the thread that
    started it, so start it in one that outlives it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
