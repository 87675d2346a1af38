"""Damage every file of a finished and of half-done run folders; nothing may then end with 0 and another answer.

Each file is cut to half, emptied, zeroed, deleted, or has one byte flipped, with and without a new time of change. Then
the same command, the same with other settings for the later stages, and the commands that read the folder.
"""

import os
import random
import re
import shutil
from pathlib import Path

from faults import check, forks, world
from faults.bench import Bench, Result
from faults.check import State
from faults.forks import Outcome
from faults.shim import Fault
from job.runtime.files import digest_file

KINDS = ("half", "empty", "zeros", "deleted", "flip", "flip-old-time")
# all stages from `cluster` on are done again
CHANGED = ("stories.words=0.2", "cluster.min_samples=3", "project.min_dist=0.2", "report.title=Another title")
# the neighbors are searched again
SEARCHED = ("neighbors.k=18",)
RECUT = "smallest_story=5"
EXPORTS = ("atlas", "bertopic", "jsonl", "csv")
# stages after which a run is killed, and stages in whose middle it is killed
_AFTER = ("ingest", "embed", "store", "neighbors", "cluster", "merge", "stories", "themes", "project", "describe")
_WITHIN = ("rename /embeddings/00001.json", "rename /neighbors/00001.json", "write /store_done.txt")


class Damage:
    """The undamaged answers to compare with, made once per worker."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.changed, self.searched = self._new_run(CHANGED), self._new_run(SEARCHED)
        self.new = bench.world.base / "new.csv"
        rows = world.headlines()
        world.write_input(self.new, [{**row, "title": f"{row['title']} again"} for row in rows[:12]] + rows[:3])
        bench.restore()
        self.reading = {name: self.read(name) for name in ("status", "assign", *EXPORTS)}
        assert all(done.code == 0 for done, _ in self.reading.values()), self.reading
        recut = self.recut()
        assert recut.code == 0, recut.said
        self.recut_state = check.state_of(bench.world)

    def _new_run(self, settings: tuple[str, ...]) -> State:
        self.bench.clear()
        done = self.bench.run(None, *settings)
        assert done.code == 0, done.said
        return check.state_of(self.bench.world)

    def read(self, name: str) -> tuple[Outcome, dict[str, str]]:
        """A command that only reads the run folder, and the digests of what it wrote elsewhere."""
        run, out = str(self.bench.world.run), self.bench.world.base / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        if name == "status":
            done = self.bench.command("status", run)
        elif name == "assign":
            done = self.bench.command("assign", run, str(self.new), "--output", str(out / "new.csv"))
        else:
            done = self.bench.command("export", run, "--to", name, "--output", str(out))
        return done, {str(path.relative_to(out)): digest_file(path) for path in out.rglob("*") if path.is_file()}

    def recut(self) -> Outcome:
        return self.bench.command("recut", str(self.bench.world.run), RECUT)


_made: dict[int, Damage] = {}


def _of(bench: Bench) -> Damage:
    if id(bench) not in _made:
        _made[id(bench)] = Damage(bench)
    return _made[id(bench)]


def cases(bench: Bench, seed: int, every: int = 1, milvus: bool = False) -> list[tuple[str, str, str]]:
    """Where (`finished`, or the operation after which the run was killed), the file, the kind of damage.

    `milvus`: the files of Milvus Lite's database, else all others.
    """
    draw = random.Random(seed)
    files = sorted(str(path.relative_to(bench.saved)) for path in bench.saved.rglob("*") if path.is_file())
    files = [name for name in files if name.startswith("milvus.db/") == milvus]
    found = [("finished", name, kind) for name in files for kind in KINDS]
    for place in (*(f"rename /markers/{stage}.json" for stage in _AFTER), *_WITHIN):
        found += [(place, name, draw.choice(KINDS)) for name in files]
    draw.shuffle(found)
    return [("finished", "", "none"), *found[::every]]


def carry_out(bench: Bench, place: str, name: str, kind: str) -> Result:
    """All commands after one damage. A file that is not there yet in a half-done folder counts as no trial."""
    seed = f"{place} {name} {kind}"
    return _finished(bench, name, kind, seed) if place == "finished" else _half_done(bench, place, name, kind, seed)


def _finished(bench: Bench, name: str, kind: str, seed: str) -> Result:
    damage = _of(bench)
    result = Result(f"finished: {name} {kind}", 0)
    _prepare(bench, name, kind, seed)
    for command, (_, expected) in damage.reading.items():
        done, found = damage.read(command)
        _judge(result, command, done, found == expected)
    _prepare(bench, name, kind, seed)
    done = damage.recut()
    # it reads no file of `embed` and `store`, so it does not mend them
    said = check.answer_differs(damage.recut_state, check.state_of(bench.world)) if done.code == 0 else []
    _judge(result, "recut", done, not said, said)
    for command, settings, state in (
        ("run", (), bench.reference),
        ("changed", CHANGED, damage.changed),
        ("searched", SEARCHED, damage.searched),
    ):
        _prepare(bench, name, kind, seed)
        _run(result, bench, command, settings, state)
    return result


def _half_done(bench: Bench, place: str, name: str, kind: str, seed: str) -> Result:
    result = Result(f"half-done {place}: {name} {kind}", 0)
    saved = bench.world.base / f"saved-{re.sub('[^a-z0-9]', '-', place)}"
    if not saved.exists():
        bench.clear()
        number = next(int(note.split(" ")[0]) for note in bench.reference.notes if note.split(" ", 1)[1] == place)
        # the number differs by a few from run to run
        killed = bench.run(Fault("kill", number + 1))
        result.kills = 1
        assert killed.code == -9, killed.said
        shutil.copytree(bench.world.run, saved)
    forks.restore(saved, bench.world.run)
    if not (bench.world.run / name).is_file():
        result.what = "half-done, file not there yet"
        return result
    spoil(bench.world.run / name, kind, seed)
    _run(result, bench, "run", (), bench.reference)
    return result


def _prepare(bench: Bench, name: str, kind: str, seed: str) -> None:
    bench.restore()
    if kind != "none":
        spoil(bench.world.run / name, kind, seed)


def _run(result: Result, bench: Bench, command: str, settings: tuple[str, ...], state: State) -> None:
    done = bench.run(None, *settings)
    while done.code == 75 and result.again < 3:
        result.again += 1
        result.remarks.append(f"{command}: 75: {bench.general(done.error)}")
        done = bench.run(None, *settings)
    said = check.differences(state, check.state_of(bench.world)) if done.code == 0 else []
    # a file that nothing needed need not be made again; what Milvus got again is searched again: `store` counts that
    said = [one for one in said if not one.startswith("file missing: ")]
    if "file too many: rewrites.json" in said:
        said = [one for one in said if one not in ("file too many: rewrites.json", "the output of stage store differs")]
    _judge(result, command, done, not said, said)
    if done.code != 0:
        result.remarks.append(f"{command}: {done.code}: {bench.general(done.error)}")


def _judge(result: Result, command: str, done: Outcome, same: bool, said: list[str] | None = None) -> None:
    if done.code == 0 and not same:
        result.problems.append(f"{command}: ends with 0, and {'; '.join(said or ['another answer'])}")
    elif done.code == 75 or (done.code != 0 and not check.is_plain_error(done)):
        result.problems.append(f"{command}: exit code {done.code}: {done.error}")


def spoil(path: Path, kind: str, seed: str) -> None:
    """Damage a file; `seed` decides which byte is flipped."""
    times = path.stat()
    data = path.read_bytes()
    if kind == "deleted":
        path.unlink()
        return
    if kind.startswith("flip") and data:
        draw = random.Random(seed)
        place = draw.randrange(len(data))
        data = data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :]
    elif kind == "half":
        data = data[: len(data) // 2]
    elif kind == "empty":
        data = b""
    elif kind == "zeros":
        data = bytes(len(data))
    path.write_bytes(data)
    if kind == "flip-old-time":
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
