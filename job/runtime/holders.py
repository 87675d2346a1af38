"""The processes that run or ran in a folder, as their lock files tell. `job.runtime.locks` takes these."""

import os
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from job.runtime.errors import EXIT_DONE
from job.runtime.files import read_sealed
from job.runtime.ranks import launch

# what every lock file has once it is written
_FACTS = {"process", "host", "since", "machine", "started", "launch"}

# when a process started that this user may not look at
HIDDEN = "hidden"

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
    def at(self) -> float:
        """Seconds since 1970 when it took the lock."""
        at = self.facts.get("at")
        if at is not None:
            return float(at)
        # as earlier versions wrote it
        try:
            return time.mktime(time.strptime(self.facts["since"], "%Y-%m-%d %H:%M:%S"))
        except (KeyError, ValueError):
            return 0.0

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
        if self.facts["machine"] == machine():
            since = started(self.facts["process"])
            return "unsure" if since == HIDDEN else "running" if since == self.facts["started"] else "died"
        mine, its = launch(), self.facts["launch"]
        if mine.get("slurm") and mine["slurm"] == its.get("slurm") and its["start"] < mine["start"]:
            return "died"  # Slurm starts a job again when all of it has ended
        return "unsure"


def holders(folder: Path) -> list[Holder]:
    """The newest file of every lock, by name."""
    newest: dict[str, tuple[int, Path]] = {}
    for path in folder.glob("locks/[!.]*"):
        name, _, generation = path.name.rpartition(".")
        if generation.isdigit():
            newest[name] = max(newest.get(name, (0, path)), (int(generation), path))
    return [read(path) for name, (_, path) in sorted(newest.items())]


def of_rank(folder: Path, rank: int, world: int) -> Holder | None:
    """The newest lock file of a rank."""
    files = [(int(path.suffix[1:]), path) for path in folder.glob(f"locks/rank-{rank}-of-{world}.*[0-9]")]
    return read(max(files)[1]) if files else None


def how_it_ended(holder: Holder) -> str:
    """One line on a process that failed or died: its exit code and message, and where its log is."""
    log = holder.file.parent.parent / holder.log
    if holder.ended is None:
        return f"{holder} died without a word (killed, out of memory, or its machine is gone; its log: {log})"
    return f"{holder} ended with {holder.ended['code']}: {holder.ended['message']} (its log: {log})"


def log_name(rank: int) -> str:
    """The name of the log of a rank in the run folder."""
    return "job.log" if rank == 0 else f"job.rank-{rank}.log"


def read(file: Path) -> Holder:
    name, _, generation = file.name.rpartition(".")
    facts = read_sealed(file)
    if not facts.keys() >= _FACTS:
        facts = {}
    return Holder(file, name, int(generation), facts)


def now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


@cache
def machine() -> str:
    """This boot of this machine and its process numbers: containers may have numbers of their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - not a path
    except OSError:
        return socket.gethostname()


def started(process: int) -> str | None:
    """When a process of this machine started; None if there is none, or only its corpse (a zombie); `HIDDEN`: there is
    one of another user, and `/proc` shows only one's own (its option `hidepid`)."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except OSError:
        has_proc = Path("/proc/self/stat").exists()
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return HIDDEN if has_proc else "running"
    # with /proc: it has just ended
    return None if has_proc else "running"


def ask_slurm(cluster: str, job: str) -> str | None:
    """The state of a job, `gone` if it does not run, None if Slurm does not answer or is another cluster. Where the
    clusters' names are not known, a job that it does not know may be of another one."""
    here = os.environ.get("SLURM_CLUSTER_NAME", "")
    if cluster and here and cluster != here:
        return None
    gone = "gone" if cluster and here else None
    try:
        done = subprocess.run(
            ["squeue", "--noheader", f"--jobs={job}", "--format=%T"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return gone if "Invalid job id" in done.stderr else None
    state = done.stdout.strip()
    return state if state in ("RUNNING", "SUSPENDED", "STOPPED", "COMPLETING", "STAGE_OUT", "SIGNALING") else gone
