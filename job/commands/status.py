"""`status`: how far a run is, and what its processes do."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from job.commands.command import Command
from job.runtime import ownership
from job.runtime.errors import BadInput, JobError
from job.runtime.log import logger
from job.runtime.rundir import RunDir

_WATCH_SECONDS = 5.0
_CLEAR = "\x1b[H\x1b[2J"
# processes that are listed one by one; of more, only those that are not running or done
_LISTED = 8


class StatusCommand(Command):
    name = "status"
    help = "say how far a run is and what its processes do; reads the run folder only"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run_dir", type=Path)
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
        parser.add_argument(
            "--watch",
            action="store_true",
            help="again every 5 s, until all is done, or one failed: then with its exit code",
        )

    def run(self, arguments: argparse.Namespace) -> Iterator[str]:
        from job.runtime.overview import overview

        run, watch, waits = RunDir(arguments.run_dir), arguments.watch, False
        while True:
            stages = _stages(run, watch)
            if stages is None:
                if not waits:
                    logger.info("status: there is no run in '%s' yet: waiting for it", run.path)
                waits = True
            else:
                found = overview(run, stages)
                if watch and not arguments.json and sys.stdout.isatty():
                    sys.stdout.write(_CLEAR)
                yield json.dumps(found) if arguments.json else "\n".join(_lines(found))
                if not watch or _is_over(found):
                    if watch:
                        _end(found)
                    return
            sys.stdout.flush()
            time.sleep(_WATCH_SECONDS)


def _stages(run: RunDir, watch: bool) -> list[str] | None:
    """The stages that apply to this run; None: it has not started yet, and somebody watches for it."""
    from job.config import resolve
    from job.pipeline import STAGES

    try:
        values = ownership.settings(run.path)
    except BadInput:
        if watch:
            return None
        raise
    config = resolve(values, [], f"{run.path}/config.json")
    return [stage.name for stage in STAGES if stage.applies(config)]


def _is_over(found: dict[str, Any]) -> bool:
    """Whether nothing runs, and nothing will by itself: all is done, or a process failed."""
    done = all(stage["state"].startswith("done") for stage in found["stages"])
    return not found["running"] and (done or any(one["state"] == "failed" for one in found["processes"]))


def _end(found: dict[str, Any]) -> None:
    """Raise an error with the exit code of the process that failed first by rank, if one did."""
    failed = [one for one in found["processes"] if one["state"] == "failed"]
    if failed:
        error = JobError(f"the run failed{f': {message}' if (message := failed[0]['message']) else ''}")
        error.exit_code = failed[0]["code"]
        raise error


def _lines(found: dict[str, Any]) -> Iterator[str]:
    for stage in found["stages"]:
        yield _stage(stage)
    several = len(found["processes"]) > 1
    for one in found["processes"]:
        if one["state"] in ("failed", "died", "stopped") or (several and len(found["processes"]) <= _LISTED):
            yield _process(one)
    running = [one for one in found["processes"] if one["state"] == "running"]
    if not running:
        yield "not running"
        return
    yield f"running: {'; '.join(_who(one) for one in running[:_LISTED])}"
    if found["last_line"]:
        yield f"last line of job.log: {found['last_line']}"


def _stage(stage: dict[str, Any]) -> str:
    name, state = f"{stage['name']:<10}", stage["state"]
    if "finished" in stage:
        counted = f"{stage['rows']:>12,} rows" if stage["rows"] is not None else ""
        return f"{name} {state}  {stage['finished']}  {stage['seconds']:>9.1f} s {counted}"
    shards = stage.get("shards")
    if shards is None:
        return f"{name} {state}"
    ranks = ", ".join(f"rank {one['rank']}: {one['done']} of {one['total']}" for one in shards["by_rank"])
    line = f"{name} {state}  {shards['done']} of {shards['total']} shards"
    if len(shards["by_rank"]) > 1:
        line += f" ({ranks})"
    if shards["rows_per_second"]:
        line += f"  {shards['rows_per_second']:,.0f} rows/s, about {shards['seconds_left']:,} s left at that rate"
    return line


def _who(one: dict[str, Any]) -> str:
    rank = f"rank {one['rank']} of {one['world']}, " if one["world"] > 1 else ""
    return f"{rank}process {one['process']} on {one['host']} since {one['since']}"


def _process(one: dict[str, Any]) -> str:
    code = "" if one["code"] is None else f" with {one['code']}"
    message = f": {one['message']}" if one["message"] else ""
    log = f"; log: {one['log']}" if one["state"] != "done" else ""
    return f"{one['state']}{code}: {_who(one)}{message}{log}"
