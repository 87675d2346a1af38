"""The command line: the only file that knows argv, and the only one that prints."""

import argparse
import io
import os
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
from job.runtime.system_errors import explained

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
  1   anything else; 130 for Ctrl-C where no run is to be continued
"""


def main(words: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # of a name that the terminal's encoding lacks, escapes; so it is for stderr already
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = _parsed(words)
    log.to_stderr()
    try:
        for line in arguments.command.run(arguments):
            print(log.printable(line))
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # nobody reads on; Python would complain when it closes the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception as error:
        known = error if isinstance(error, JobError) else explained(error)
        if known is None:
            return _report_unexpected(error)
        print(f"error: {log.printable(str(known))}", file=sys.stderr)
        return known.exit_code
    return EXIT_DONE


def _parsed(words: list[str] | None) -> argparse.Namespace:
    """The arguments; `key=value` words may also stand after an option."""
    known = parser()
    arguments, rest = known.parse_known_args(words)
    if rest:
        unknown = [word for word in rest if word.startswith("-") or "settings" not in arguments]
        if unknown:
            known.error(f"unrecognized arguments: {' '.join(unknown)}")
        arguments.settings = [*arguments.settings, *rest]
    return arguments


def _report_unexpected(error: Exception) -> int:
    """Say where the traceback is; the run's log has it, where there is a run."""
    said = f"error: unexpected {type(error).__name__}: {log.printable(str(error))}"
    notes = getattr(error, "__notes__", [])
    if notes:
        print(f"{said}; please report it with the end of '{log.printable(notes[-1])}'", file=sys.stderr)
    else:
        traceback.print_exc()
        print(f"{said}; please report it with the lines above", file=sys.stderr)
    return EXIT_FAILED


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
