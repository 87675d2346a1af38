"""`status`: which stages of a run folder are done."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from job.commands.command import Command
from job.runtime.errors import BadInput
from job.runtime.rundir import RunDir


class StatusCommand(Command):
    name = "status"
    help = "say which stages of a run folder are done, and whether it is running"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run_dir", type=Path)

    def run(self, arguments: argparse.Namespace) -> Iterator[str]:
        from job.config import resolve
        from job.pipeline import STAGES

        run = RunDir(arguments.run_dir)
        try:
            values = dict(json.loads(run.file("config.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            raise BadInput(
                f"'{arguments.run_dir}' is no run folder: it has no config.json; name the run_dir of a run"
            ) from None
        config = resolve(values, [], str(run.file("config.json")))
        for stage in STAGES:
            if not stage.applies(config):
                continue
            name, marker = stage.name, run.marker(stage.name)
            if marker is None:
                yield f"{name:<10} not done"
                continue
            state = "done" if run.intact(marker) else "files missing"
            rows = marker.stats.get("rows")
            counted = f"{rows:>12,} rows" if rows is not None else ""
            yield f"{name:<10} {state}  {marker.finished}  {marker.seconds:>9.1f} s {counted}"
        holder = run.holder()
        yield f"running: {holder}" if holder else "not running"
