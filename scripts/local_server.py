"""What every server that a test starts on this machine needs: ports, and an end with the process that started it."""

import contextlib
import os
import random
import socket
import sys
from collections.abc import Sequence

# 1 is PR_SET_PDEATHSIG, 9 is SIGKILL; the parent may have ended before
_DIE_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


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


def dies_with_parent(command: Sequence[str]) -> list[str]:
    """The command to start instead, so that a test run that is killed leaves no server behind. Linux ends the server
    with the thread that started it, so start it in one that outlives it.

    A `preexec_fn` could do the same, but not beside the threads of gRPC, which pymilvus starts: the child crashes or
    hangs.
    """
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
