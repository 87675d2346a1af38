"""`run`: the whole job."""

import argparse
from collections.abc import Iterable

from job.commands.command import Command, add_config, add_force, load_config
from job.runtime.log import logger
from job.runtime.rundir import RunDir


class RunCommand(Command):
    name = "run"
    help = "run the whole job; stages that are up to date are skipped"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_force(parser)
        add_config(parser)

    def run(self, arguments: argparse.Namespace) -> Iterable[str]:
        config = load_config(arguments)
        from job.pipeline import run

        run(config, force=arguments.force)
        ingested = RunDir(config.run_dir).stats("ingest")
        rows, rejects = ingested.get("rows", 0), ingested.get("rejects", 0)
        if rejects > rows:
            of_all = f"{rejects:,} of {rows + rejects:,}"
            rejected = config.run_dir / "rejects.csv"
            logger.warning("run: MOST ROWS ARE MISSING: %s could not be used: see %s", of_all, rejected)
        return ()
