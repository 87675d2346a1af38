"""Who runs in a folder: lock files that need an exclusive create and nothing else, so that they work on network file
systems; and what became of every process, for the others and for `status`. Where there are hard links, a lock file is
created with its content.

The lock NAME (`single`, or `rank-3-of-8`) is the newest of the files `locks/NAME.1`, `locks/NAME.2` and so on. Whoever
creates the next one has the lock. The file says which process that is, and at its end how it ended. A lock without an
end is dead if its process is gone (on this machine), if its Slurm job is gone or was started again, or else if its
heartbeat has not changed for `DEAD_SECONDS` while somebody watched: neither file times nor clocks are compared.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from job.runtime.errors import JobError
from job.runtime.files import sealed
from job.runtime.holders import Holder, State, ask_slurm, holders, machine, now, read, started
from job.runtime.log import logger
from job.runtime.ranks import Ranks, launch

# a lock of another machine is dead if its heartbeat, every BEAT_SECONDS, does not change for DEAD_SECONDS
BEAT_SECONDS, DEAD_SECONDS = 10.0, 90.0
_SQUEUE_SECONDS = 30.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


# of a process whose lock file is damaged
_UNKNOWN = {"process": 0, "host": "unknown", "since": "", "machine": "", "started": None, "launch": {}, "settings": {}}


class OthersFailed(JobError):
    """Other ranks ended without their work: this one stops because of them, with their exit code."""


class Watch:
    """Decides whether processes live, over time."""

    def __init__(self) -> None:
        self._beats: dict[Path, tuple[str, float]] = {}
        self._jobs: dict[str, tuple[str | None, float]] = {}

    def state(self, holder: Holder) -> State:
        """As `Holder.state`; an unsure one is decided by Slurm, or after `DEAD_SECONDS` of watching."""
        state = holder.state()
        if state != "unsure":
            return state
        job = self._job_state(holder)
        if job == "gone":
            return "died"
        if job == "SUSPENDED":
            return "running"
        now, beat = time.monotonic(), holder.beat()
        last, since = self._beats.get(holder.file, ("", now))
        if beat != last:
            known = holder.file in self._beats
            self._beats[holder.file] = (beat, now)
            return "running" if known else "unsure"
        self._beats.setdefault(holder.file, (beat, now))
        return "died" if now - since >= DEAD_SECONDS else "unsure"

    def _job_state(self, holder: Holder) -> str | None:
        """squeue's word for the holder's Slurm job, or `gone`; None: no idea, or it is ours."""
        job = holder.facts.get("launch", {}).get("slurm", "")
        if not job or job == launch().get("slurm"):
            return None
        state, asked = self._jobs.get(job, (None, float("-inf")))
        if time.monotonic() - asked >= _SQUEUE_SECONDS:
            state = ask_slurm(*job.split(":", 1))
            self._jobs[job] = (state, time.monotonic())
        return state

    def first_running(self, holders: Iterable[Holder]) -> Holder | None:
        """The first of these that lives; waits until it is known of all. None: all are dead or have ended."""
        open_ones, told = list(holders), False
        while open_ones:
            states = [(holder, self.state(holder)) for holder in open_ones]
            for holder, state in states:
                if state == "running":
                    return holder
            open_ones = [read(holder.file) for holder, state in states if state == "unsure"]
            if open_ones and not told:
                told = True
                logger.warning(
                    "run: %s has the lock %s: watching its heartbeat for %.0f s to see whether it lives",
                    open_ones[0],
                    open_ones[0].file,
                    DEAD_SECONDS,
                )
            if open_ones:
                time.sleep(min(1.0, DEAD_SECONDS / 10))
        return None


class Lock:
    """A lock that this process has, with its heartbeat. It ends with `end`."""

    def __init__(self, file: Path, facts: dict[str, Any]) -> None:
        self.file, self._facts, self._over = file, facts, threading.Event()
        self._heartbeat = self._start_heartbeat()
        threading.Thread(target=self._keep_heartbeat, daemon=True).start()

    def _start_heartbeat(self) -> "subprocess.Popen[bytes]":
        # Slurm sends signals to all processes of a step: the heartbeat lives until its parent ends
        old = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            beat = str(Path(__file__).with_name("heartbeat.py"))
            return subprocess.Popen(
                [sys.executable, "-S", "-E", beat, self.file, str(BEAT_SECONDS)], stdin=subprocess.PIPE
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)

    def _keep_heartbeat(self) -> None:
        """Start the heartbeat again where it was killed: without it, others would take this process for dead."""
        # it ends by itself where another process took the lock over
        while self._heartbeat.wait() and not self._over.wait(BEAT_SECONDS):
            logger.warning("run: the heartbeat of the lock %s was killed: starting it again", self.file)
            # no memory, or too many processes: at the next attempt
            with suppress(OSError):
                self._heartbeat = self._start_heartbeat()
                if self._over.is_set():
                    self._heartbeat.kill()

    @property
    def settings(self) -> Mapping[str, str]:
        """What other ranks compare with theirs."""
        settings: Mapping[str, str] = self._facts["settings"]
        return settings

    def note(self, settings: Mapping[str, str]) -> None:
        """Add settings for other ranks to compare with theirs."""
        self._facts["settings"] = {**self._facts["settings"], **settings}
        self._save()

    def stop_heartbeat(self) -> None:
        """From here on nothing says that this process lives."""
        self._over.set()
        self._heartbeat.kill()
        self._heartbeat.communicate()

    def end(self, code: int, message: str, others: bool = False) -> None:
        """Release the lock, and say how the process ended; `others`: because other ranks failed."""
        self.stop_heartbeat()
        self.file.with_name(f"{self.file.name}.beat").unlink(missing_ok=True)
        # the others' messages are in their own locks
        said = "other ranks failed" if others else message
        self._facts["ended"] = {"code": code, "message": said, "at": now(), "others": others}
        # a lock that another process took over is not ours to write
        if self.file.exists():
            # on a full disk too the process ends with its own error; that it is gone can be seen
            with suppress(OSError):
                self._save()

    def _save(self) -> None:
        _write_beside(self.file, self._facts).replace(self.file)


def acquire(folder: Path, ranks: Ranks, settings: Mapping[str, str]) -> Lock:
    """Take the lock of this process in `folder`, which exists. Locks of dead processes are taken over with a warning.

    Ranks of one world share the folder. A single process next to ranks, ranks of different worlds, and the same rank
    twice are refused.

    Raises:
        JobError: another run holds it; the message names the holder.
        OSError: the folder cannot be written.
    """
    name = "single" if ranks.single else f"rank-{ranks.rank}-of-{ranks.world}"
    (folder / "locks").mkdir(exist_ok=True)
    present = {holder.name: holder for holder in holders(folder)}
    against = [holder for holder in present.values() if _conflict(holder, name, ranks) and holder.state() != "ended"]
    living = Watch().first_running(against)
    if living is not None:
        raise _in_use(folder, living)
    for dead in against:
        logger.warning("run: taking over the lock of %s, which is dead (%s)", dead, dead.file)
        if dead.name != name:
            _create(dead, {**_UNKNOWN, **dead.facts, "ended": {"code": 1, "message": "died", "at": now()}})
    before = present.get(name) or Holder(folder / "locks" / f"{name}.0", name, 0, {})
    facts = _facts(settings)
    file = _create(before, facts)
    if file is None:
        raise _in_use(folder, "another process that started at the same moment")
    # two that start at the same moment under different names: at least one of them sees the other
    for other in holders(folder):
        if other.file != file and _conflict(other, name, ranks) and other.state() in ("running", "unsure"):
            file.unlink()
            raise _in_use(folder, other)
    return Lock(file, facts)


def _in_use(folder: Path, who: object) -> JobError:
    return JobError(
        f"run_dir = '{folder}' is in use by {who}: wait for that run to end, or give this one another run_dir"
    )


def _conflict(holder: Holder, name: str, ranks: Ranks) -> bool:
    return holder.name == name or holder.single or ranks.single or holder.world != ranks.world


def _create(before: Holder, facts: Mapping[str, Any]) -> Path | None:
    """The lock file that follows `before`, created by this process; None if another process was faster."""
    file = before.file.with_name(f"{before.name}.{before.generation + 1}")
    temporary = _write_beside(file, facts)
    try:
        file.hardlink_to(temporary)
    except FileExistsError:
        # NFS repeats a call whose answer was lost, and then says so of our own link
        if temporary.stat().st_nlink < 2:
            return None
    except OSError:
        # a file system without hard links: a kill between the two steps leaves an empty lock
        try:
            with file.open("x", encoding="utf-8") as new:
                new.write(temporary.read_text(encoding="utf-8"))
        except FileExistsError:
            return None
    finally:
        temporary.unlink(missing_ok=True)
    for old in file.parent.glob(f"{before.name}.*"):
        generation = old.name.removesuffix(".beat").rpartition(".")[2]
        if generation.isdigit() and int(generation) <= before.generation:
            old.unlink(missing_ok=True)
    return file


def _write_beside(file: Path, facts: Mapping[str, Any]) -> Path:
    """A temporary file next to the lock `file`, with its content."""
    writer = "-".join(file.name.partition(".")[0].split("-")[:2])
    temporary = file.with_name(f".{file.name}.{writer}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_text(json.dumps(sealed(facts), indent=1) + "\n", encoding="utf-8")
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _facts(settings: Mapping[str, str]) -> dict[str, Any]:
    return {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": now(),
        "at": time.time(),
        "machine": machine(),
        "started": started(os.getpid()),
        "launch": launch(),
        "settings": dict(settings),
    }
