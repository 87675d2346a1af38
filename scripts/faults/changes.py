"""Kill a run with other settings, a run with other headlines, and a recut, in the folder of a finished run.

Then the same command again must give the answer of those settings or headlines, or the run of before its own answer.
"""

import random

from faults import check
from faults.bench import Bench, Result
from faults.damage import RECUT
from faults.shim import Fault
from faults.world import headlines, write_input

SETTINGS = (
    "embed.max_length=20",
    "embed.shard_rows=24",
    "neighbors.k=18",
    "cluster.min_samples=3",
    "project.min_dist=0.2",
    "report.title=Another title",
)


def _other_headlines(bench: Bench) -> tuple[str, ...]:
    """Settings for an input that shares most headlines with the run of before, whose vectors are kept."""
    path = bench.world.base / "other.csv"
    rows = headlines()
    write_input(path, [*rows[10:], {**rows[2], "title": "Another headline by itself"}])
    return (f"input.path={path}", "embed.sparse=false")


class _Expected:
    """The answers of the settings, made once per worker; `operations`: file operations of the three commands."""

    def __init__(self, bench: Bench) -> None:
        bench.clear()
        assert bench.run(None, *SETTINGS).code == 0
        self.changed = check.state_of(bench.world)
        bench.restore()
        self.operations = {"changed": len(bench.run(Fault("count"), *SETTINGS).notes)}
        bench.restore()
        self.other = _other_headlines(bench)
        done = bench.run(Fault("count"), *self.other)
        assert done.code == 0, done.said
        self.answer = check.state_of(bench.world)
        self.operations["other headlines"] = len(done.notes)
        bench.restore()
        done = bench.command("recut", str(bench.world.run), RECUT, fault=Fault("count"))
        assert done.code == 0, done.said
        self.recut = check.state_of(bench.world)
        self.operations["recut"] = len(done.notes)


_made: dict[int, _Expected] = {}


def _of(bench: Bench) -> _Expected:
    if id(bench) not in _made:
        _made[id(bench)] = _Expected(bench)
    return _made[id(bench)]


def cases(bench: Bench, seed: int, every: int = 1) -> list[tuple[str, int]]:
    """`changed`, `other headlines` or `recut`, and whether the same command follows or the one of before; the
    operation's number."""
    draw = random.Random(seed)
    found = [
        (f"{command}, then {draw.choice(('again', 'back'))}", number)
        for command, total in _of(bench).operations.items()
        for number in range(1, total + 1)
    ]
    draw.shuffle(found)
    return found[::every]


def carry_out(bench: Bench, kind: str, number: int) -> Result:
    """One kill."""
    expected = _of(bench)
    bench.restore()
    run = str(bench.world.run)
    recuts, back = kind.startswith("recut"), kind.endswith("back")
    settings = expected.other if kind.startswith("other") else SETTINGS
    if recuts:
        killed = bench.command("recut", run, RECUT, fault=Fault("kill", number))
    else:
        killed = bench.run(Fault("kill", number), *settings)
    where = killed.notes[-1].split(" ", 1)[1] if killed.notes else "?"
    result = Result(f"{kind}: {where}", number, int(killed.code == -9))
    if recuts and not back:
        done, state = bench.command("recut", run, RECUT), expected.recut
    elif back:
        done, state = bench.run(), bench.reference
    else:
        done = bench.run(None, *settings)
        state = expected.changed if settings is SETTINGS else expected.answer
    if done.code != 0:
        # a recut that was killed while it took its stages back asks for `run`
        plain = recuts and not back and done.code == 2 and check.is_plain_error(done)
        (result.remarks if plain else result.problems).append(f"{done.code}: {bench.general(done.error)}")
        return result
    result.problems = [
        one for one in check.differences(state, check.state_of(bench.world)) if not one.startswith("file missing: ")
    ]
    return result
