"""The ranks of one launch, as one of them sees the others: do they have the same settings, and do they live?"""

import time
from collections.abc import Mapping
from pathlib import Path

from job.runtime.errors import EXIT_RESUMABLE, BadInput
from job.runtime.holders import Holder, holders, how_it_ended, of_rank
from job.runtime.locks import Lock, OthersFailed, Watch
from job.runtime.log import logger
from job.runtime.ranks import Ranks, launch

# between two looks at all the lock files
_LOOK_SECONDS = 10.0


class Team:
    """What this rank knows of the others. `lock` is its own, which has its settings."""

    def __init__(self, folder: Path, ranks: Ranks, lock: Lock) -> None:
        self._folder, self._ranks, self._lock = folder, ranks, lock
        # ranks that are set by hand may be tasks of several steps or jobs
        self._id = launch()["id"] if ranks.source.startswith("Slurm") else ""
        self._watch, self._looked = Watch(), float("-inf")
        self._before = {holder.name: holder.generation for holder in holders(folder)}
        self._told: set[Path] = set()

    def note(self, settings: Mapping[str, str]) -> None:
        """Add to this rank's settings what was not known when it took its lock."""
        self._lock.note(settings)

    def missing_leader(self) -> list[str]:
        """Rank 0, until it runs and this rank has compared its settings with its own; where nobody numbers launches,
        only if it runs already: it may have been started for a launch before.

        Raises:
            BadInput: rank 0 has other settings.
            OthersFailed: as `check`.
        """
        if not self._ranks.rank:
            return []
        self.check("run")
        leader = self._leader()
        if leader is None:
            return ["rank 0, which has not started"] if self._id else []
        return [] if self._compare(leader) else ["rank 0, which has just started"]

    def compare_all(self) -> None:
        """Compare this rank's settings with those of all ranks of this launch that have started.

        Raises:
            BadInput: one has others. Where it may be of a launch before, that is a warning.
        """
        for holder in holders(self._folder):
            if not holder.single and holder.world == self._ranks.world and self._of_this_launch(holder):
                try:
                    self._compare(holder)
                except BadInput as error:
                    if self._id or holder.state() == "running":
                        raise
                    logger.warning("run: if that rank still runs: %s", error)

    def check(self, what: str) -> None:
        """Look at the other ranks while waiting for them, not more often than every 10 s.

        Raises:
            BadInput: rank 0 has other settings.
            OthersFailed: ranks of this launch failed or died, and nobody will start only them again.
        """
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        if self._ranks.rank and (leader := self._leader()) is not None:
            self._compare(leader)
        self._check_alive(what)

    def _leader(self) -> Holder | None:
        leader = of_rank(self._folder, 0, self._ranks.world)
        return leader if leader is not None and self._of_this_launch(leader) else None

    def _of_this_launch(self, holder: Holder) -> bool:
        if self._id:
            return bool(holder.facts.get("launch", {}).get("id") == self._id)
        return holder.generation > self._before.get(holder.name, 0) or holder.state() in ("running", "unsure")

    def _compare(self, other: Holder) -> bool:
        """Whether another rank's settings are all there; they are compared with this rank's."""
        mine, its = self._lock.settings, other.settings
        differing = [key for key in mine if key in its and mine[key] != its[key]]
        if differing:
            lines = "; ".join(f"{key} = {mine[key]}, rank {other.rank} has {its[key]}" for key in differing[:5])
            more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
            raise BadInput(
                f"{self._ranks}: {lines}{more}: start all ranks with the same configuration, input, model and kind of "
                "device"
            )
        return set(mine) <= set(its)

    def _check_alive(self, what: str) -> None:
        ours = [
            holder
            for holder in holders(self._folder)
            if not holder.single and holder.world == self._ranks.world and self._of_this_launch(holder)
        ]
        lost = [holder for holder in ours if holder.failed or self._watch.state(holder) == "died"]
        # those that stopped because of others are no cause
        lost = [holder for holder in lost if not holder.because_of_others] or lost
        if not lost:
            return
        if not self._id:
            for holder in lost:
                if holder.file not in self._told:
                    self._told.add(holder.file)
                    logger.warning("%s: %s; start it again", what, how_it_ended(holder))
            return
        error = OthersFailed(
            f"{what}: {'; '.join(how_it_ended(holder) for holder in lost)}. Finished shards are kept: "
            "mend the cause, then run the same command again"
        )
        if all(holder.ended is None or holder.ended["code"] == EXIT_RESUMABLE for holder in lost):
            error.exit_code = EXIT_RESUMABLE
        raise error
