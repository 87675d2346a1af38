"""As `kills`, for the operations between `embed` and the end of `neighbors`, with a real Milvus server."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults import check, forks, kills
from faults.bench import Bench, Result
from faults.world import ROOT, World


@contextmanager
def around(base: Path) -> Iterator[tuple[str, ...]]:
    """Within this block a server runs, in a process of its own; gives the settings with its address."""
    command = [sys.executable, str(ROOT / "scripts" / "milvus" / "serve.py"), "--data", str(base / "server")]
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        assert "http://" in line, f"no Milvus server: {line}"
        address = line[line.index("http://") :].split(",")[0].strip()
        yield (f"store.uri={address}",)
    finally:
        process.terminate()
        process.wait()


def cases(bench: Bench, seed: int, every: int = 1) -> list[tuple[str, int]]:
    """Each operation in that range, and as many chains as a tenth of them."""
    notes = [note.split(" ", 1)[1] for note in bench.reference.notes]
    first, last = notes.index("rename /markers/embed.json"), notes.index("rename /markers/neighbors.json")
    draw = random.Random(seed)
    found = [("kill", number) for number in range(first, last + 12)]
    found += [("chain", draw.randrange(first, last)) for _ in range(len(found) // 10)]
    draw.shuffle(found)
    return found[::every]


def carry_out(bench: Bench, kind: str, number: int) -> Result:
    """One case, with a collection of its own."""
    trial = Bench(World(bench.world.base, (*bench.world.settings, f"store.collection={kind}_{os.getpid()}_{number}")))
    trial.reference, trial.seconds = bench.reference, bench.seconds
    result = kills.carry_out(trial, kind, number)
    # the collection's name is part of it
    result.problems = [one for one in result.problems if one != "the output of stage store differs"]
    os.waitpid(forks.in_fork(lambda: check.drop_collection(trial.world)), 0)
    return result
