"""`stage NAME`: one stage."""

import argparse
from collections.abc import Iterable

from job.commands.command import Command, add_config, add_force, load_config
from job.pipeline import NAMES, run


class StageCommand(Command):
    name = "stage"
    help = "run one stage; the stages before it must be done"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
        add_force(parser)
        add_config(parser)

    def run(self, arguments: argparse.Namespace) -> Iterable[str]:
        run(load_config(arguments), only=arguments.name, force=arguments.force)
        return ()
