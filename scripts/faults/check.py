"""What must be equal after a fault: the answer, the figures of `run.json`, the rows in Milvus, the list of files."""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults import forks
from faults.forks import Outcome
from faults.world import World, digests

# of `run.json`: what must be equal; times, memory and versions may differ
_FIGURES = ("rows", "headlines", "rejects", "recall", "clusters", "noise_share", "noise_headlines", "noise_rows")
_LISTS = ("fallbacks", "warnings")
_LOCK = re.compile(r"^locks/(single|rank-\d+-of-\d+)\.\d+$")


@dataclass(frozen=True)
class State:
    """What a finished run left. `rows`: a digest of Milvus's rows, and their number as `count(*)` says."""

    answer: dict[str, str]
    outputs: dict[str, str]
    figures: dict[str, Any]
    files: set[str]
    rows: str
    notes: list[str] = field(default_factory=list)


def state_of(world: World, done: Outcome | None = None) -> State:
    """Read the state of the world's run folder."""
    record = json.loads((world.run / "run.json").read_text(encoding="utf-8"))
    figures = {name: record.get(name) for name in _FIGURES} | {name: record[name] for name in _LISTS}
    files = {name for name in files_of(world.run) if not name.startswith("milvus.db/")}
    return State(
        digests(world.run), outputs_of(world.run), figures, files, milvus_rows(world), done.notes if done else []
    )


def files_of(folder: Path) -> dict[str, os.stat_result]:
    """All files below a folder, by name; a lock's generation is left out of its name."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            name = str(path.relative_to(folder))
            found[name.rpartition(".")[0] if _LOCK.match(name) else name] = path.stat()
    return found


def outputs_of(folder: Path) -> dict[str, str]:
    """The digest of each finished stage's result."""
    found = {}
    for path in sorted((folder / "markers").glob("*.json")):
        try:
            found[path.stem] = str(json.loads(path.read_text(encoding="utf-8"))["output"])
        except (OSError, ValueError, KeyError):
            found[path.stem] = "unreadable"
    return found


def milvus_rows(world: World) -> str:
    """A digest of all rows in the collection and their number, read by a fork: this process may have no threads."""
    answer = world.scratch / "rows"
    answer.unlink(missing_ok=True)
    process = forks.in_fork(lambda: answer.write_text(_read_rows(world)))
    os.waitpid(process, 0)
    return answer.read_text() if answer.exists() else "unreadable"


def _open(world: World) -> Any:
    from job.config import load
    from job.connect import open_milvus

    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    return open_milvus(load(world.config, list(world.settings)))


def drop_collection(world: World) -> None:
    """Drop the world's collection; call it in a fork."""
    milvus = _open(world)
    milvus.connection.client.drop_collection(milvus.collection)
    milvus.close()


def _read_rows(world: World) -> str:
    milvus = _open(world)
    milvus.load()
    fields = milvus.fields
    columns = [fields.id, fields.text, fields.vector, *([fields.sparse] if milvus.has_sparse else []), *fields.extra]
    state, count = hashlib.blake2b(digest_size=16), 0
    for batch in milvus.rows(columns):
        for row in batch:
            values = [_plain(row.get(name)) for name in columns]
            state.update(json.dumps(values, ensure_ascii=True).encode())
            count += 1
    total = milvus.count()
    milvus.close()
    return f"{count} rows, count {total}, {state.hexdigest()}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((int(key), float(weight)) for key, weight in value.items())
    return value if isinstance(value, int | str | None) else [float(one) for one in value]


def answer_differs(expected: State, found: State) -> list[str]:
    """What differs in the answer and its figures, one line each; empty where nothing does."""
    said = [
        f"{name} differs" if name in found.answer else f"{name} is missing"
        for name, digest in expected.answer.items()
        if found.answer.get(name) != digest
    ]
    said += [
        f"run.json: {name} = {found.figures.get(name)!r}, not {value!r}"
        for name, value in expected.figures.items()
        if found.figures.get(name) != value
    ]
    return said


def differences(expected: State, found: State) -> list[str]:
    """What differs, one line each; empty where nothing does."""
    said = answer_differs(expected, found)
    said += [
        f"the output of stage {stage} differs"
        for stage, output in expected.outputs.items()
        if found.outputs.get(stage) != output
    ]
    said += [f"file too many: {name}" for name in sorted(found.files - expected.files)]
    said += [f"file missing: {name}" for name in sorted(expected.files - found.files)]
    if expected.rows != found.rows:
        said.append(f"Milvus has {found.rows}, not {expected.rows}")
    return said


def finished(folder: Path) -> set[str]:
    """What a killed run has finished: its stages by name, and its shards by their array's name in the run folder."""
    stages = set(outputs_of(folder))
    # a shard's lexical weights are made together with its vectors, and written first
    shards = {
        f"{name}/{path.stem}.npy"
        for name, pair in (("embeddings", "embeddings"), ("embeddings", "sparse"), ("neighbors", "neighbors"))
        for path in (folder / name).glob("[0-9]*.json")
        if (folder / pair / path.name).exists()
    }
    return stages | shards


def redone(before: Iterable[str], folder: Path, notes: list[str]) -> list[str]:
    """Those of the finished stages and shards that the next run made again, by its record and its file operations."""
    stages = json.loads((folder / "run.json").read_text(encoding="utf-8"))["this_run"]["stages"]
    made = {note.split(" ", 2)[2].removeprefix("/") for note in notes if note.split(" ", 2)[1] == "rename"}
    return sorted(one for one in before if one in stages or one in made)


def is_plain_error(done: Outcome) -> bool:
    """Whether a failed command said why in a line `error: ...`, without a traceback."""
    return done.code in (1, 2, 75) and "Traceback" not in done.said and "\nerror: " in f"\n{done.said}"
