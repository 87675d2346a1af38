"""Change each setting and each column of the input once in a finished run folder: the answer is that of a new run, and
only the stages that depend on it are done again."""

import json
import random
import shutil

from faults import check, world
from faults.bench import Bench, Result
from faults.settings_table import EXTRA, INPUT_CHANGES, mutated, prepare, table
from faults.world import World


def cases(bench: Bench, seed: int, every: int = 1) -> list[tuple[str, str]]:
    """A setting by its name, or a change of the input, without and with `store.extra_fields`."""
    rows = [("setting", name) for name, row in table(bench.world.base).items() if not row.why_not]
    changes = [(kind, name) for kind in ("input", "input+extra") for name in INPUT_CHANGES]
    found = [*rows, *changes]
    random.Random(seed).shuffle(found)
    return found[::every]


def carry_out(bench: Bench, kind: str, name: str) -> Result:
    """One change: a new run with it, then the same in the folder of a run without it."""
    base = bench.world.base
    model2 = base / "model2"
    if not model2.exists():
        shutil.copytree(base.parent / "model2", model2)
    prepare(base)
    if kind == "setting":
        row = table(base)[name]
        return _compare(bench, f"setting {name}", row.before, row.words, row.stages, "")
    extra = (EXTRA,) if kind == "input+extra" else ()
    stages = INPUT_CHANGES[name][1 if extra else 0]
    return _compare(bench, f"{kind} {name}", extra, extra, stages, name)


def _compare(
    bench: Bench, what: str, before: tuple[str, ...], words: tuple[str, ...], stages: tuple[str, ...], change: str
) -> Result:
    result = Result(what, 0)
    changed, base = Bench(World(bench.world.base, words)), Bench(World(bench.world.base, before))
    rows = world.headlines()
    after = mutated(rows, change) if change else rows
    world.write_input(bench.world.input, after)
    try:
        changed.clear()
        done = changed.run()
        if done.code != 0:
            result.problems = [f"a new run ends with {done.code}: {done.error}"]
            return result
        expected = check.state_of(changed.world)
        world.write_input(bench.world.input, rows)
        _finished_before(base)
        world.write_input(bench.world.input, after)
        done = changed.run()
    finally:
        world.write_input(bench.world.input, rows)
    if done.code != 0:
        result.problems = [f"exit code {done.code}: {done.error}"]
        return result
    record = json.loads((changed.world.run / "run.json").read_text(encoding="utf-8"))
    redone = record["this_run"]["stages"]
    too_many = [stage for stage in redone if stage not in (*stages, *(["report"] if stages else []))]
    result.problems = [f"done again without need: {', '.join(too_many)}"] if too_many else []
    found = check.state_of(changed.world)
    # what only other settings need may stay: no later run reads it
    said = [one for one in check.differences(expected, found) if not one.startswith("file too many: ")]
    result.problems += said
    stale = sorted(found.answer.keys() - expected.answer.keys())
    result.problems += [f"a file of the old answer stays: {', '.join(stale)}"] if stale else []
    return result


def _finished_before(base: Bench) -> None:
    """Make the run folder that of a finished run with the settings of before."""
    if not base.saved.exists():
        base.refer()
    base.restore()
