"""The command line: the only file that knows argv, and the only one that prints."""

import argparse
import sys
import traceback

from job import __version__
from job.commands.assign import AssignCommand
from job.commands.command import Command
from job.commands.doctor import DoctorCommand
from job.commands.export import ExportCommand
from job.commands.fetch_model import FetchModelCommand
from job.commands.recut import RecutCommand
from job.commands.requeue import RequeueCommand
from job.commands.run import RunCommand
from job.commands.stage import StageCommand
from job.commands.status import StatusCommand
from job.commands.validate import ValidateCommand
from job.runtime import log
from job.runtime.errors import EXIT_DONE, EXIT_FAILED, JobError

COMMANDS: tuple[Command, ...] = (
    RunCommand(),
    ValidateCommand(),
    StageCommand(),
    StatusCommand(),
    RequeueCommand(),
    RecutCommand(),
    AssignCommand(),
    ExportCommand(),
    DoctorCommand(),
    FetchModelCommand(),
)

_EXIT_CODES = """exit codes:
  0   done
  2   bad configuration or input: the message says what, where, and what to do
  75  stopped on the way (a signal, a server that went away); finished work is kept: give the same command again
  1   anything else
"""


def main(words: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = parser().parse_args(words)
    log.to_stderr()
    try:
        for line in arguments.command.run(arguments):
            print(line)
    except JobError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return EXIT_FAILED
    except Exception as error:
        traceback.print_exc()
        print(
            f"error: unexpected {type(error).__name__}: {error}; please report it with the lines above", file=sys.stderr
        )
        return EXIT_FAILED
    return EXIT_DONE


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(
        prog="python -m job",
        description="Cluster news headlines into stories, name them, and draw a map of them.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name,
            help=command.help,
            description=command.help,
            epilog=_EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(sub)
        sub.set_defaults(command=command)
    return top
