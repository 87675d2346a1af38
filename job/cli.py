"""The command line: the only file that knows argv, and the only one that prints."""

import argparse
import sys
import traceback
from pathlib import Path

from job import __version__
from job.runtime import log
from job.runtime.errors import EXIT_DONE, EXIT_FAILED, JobError

STAGE_NAMES = ("ingest", "embed", "store", "neighbors", "cluster", "project", "describe", "report")

_EXIT_CODES = """exit codes:
  0   done
  2   bad configuration or input: the message says what, where, and what to do
  75  stopped on the way (a signal, a server that went away); what is finished is kept, the same command goes on
  1   anything else
"""


def main(words: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = _parser().parse_args(words)
    log.to_stderr()
    try:
        arguments.do(arguments)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m job",
        description="Cluster news headlines into stories, name them, and draw a map of them.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, help: str, do: object) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=help, description=help, epilog=_EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        sub.set_defaults(do=do)
        return sub

    def takes_config(sub: argparse.ArgumentParser, optional: bool = False) -> None:
        sub.add_argument("config", type=Path, nargs="?" if optional else None, help="a YAML file, as in configs/")
        sub.add_argument(
            "settings", nargs="*", metavar="key=value", help="over the file's, as in cluster.min_cluster_size=5"
        )

    takes_config(command("run", "run the whole job; stages that are up to date are skipped", _run))
    takes_config(command("validate", "check a configuration and its input's columns, and do nothing", _validate))
    stage = command("stage", "run one stage; the ones before it must be done", _stage)
    stage.add_argument("name", choices=STAGE_NAMES, metavar="NAME", help=", ".join(STAGE_NAMES))
    takes_config(stage)
    status = command("status", "say which stages of a run folder are done", _status)
    status.add_argument("run_dir", type=Path)
    recut = command("recut", "cut a finished run's cluster tree anew: other granularity in seconds", _recut)
    recut.add_argument("run_dir", type=Path)
    recut.add_argument(
        "settings",
        nargs="+",
        metavar="key=value",
        help="min_cluster_size, selection, epsilon, max_cluster_size, allow_single_cluster, noise; "
        "several values, as in min_cluster_size=5,10,20: only say what each would give",
    )
    takes_config(
        command("doctor", "say what this machine has: packages, devices, model, Milvus, memory", _doctor), True
    )
    fetch = command("fetch-model", "download a model's needed files from the Hugging Face hub into a folder", _fetch)
    fetch.add_argument("id", help="such as BAAI/bge-m3")
    fetch.add_argument("dir", type=Path)
    return parser


def _run(arguments: argparse.Namespace) -> None:
    from job.config import load

    config = load(arguments.config, arguments.settings)
    from job.pipeline import run

    run(config)


def _stage(arguments: argparse.Namespace) -> None:
    from job.config import load

    config = load(arguments.config, arguments.settings)
    from job.pipeline import run

    run(config, only=arguments.name)


def _validate(arguments: argparse.Namespace) -> None:
    from job.config import load

    config = load(arguments.config, arguments.settings)
    from job.preflight import check
    from job.stages.ingest import open_sources

    check(config)
    for source in open_sources(config.input):
        print(f"{source.path}: {', '.join(source.schema.names)}")
    print(f"{arguments.config}: valid; run_dir {config.run_dir}")


def _status(arguments: argparse.Namespace) -> None:
    from job.pipeline import state
    from job.runtime.errors import BadInput
    from job.runtime.rundir import RunDir

    run = RunDir(arguments.run_dir)
    if not run.file("config.json").is_file():
        raise BadInput(f"'{arguments.run_dir}' is no run folder: it has no config.json; name the run_dir of a run")
    for name, marker, intact in state(run):
        if marker is None:
            print(f"{name:<10} not done")
            continue
        rows = marker.stats.get("rows")
        counted = f"{rows:>12,} rows" if rows is not None else ""
        print(
            f"{name:<10} {'done' if intact else 'files missing'}  {marker.finished}  {marker.seconds:>9.1f} s {counted}"
        )
    holder = run.holder()
    print(f"running: {holder}" if holder else "not running")


def _recut(arguments: argparse.Namespace) -> None:
    from job.recut import recut

    for line in recut(arguments.run_dir, arguments.settings):
        print(line)


def _doctor(arguments: argparse.Namespace) -> None:
    from job.doctor import examine

    config = None
    if arguments.config is not None:
        from job.config import load

        config = load(arguments.config, arguments.settings)
    for line in examine(config):
        print(line)


def _fetch(arguments: argparse.Namespace) -> None:
    from job.backends.embedding.hub import fetch
    from job.backends.embedding.models import find_model

    folder = arguments.dir.expanduser()
    for name in fetch(arguments.id, folder):
        print(f"{(folder / name).stat().st_size:>15,}  {name}")
    model = find_model(str(folder), "auto")
    print(f"{arguments.id}: {model.pooling} pooling{', BGE-M3 heads' if model.m3 else ''}; set embed.model={folder}")
