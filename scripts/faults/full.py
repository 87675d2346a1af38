"""A disk without space: the n-th operation that takes some fails, alone or with all after it.

The run must not end as if it were done, but say in one line that there is no space; with space again the same command
must give the same answer.
"""

import random

from faults import check
from faults.bench import Bench, Result
from faults.shim import Fault

_TAKES_SPACE = ("open", "write", "mkdir", "truncate", "sync", "close")


def cases(bench: Bench, seed: int, every: int = 1) -> list[tuple[str, int]]:
    """Kinds `full` (it stays full) and `full-once`, one of them for each operation that takes space."""
    notes = bench.reference.notes
    numbers = [number for number, note in enumerate(notes, 1) if note.split(" ")[1] in _TAKES_SPACE]
    draw = random.Random(seed)
    found = [(draw.choice(("full", "full-once")), number) for number in numbers]
    draw.shuffle(found)
    return found[::every]


def carry_out(bench: Bench, kind: str, number: int) -> Result:
    """One full disk."""
    bench.clear()
    done = bench.run(Fault(kind, number))
    before = check.finished(bench.world.run) if done.code and bench.world.run.exists() else set()
    note = bench.reference.notes[number - 1].split(" ", 1)[1]
    early = []
    if done.code == 0:
        early = check.differences(bench.reference, check.state_of(bench.world))
    result = bench.go_on(f"{kind} {note}", number, 0, before)
    result.problems += [f"ends with 0, and {one}" for one in early]
    if done.code and (done.code != 75 or not check.is_plain_error(done)):
        result.problems.append(f"exit code {done.code}: {bench.general(done.error)[:300]}")
    return result
