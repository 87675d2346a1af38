"""A process beside a run that writes a growing number to a file, so that other machines see that the run lives.

It is a process of its own because compiled loops hold Python's interpreter lock for minutes. It imports nothing of
the job, so that it starts in milliseconds. It ends with its parent: then its standard input closes.

    python heartbeat.py LOCK_FILE SECONDS
"""

import os
import select
import signal
import sys
import time
from pathlib import Path


def beat(lock: Path, seconds: float) -> None:
    """Write to `lock`.beat every `seconds`; if another process took the lock over, stop the parent with SIGTERM."""
    parent, count = os.getppid(), 0
    name, _, generation = lock.name.rpartition(".")
    while os.getppid() == parent:
        try:
            lock.with_name(f"{lock.name}.beat").write_text(f"{count} {time.time():.0f}\n")
            newer = [path for path in lock.parent.glob(f"{name}.*") if _generation(path) > int(generation)]
        except OSError:  # a full disk or a server that hangs: the next beat may succeed
            newer = []
        if newer:
            sys.stderr.write(f"error: {newer[0].name} took over the lock {lock}: stopping this process\n")
            os.kill(parent, signal.SIGTERM)
            return
        count += 1
        if select.select([sys.stdin], [], [], seconds)[0]:
            return


def _generation(path: Path) -> int:
    last = path.name.rpartition(".")[2]
    return int(last) if last.isdigit() else 0


if __name__ == "__main__":
    beat(Path(sys.argv[1]), float(sys.argv[2]))
