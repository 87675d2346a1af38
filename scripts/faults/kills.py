"""Kill a run before each of its file operations; the same command again must give the same answer."""

import random

from faults import check
from faults.bench import Bench, Result
from faults.shim import Fault

# kills in a row, of the run and of those that go on with it
_CHAIN = 4


def cases(bench: Bench, seed: int, every: int = 1) -> list[tuple[str, int]]:
    """Kills before all operations, half-done writes, and chains: kinds and operation numbers."""
    total = len(bench.reference.notes)
    draw = random.Random(seed)
    whole = [("kill", number) for number in range(1, total + 1)]
    writes = [number for number, note in enumerate(bench.reference.notes, 1) if note.split(" ")[1] == "write"]
    torn = [("torn", number) for number in draw.sample(writes, len(writes) // 4)]
    chains = [("chain", draw.randrange(1, total)) for _ in range(total // 10)]
    found = [*whole, *torn, *chains]
    draw.shuffle(found)
    return found[::every]


def carry_out(bench: Bench, kind: str, number: int) -> Result:
    """One case, from an empty folder."""
    bench.clear()
    kills, draw = 0, random.Random(number)
    where = ""
    for attempt in range(_CHAIN if kind == "chain" else 1):
        at = number if not attempt else 1 + int(draw.random() ** 2 * 400)
        done = bench.run(Fault("torn" if kind == "torn" else "kill", at))
        if done.code != -9:
            if attempt:
                break
            return Result(kind, number, kills, ["the operation did not come"])
        kills += 1
        where = done.notes[-1].split(" ", 1)[1] if done.notes else "?"
    before = check.finished(bench.world.run) if bench.world.run.exists() else set()
    return bench.go_on(f"{kind} {where}", number, kills, before)
