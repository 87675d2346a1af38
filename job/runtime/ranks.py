"""Which share of a stage this process does: one process per GPU, no collectives, work split by number.

Ranks share only the run folder. Their numbers come from the configuration, from torchrun (`RANK`, `WORLD_SIZE`) or
from a Slurm job step (`SLURM_PROCID`, `SLURM_STEP_NUM_TASKS`).
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from job.runtime import signals
from job.runtime.errors import BadInput, Resumable
from job.runtime.log import logger

T = TypeVar("T")

# batch scripts and salloc's shells are steps too, with numbers from here up: each is one process for the whole job,
# whatever SLURM_NTASKS says (slurm.h: SLURM_MAX_NORMAL_STEP_ID)
_FIRST_SPECIAL_STEP = 0xFFFFFFF0
# seconds between two checks of the other ranks' work
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Ranks:
    """This process is `rank` of `world`, from 0; `local` counts on this machine; `source` says who set the numbers.

    Raises:
        BadInput: unless 0 <= rank < world.
    """

    rank: int = 0
    world: int = 1
    source: str = "one process"
    local: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world:
            raise BadInput(f"rank {self.rank} of {self.world} ({self.source}): ranks count from 0 to world - 1")

    def __str__(self) -> str:
        return f"rank {self.rank} of {self.world}"

    @property
    def single(self) -> bool:
        """Whether this is the only process."""
        return self.world == 1

    def owner(self, number: int) -> int:
        """The rank that does the piece of work with this number: pieces go to the ranks in turn."""
        return number % self.world

    def share_of(self, items: Sequence[T]) -> list[T]:
        """This rank's share of `items`, in order; every item is in exactly one rank's share."""
        return list(items[self.rank :: self.world])


ONE_PROCESS = Ranks()


def resolve_ranks(
    rank: int | None = None, world: int | None = None, environment: Mapping[str, str] = os.environ
) -> Ranks:
    """The configuration's `rank` and `world` if both are set, else torchrun's, else Slurm's, else one process.

    torchrun comes before Slurm, since it runs inside a Slurm task. A batch script, a shell of salloc and
    `srun --pty bash` have Slurm's variables but are not one of several tasks: only a job step counts, with its own
    number of tasks.

    Raises:
        BadInput: a variable is not a number.
    """
    if rank is not None and world is not None:
        return Ranks(rank, world, "ranks.rank, ranks.world", rank)
    if "RANK" in environment and "WORLD_SIZE" in environment:
        found = _read_number(environment, "RANK")
        local = _read_number(environment, "LOCAL_RANK") if "LOCAL_RANK" in environment else found
        return Ranks(found, _read_number(environment, "WORLD_SIZE"), "torchrun: RANK, WORLD_SIZE", local)
    if "SLURM_PROCID" in environment and "SLURM_NTASKS" in environment and _is_task_of_step(environment):
        size = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in environment else "SLURM_NTASKS"
        found = _read_number(environment, "SLURM_PROCID")
        local = _read_number(environment, "SLURM_LOCALID") if "SLURM_LOCALID" in environment else found
        return Ranks(found, _read_number(environment, size), f"Slurm: SLURM_PROCID, {size}", local)
    return ONE_PROCESS


def launch() -> dict[str, Any]:
    """What tells one start of all ranks from a start before: `id`, equal for all tasks of a Slurm step, and empty where
    nobody numbers starts (torchrun's run id is not unique); under Slurm also `slurm` (cluster:job) and `start`, which
    counts requeues."""
    environment = os.environ
    if "SLURM_JOB_ID" in environment:
        job = f"{environment.get('SLURM_CLUSTER_NAME', '')}:{environment['SLURM_JOB_ID']}"
        start = _read_number(environment, "SLURM_RESTART_COUNT") if "SLURM_RESTART_COUNT" in environment else 0
        step = environment.get("SLURM_STEP_ID", "")
        found = f"{job}.{step} start {start}" if _is_task_of_step(environment) else ""
        return {"id": found, "slurm": job, "start": start}
    return {"id": ""}


def wait_for(what: str, missing: Callable[[], list[str]], patience: float, ranks: Ranks = ONE_PROCESS) -> None:
    """Return once `missing()` is empty; it is called about once per second, more rarely where many ranks ask.

    Raises:
        Resumable: a stop signal came, or `missing()` has not changed for `patience` seconds; the message lists it.
    """
    seen, since = missing(), time.monotonic()
    if seen:
        logger.info("%s: waiting for other ranks: %s", what, "; ".join(seen))
    while seen:
        signals.check()
        time.sleep(min(_POLL_SECONDS * max(1.0, ranks.world / 8), patience))
        now = missing()
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since >= patience:
            raise Resumable(
                f"{what}: waited {patience:,.0f} s (ranks.wait) for other ranks without progress; still missing: "
                f"{'; '.join(seen)}: start those ranks again, or run the same command as one process"
            )


def _is_task_of_step(environment: Mapping[str, str]) -> bool:
    """Whether Slurm started this process as a task of a job step, not as the script or shell of the whole job."""
    if "SLURM_STEP_ID" in environment:
        return _read_number(environment, "SLURM_STEP_ID") < _FIRST_SPECIAL_STEP
    return "SLURM_JOB_ID" not in environment


def _read_number(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except ValueError:
        raise BadInput(
            f"{name} = '{environment[name]}' in the environment: expected a number; "
            "unset it, or set ranks.rank and ranks.world"
        ) from None
