"""Files that are not the run's own, in and beside the run folder: no command changes or removes any of them."""

import random
import shutil
from pathlib import Path

from faults import check, world
from faults.bench import Bench, Result
from faults.damage import CHANGED, RECUT
from faults.shim import Fault
from job.runtime.files import digest_file

# in the folder that holds the run folder; `run` is the run folder
FOREIGN = (
    ".x.tmp",
    "notes.txt",
    "run-jsonl/notes.txt",
    "run/.x.tmp",
    "run/.notes.txt.single.tmp",
    "run/notes.txt",
    "run/sub/.y.single.0123abcd.tmp",
    "run/sub/deeper/notes.txt",
    "run/embeddings/notes.txt",
    "run/embeddings/.x.tmp",
    "run/embeddings/0.npy",
    "run/sparse/notes.txt",
    "run/neighbors/notes.txt",
    "run/collection/notes.txt",
    "run/markers/notes.txt",
    "run/markers/.x.tmp",
    "run/locks/notes.txt",
    "run/locks/other.txt",
)
_KILLS = 40
_COMMANDS = (
    "run",
    "changed",
    "no stories",
    "no sparse",
    "collection",
    "recut",
    "assign",
    "export",
    "requeue",
    "status",
)


def cases(bench: Bench, seed: int, every: int = 1) -> list[tuple[str, int]]:
    """Commands, and kills of a run with other settings at random operations."""
    draw = random.Random(seed)
    kills = [("kill", draw.randrange(1, len(bench.reference.notes) // 2)) for _ in range(_KILLS)]
    found = [("refused", 0), *((command, 0) for command in _COMMANDS), *kills]
    draw.shuffle(found)
    return found[::every]


def carry_out(bench: Bench, kind: str, number: int) -> Result:
    """One command among foreign files."""
    result = Result(f"{kind}", number)
    place = bench.world.base
    if kind == "refused":
        bench.clear()
        _plant(place, ("run/notes.txt", "run/embeddings/00000.npy"))
    else:
        bench.restore()
        _plant(place, FOREIGN)
    before = _snapshot(place, bench)
    codes = _commands(bench, kind, number, result)
    expected = [2] if kind == "refused" else [75] if kind == "requeue" else [0]
    if kind != "kill" and codes != expected:
        result.problems.append(f"exit codes {codes}")
    after = _snapshot(place, bench)
    for name, content in before.items():
        if after.get(name) != content:
            result.problems.append(f"{name} {'has changed' if name in after else 'is gone'}")
    new = sorted(name for name in after.keys() - before.keys())
    result.problems += [f"{name} is new" for name in new if not _may_be_new(name)]
    _clean(place)
    return result


def _commands(bench: Bench, kind: str, number: int, result: Result) -> list[int]:
    run = str(bench.world.run)
    if kind == "kill":
        killed = bench.run(Fault("kill", number), *CHANGED, "embed.max_length=20")
        result.kills = int(killed.code == -9)
        return [killed.code, bench.run(None, *CHANGED, "embed.max_length=20").code]
    settings = {
        "run": (),
        "refused": (),
        "changed": (*CHANGED, "embed.shard_rows=24"),
        "no stories": ("cluster.recipe=null",),
        "no sparse": ("embed.sparse=false", "store.collection=other"),
        "collection": ("store.scope=collection",),
    }
    if kind in settings:
        done = bench.run(None, *settings[kind])
    elif kind == "recut":
        done = bench.command("recut", run, RECUT)
    elif kind == "assign":
        world.write_input(bench.world.base / "new.csv", world.headlines()[:9])
        out = str(bench.world.base / "assigned.csv")
        done = bench.command("assign", run, str(bench.world.base / "new.csv"), "--output", out)
    elif kind == "export":
        done = bench.command("export", run, "--to", "jsonl")
    elif kind == "requeue":
        done = bench.command("requeue", "75", str(bench.world.config))
    else:
        done = bench.command("status", run)
    return [done.code]


def _plant(place: Path, names: tuple[str, ...]) -> None:
    for name in names:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"not the run's: {name}\n", encoding="utf-8")


def _clean(place: Path) -> None:
    for name in ("run", "run-jsonl"):
        shutil.rmtree(place / name, ignore_errors=True)
    for name in (".x.tmp", "notes.txt", "new.csv", "assigned.csv", "assigned_rejects.csv"):
        (place / name).unlink(missing_ok=True)


def _snapshot(place: Path, bench: Bench) -> dict[str, tuple[int, str]]:
    """Times and content of all files that are not the run's own, by name."""
    own = {f"run/{name}" for name in bench.reference.files}
    return {
        name: (about.st_mtime_ns, digest_file(place / name))
        for name, about in check.files_of(place).items()
        if name not in own and not name.startswith(("scratch/", "saved", "run/milvus.db/", "run/locks/single."))
    }


def _may_be_new(name: str) -> bool:
    """Whether a command writes this file: an answer beside the run folder, and what only some settings leave."""
    exported = ("run-jsonl/headlines.jsonl", "run-jsonl/stories.jsonl", "run-jsonl/exported.json")
    beside = ("new.csv", "assigned.csv", "assigned_rejects.csv", *exported)
    inside = (
        "run/restarts.json",
        "run/story_",
        "run/embeddings/0000",
        "run/sparse/0000",
        "run/collection/",
        "run/markers/ids.json",
    )
    return name in beside or name.startswith(inside)
