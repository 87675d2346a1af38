"""`run`: the whole job."""

import argparse
from collections.abc import Iterable

from job.commands.command import Command, add_config, add_force, load_config


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
        return ()
