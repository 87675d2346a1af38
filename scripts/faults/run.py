"""Kill, damage, fill up, change: whatever happens to a run, the same command must give the same answer.

    .venv/bin/python scripts/faults/run.py                       all parts
    .venv/bin/python scripts/faults/run.py kills damage --every 10
    .venv/bin/python scripts/faults/run.py kills/60 damage/80          each n-th trial

Prints a table, then what failed, and ends with one line of JSON of its counts. README.md says what the parts do.
"""

import argparse
import contextlib
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from tiny_m3 import make_tiny_m3  # noqa: E402

from faults import forks, shim, world  # noqa: E402 - found by the line above
from faults.bench import Bench, Result  # noqa: E402

PARTS = ("kills", "changes", "random_stops", "damage", "damage_milvus", "settings", "full", "foreign", "server")


def main() -> int:
    arguments = _arguments()
    if "faults-shim" not in os.environ.get("LD_PRELOAD", ""):
        os.execve(sys.executable, [sys.executable, *sys.argv], forks.environment(shim.build()))
    base = arguments.base or Path(tempfile.mkdtemp(prefix="faults-"))
    forks.import_all()
    if arguments.control:
        _plant_mistakes()
    model = base / "model"
    for number, folder in enumerate((model, base / "model2")):
        if not folder.exists():
            os.waitpid(forks.in_fork(lambda folder=folder, number=number: _ignore(make_tiny_m3(folder, number))), 0)
    warm = world.make(base / "warm", model)
    shutil.rmtree(warm.run, ignore_errors=True)
    forks.warm_up(warm.words(), warm.run, warm.scratch)
    every, results = {}, {}
    for word in arguments.parts or PARTS:
        part, _, number = word.partition("/")
        every[part] = int(number or arguments.every)
        results[part] = _part(part, base, model, arguments, every[part])
    return _report(results, every, arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of: {', '.join(PARTS)}; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=1, help="only each N-th trial")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--base", type=Path, help="folder for the runs; default: a temporary one")
    parser.add_argument(
        "--control", action="store_true", help="plant two mistakes in the job: kills and damage must fail"
    )
    parser.add_argument("--output", type=Path, help="also write the result there")
    found = parser.parse_args()
    unknown = {word.partition("/")[0] for word in found.parts} - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return found


def _part(name: str, base: Path, model: Path, arguments: argparse.Namespace, every: int) -> list[Result]:
    """Carry out one part by several workers, each a fork with a world of its own."""
    since = time.monotonic()
    module: Any = importlib.import_module(f"faults.{name}")
    around = module.around(base) if hasattr(module, "around") else contextlib.nullcontext(())
    files = [base / f"{name}-{worker}.jsonl" for worker in range(arguments.workers)]
    processes = []
    with around as settings:
        for worker, file in enumerate(files):
            file.unlink(missing_ok=True)

            def work(worker: int = worker, file: Path = file) -> None:
                bench = Bench(world.make(base / f"{name}{worker}", model, *settings))
                bench.refer()
                cases = module.cases(bench, arguments.seed, every)
                _work(module, bench, cases[worker :: arguments.workers], file)

            processes.append(forks.in_fork(work))
        codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    lines = [line for file in files if file.exists() for line in file.read_text(encoding="utf-8").splitlines()]
    results = [Result(**json.loads(line)) for line in lines]
    if any(codes):
        results.append(Result("the harness", 0, problems=[f"workers ended with {codes}"]))
    print(f"{name}: {len(results)} trials in {time.monotonic() - since:.0f} s", file=sys.stderr, flush=True)
    return results


def _work(part: Any, bench: Bench, cases: list[tuple[Any, ...]], file: Path) -> None:
    with file.open("w", encoding="utf-8") as lines:
        for case in cases:
            since = time.monotonic()
            result = part.carry_out(bench, *case)
            result.seconds = round(time.monotonic() - since, 2)
            lines.write(result.line() + "\n")
            lines.flush()
            if result.problems:
                print(result.line(), file=sys.stderr, flush=True)
    shutil.rmtree(bench.world.base)


def _report(results: dict[str, list[Result]], every: dict[str, int], arguments: argparse.Namespace) -> int:
    rows = [("part", "kind", "trials", "kills", "ended with 75 first", "failed", "longest, s")]
    counts: dict[str, Any] = {}
    for part, found in results.items():
        kinds = Counter(result.what.split(" ")[0] for result in found)
        for kind in kinds:
            some = [result for result in found if result.what.split(" ")[0] == kind]
            figures = _figures(some)
            longest = max(result.seconds for result in some)
            rows.append((part, kind, *map(str, figures.values()), f"{longest:.0f}"))
        counts[part] = {**_figures(found), "every": every[part]}
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for part, found in results.items():
        lines += [
            f"FAILED {part}: {one.what} ({one.number}): {'; '.join(one.problems)}" for one in found if one.problems
        ]
        remarks = Counter(remark for one in found for remark in one.remarks)
        lines += [f"{part}: {number} times: {remark}" for remark, number in remarks.most_common(20)]
    lines.append(json.dumps({"seed": arguments.seed, **counts}))
    text = "\n".join(lines)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")
    return 1 if any(figures["failed"] for figures in counts.values()) else 0


def _figures(results: list[Result]) -> dict[str, int]:
    return {
        "trials": len(results),
        "kills": sum(result.kills for result in results),
        "again": sum(bool(result.again) for result in results),
        "failed": sum(bool(result.problems) for result in results),
    }


def _plant_mistakes() -> None:
    """Temporary files of killed processes stay, and damaged files count as whole."""
    from job.runtime import rundir
    from job.runtime.markers import Inspector

    rundir.remove_leftovers = lambda *_: None
    Inspector.problems = lambda *_: {}


def _ignore(result: object) -> None:
    """For a call whose result nobody needs."""


if __name__ == "__main__":
    raise SystemExit(main())
