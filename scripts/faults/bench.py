"""One worker's place for trials: a world, the reference run in it, and the steps that all parts share."""

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from faults import check, forks
from faults.check import State
from faults.forks import Outcome
from faults.shim import Fault
from faults.world import World


@dataclass
class Result:
    """One trial. `what`: the fault and where it hit. `kills`: processes killed. `problems`: empty where all is well.
    `again`: how often the command was given before it ended with 0. `remarks`: allowed, but to be counted. `seconds`:
    of the whole trial."""

    what: str
    number: int
    kills: int = 0
    problems: list[str] = field(default_factory=list)
    again: int = 0
    remarks: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def line(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)


class Bench:
    """A world with the state of a run that nothing happened to, and a copy of its folder."""

    reference: State
    # of a run that nothing happens to
    seconds: float

    def __init__(self, world: World) -> None:
        self.world = world
        name = re.sub(r"\W+", "-", "-".join(("saved", *world.settings)))
        self.saved = world.base / name

    def refer(self) -> Outcome:
        """Make the reference run in an empty folder, and keep a copy of its folder."""
        self.clear()
        done = self.run(Fault("count"))
        assert done.code == 0, done.said
        shutil.rmtree(self.saved, ignore_errors=True)
        shutil.copytree(self.world.run, self.saved)
        self.reference, self.seconds = check.state_of(self.world, done), done.seconds
        return done

    def clear(self) -> None:
        """An empty world: no run folder."""
        shutil.rmtree(self.world.run, ignore_errors=True)

    def restore(self) -> None:
        """The finished run's folder, with its times."""
        forks.restore(self.saved, self.world.run)

    def run(self, fault: Fault | None = None, *settings: str) -> Outcome:
        return forks.run(self.world.words(*settings), self.world.scratch, self.world.run, fault)

    def command(self, *words: str, fault: Fault | None = None) -> Outcome:
        return forks.run(list(words), self.world.scratch, self.world.run, fault)

    def go_on(
        self, what: str, number: int, kills: int, before: Iterable[str] = (), expected: State | None = None
    ) -> Result:
        """Give the same command until it ends with 0, at most three times where it ends with 75, and compare."""
        result = Result(what, number, kills)
        done = self.run(Fault("count"))
        while done.code == 75 and result.again < 3:
            result.again += 1
            result.remarks.append(f"75: {self.general(done.error)}")
            done = self.run(Fault("count"))
        if done.code != 0:
            result.problems = [f"exit code {done.code}: {done.error}"]
            return result
        again = check.redone(before, self.world.run, done.notes)
        result.problems = [f"done again: {', '.join(again)}"] if again and not result.again else []
        result.problems += check.differences(expected or self.reference, check.state_of(self.world))
        return result

    def general(self, message: str) -> str:
        """A message without what differs from trial to trial."""
        return re.sub(r"\.[0-9a-f]{8}\.|\d{4,}", "N", message.replace(str(self.world.base), "…"))
