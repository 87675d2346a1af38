"""What a command of `python -m job` is."""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from job.config import Config


class Command(ABC):
    """`name` and `help` as the command line shows them. Heavy imports wait until `run`."""

    name: ClassVar[str]
    help: ClassVar[str]

    @abstractmethod
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    @abstractmethod
    def run(self, arguments: argparse.Namespace) -> Iterable[str]:
        """Do the work; the lines to print.

        Raises:
            JobError: the exit code and the message.
        """


def add_config(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    """The arguments CONFIG and key=value."""
    parser.add_argument("config", type=Path, nargs="?" if optional else None, help="a YAML file, as in configs/")
    # with a default, argparse does not call them required
    parser.add_argument(
        "settings", nargs="*", default=[], metavar="key=value", help="over the file's, as in cluster.min_cluster_size=5"
    )


def add_force(parser: argparse.ArgumentParser) -> None:
    """The argument --force of what does the work of stages."""
    parser.add_argument(
        "--force", action="store_true", help="run also where memory or disk will not suffice, as estimated"
    )


def load_config(arguments: argparse.Namespace) -> "Config":
    """The configuration that the arguments of `add_config` name."""
    from job.config import load

    return load(arguments.config, arguments.settings)
