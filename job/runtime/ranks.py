"""Which share of a stage this process does: one process a GPU, no collectives, work split by number.

Ranks share nothing but the run folder. Whoever started them says who they are: the configuration, torchrun
(`RANK`, `WORLD_SIZE`) or a Slurm job step (`SLURM_PROCID`, `SLURM_STEP_NUM_TASKS`).
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from job.runtime import signals
from job.runtime.errors import BadInput, Resumable
from job.runtime.log import logger

T = TypeVar("T")

# batch scripts and salloc's shells are steps too, numbered from here up: one process for the whole job, whatever
# SLURM_NTASKS says (slurm.h: SLURM_MAX_NORMAL_STEP_ID)
_SLURM_SPECIAL_STEPS = 0xFFFFFFF0
# seconds between two looks at what other ranks have done
_LOOK = 1.0


@dataclass(frozen=True)
class Ranks:
    """This process is `rank` of `world`, from 0; `local` counts on this machine; `source` says who said so.

    Raises:
        BadInput: not 0 <= rank < world.
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
    def alone(self) -> bool:
        return self.world == 1

    def owner(self, number: int) -> int:
        """The rank that does the piece of work with this number: they are dealt out in turn."""
        return number % self.world

    def mine(self, items: Sequence[T]) -> list[T]:
        """This rank's share of `items`, in order: every item is in exactly one rank's share."""
        return list(items[self.rank :: self.world])


ALONE = Ranks()


def resolve_ranks(
    rank: int | None = None, world: int | None = None, environment: Mapping[str, str] = os.environ
) -> Ranks:
    """The configuration's `rank` and `world` where they are given, else torchrun's, else Slurm's, else one process.

    torchrun goes before Slurm, since it runs inside a Slurm task. A batch script, a shell of salloc and a
    `srun --pty bash` carry Slurm's variables without being one of many: only a job step counts, by its own size.

    Raises:
        BadInput: one is given without the other, or a variable that is no number.
    """
    if (rank is None) != (world is None):
        raise BadInput(f"ranks.rank = {rank}, ranks.world = {world}: set both or neither")
    if rank is not None and world is not None:
        return Ranks(rank, world, "ranks.rank, ranks.world", rank)
    if "RANK" in environment and "WORLD_SIZE" in environment:
        found = _number(environment, "RANK")
        local = _number(environment, "LOCAL_RANK") if "LOCAL_RANK" in environment else found
        return Ranks(found, _number(environment, "WORLD_SIZE"), "torchrun: RANK, WORLD_SIZE", local)
    if "SLURM_PROCID" in environment and "SLURM_NTASKS" in environment and _one_of_many(environment):
        size = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in environment else "SLURM_NTASKS"
        found = _number(environment, "SLURM_PROCID")
        local = _number(environment, "SLURM_LOCALID") if "SLURM_LOCALID" in environment else found
        return Ranks(found, _number(environment, size), f"Slurm: SLURM_PROCID, {size}", local)
    return ALONE


def wait_for(what: str, missing: Callable[[], list[str]], patience: float) -> None:
    """Return once nothing is `missing`; it is asked for every second or so.

    Raises:
        Resumable: a stop signal came, or what is missing has not changed for `patience` seconds; it is named.
    """
    seen, since = missing(), time.monotonic()
    if seen:
        logger.info("%s: waiting for other ranks: %s", what, "; ".join(seen))
    while seen:
        signals.check()
        time.sleep(min(_LOOK, patience))
        now = missing()
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since >= patience:
            raise Resumable(
                f"{what}: waited {patience:,.0f} s (ranks.wait) for other ranks without progress; still missing: "
                f"{'; '.join(seen)}: start those ranks again, or give the same command as one process"
            )


def _one_of_many(environment: Mapping[str, str]) -> bool:
    """Whether Slurm started this process as a task of a step, not as the script or shell of the whole job."""
    if "SLURM_STEP_ID" in environment:
        return _number(environment, "SLURM_STEP_ID") < _SLURM_SPECIAL_STEPS
    return "SLURM_JOB_ID" not in environment


def _number(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except ValueError:
        raise BadInput(
            f"{name} = '{environment[name]}' in the environment: expected a number; "
            "unset it, or set ranks.rank and ranks.world"
        ) from None
