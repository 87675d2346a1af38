"""Who runs in a folder: lock files that need an exclusive create and nothing else, so that they work on network file
systems; and what became of every process, for the others and for `status`.

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
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from job.runtime.errors import EXIT_DONE, JobError
from job.runtime.log import logger
from job.runtime.ranks import Ranks, launch

# a lock of another machine is dead if its heartbeat, every BEAT_SECONDS, does not change for DEAD_SECONDS
BEAT_SECONDS, DEAD_SECONDS = 10.0, 90.0
_SQUEUE_SECONDS = 30.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

State = Literal["running", "ended", "died", "unsure"]


@dataclass(frozen=True)
class Holder:
    """A lock file: who has, or had, the lock `name`. `facts` is empty while the file is being written."""

    file: Path
    name: str
    generation: int
    facts: Mapping[str, Any]

    def __str__(self) -> str:
        if not self.facts:
            return f"a process that is starting ({self.file.name})"
        which = "" if self.single else f"rank {self.rank} of {self.world}, "
        return f"{which}process {self.facts['process']} on {self.facts['host']} since {self.facts['since']}"

    @property
    def single(self) -> bool:
        return self.name == "single"

    @property
    def rank(self) -> int:
        return 0 if self.single else int(self.name.split("-")[1])

    @property
    def world(self) -> int:
        return 1 if self.single else int(self.name.split("-")[3])

    @property
    def ended(self) -> Mapping[str, Any] | None:
        """`code`, `message` and `at`, once the process has ended in an orderly way."""
        return self.facts.get("ended")

    @property
    def failed(self) -> bool:
        return self.ended is not None and self.ended["code"] != EXIT_DONE

    @property
    def because_of_others(self) -> bool:
        """Whether the process ended because other ranks had failed."""
        return self.ended is not None and bool(self.ended.get("others"))

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.facts.get("settings") or {}

    @property
    def log(self) -> str:
        return log_name(self.rank)

    def beat(self) -> str:
        """What the heartbeat wrote last: its number, and the seconds since 1970 on its machine's clock."""
        try:
            return self.file.with_name(f"{self.file.name}.beat").read_text()
        except OSError:
            return ""

    def state(self) -> State:
        """`unsure`: only its heartbeat can tell (see `Watch`)."""
        if self.ended is not None:
            return "ended"
        if not self.facts:
            return "unsure"
        if self.facts["machine"] == _machine():
            return "running" if _started(self.facts["process"]) == self.facts["started"] else "died"
        mine, its = launch(), self.facts["launch"]
        if mine.get("slurm") and mine["slurm"] == its.get("slurm") and its["start"] < mine["start"]:
            return "died"  # Slurm starts a job again when all of it has ended
        return "unsure"


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
            state = _ask_slurm(*job.split(":", 1))
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
            open_ones = [_read(holder.file) for holder, state in states if state == "unsure"]
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
        self.file, self._facts = file, facts
        self._save()
        # Slurm sends signals to all processes of a step: the heartbeat lives until its parent ends
        old = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            self._heartbeat = subprocess.Popen(
                [sys.executable, "-S", "-E", str(Path(__file__).with_name("heartbeat.py")), file, str(BEAT_SECONDS)],
                stdin=subprocess.PIPE,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)

    @property
    def settings(self) -> Mapping[str, str]:
        """What other ranks compare with theirs."""
        settings: Mapping[str, str] = self._facts["settings"]
        return settings

    def note(self, settings: Mapping[str, str]) -> None:
        """Add settings for other ranks to compare with theirs."""
        self._facts["settings"] = {**self._facts["settings"], **settings}
        self._save()

    def end(self, code: int, message: str, others: bool = False) -> None:
        """Release the lock, and say how the process ended; `others`: because other ranks failed."""
        self._heartbeat.kill()
        self._heartbeat.communicate()
        self.file.with_name(f"{self.file.name}.beat").unlink(missing_ok=True)
        # the others' messages are in their own locks
        said = "other ranks failed" if others else message
        self._facts["ended"] = {"code": code, "message": said, "at": _now(), "others": others}
        # a lock that another process took over is not ours to write
        if self.file.exists():
            self._save()

    def _save(self) -> None:
        writer = "-".join(self.file.name.partition(".")[0].split("-")[:2])
        temporary = self.file.with_name(f".{self.file.name}.{writer}.{secrets.token_hex(4)}.tmp")
        temporary.write_text(json.dumps(self._facts, indent=1) + "\n", encoding="utf-8")
        temporary.replace(self.file)


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
            _create(dead, {**dead.facts, "ended": {"code": 1, "message": "died", "at": _now()}})
    before = present.get(name) or Holder(folder / "locks" / f"{name}.0", name, 0, {})
    file = _create(before, {})
    if file is None:
        raise _in_use(folder, "another process that started at the same moment")
    # two that start at the same moment under different names: at least one of them sees the other
    for other in holders(folder):
        if other.file != file and _conflict(other, name, ranks) and other.state() in ("running", "unsure"):
            file.unlink()
            raise _in_use(folder, other)
    return Lock(file, _facts(ranks, settings))


def holders(folder: Path) -> list[Holder]:
    """The newest file of every lock, by name."""
    newest: dict[str, tuple[int, Path]] = {}
    for path in folder.glob("locks/[!.]*"):
        name, _, generation = path.name.rpartition(".")
        if generation.isdigit():
            newest[name] = max(newest.get(name, (0, path)), (int(generation), path))
    return [_read(path) for name, (_, path) in sorted(newest.items())]


def of_rank(folder: Path, rank: int, world: int) -> Holder | None:
    """The newest lock file of a rank."""
    files = [(int(path.suffix[1:]), path) for path in folder.glob(f"locks/rank-{rank}-of-{world}.*[0-9]")]
    return _read(max(files)[1]) if files else None


def how_it_ended(holder: Holder) -> str:
    """One line on a process that failed or died: its exit code and message, and where its log is."""
    log = holder.file.parent.parent / holder.log
    if holder.ended is None:
        return f"{holder} died without a word (killed, out of memory, or its machine is gone; its log: {log})"
    return f"{holder} ended with {holder.ended['code']}: {holder.ended['message']} (its log: {log})"


def log_name(rank: int) -> str:
    """The name of the log of a rank in the run folder."""
    return "job.log" if rank == 0 else f"job.rank-{rank}.log"


def _in_use(folder: Path, who: object) -> JobError:
    return JobError(
        f"run_dir = '{folder}' is in use by {who}: wait for that run to end, or give this one another run_dir"
    )


def _conflict(holder: Holder, name: str, ranks: Ranks) -> bool:
    return holder.name == name or holder.single or ranks.single or holder.world != ranks.world


def _create(before: Holder, facts: Mapping[str, Any]) -> Path | None:
    """The lock file that follows `before`, created by this process; None if another process was faster."""
    file = before.file.with_name(f"{before.name}.{before.generation + 1}")
    try:
        with file.open("x", encoding="utf-8") as new:
            if facts:
                json.dump(facts, new)
    except FileExistsError:
        return None
    for old in file.parent.glob(f"{before.name}.*"):
        generation = old.name.removesuffix(".beat").rpartition(".")[2]
        if generation.isdigit() and int(generation) <= before.generation:
            old.unlink(missing_ok=True)
    return file


def _read(file: Path) -> Holder:
    name, _, generation = file.name.rpartition(".")
    try:
        facts = json.loads(file.read_text(encoding="utf-8") or "{}")
    except (OSError, ValueError):
        facts = {}
    return Holder(file, name, int(generation), facts)


def _facts(ranks: Ranks, settings: Mapping[str, str]) -> dict[str, Any]:
    return {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": _now(),
        "machine": _machine(),
        "started": _started(os.getpid()),
        "launch": launch(),
        "settings": dict(settings),
    }


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


@cache
def _machine() -> str:
    """This boot of this machine and its process numbers: containers may have numbers of their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - not a path
    except OSError:
        return socket.gethostname()


def _started(process: int) -> str | None:
    """When a process of this machine started; None if there is none, or only its corpse (a zombie)."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "running"


def _ask_slurm(cluster: str, job: str) -> str | None:
    """The state of a job, `gone` if it does not run, None if Slurm does not answer or is another cluster."""
    if cluster != os.environ.get("SLURM_CLUSTER_NAME", cluster):
        return None
    try:
        done = subprocess.run(
            ["squeue", "--noheader", f"--jobs={job}", "--format=%T"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return "gone" if "Invalid job id" in done.stderr else None
    state = done.stdout.strip()
    return state if state in ("RUNNING", "SUSPENDED", "STOPPED", "COMPLETING", "STAGE_OUT", "SIGNALING") else "gone"
