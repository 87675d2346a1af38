"""`export`: a finished run's answer in the form that another program reads."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from job.commands.command import Command
from job.runtime.errors import BadInput

if TYPE_CHECKING:
    from job.context import Job

# the files of each form
FILES = {
    "atlas": ("atlas.parquet", "labels.parquet", "stories.parquet"),
    "bertopic": tuple(f"{name}.{kind}" for name in ("topic_info", "document_info") for kind in ("parquet", "csv")),
    "jsonl": ("headlines.jsonl", "stories.jsonl"),
    "csv": ("headlines.csv", "stories.csv"),
}
# says which files of a folder are an export's, which a later one may write again
NOTE = "exported.json"
FORMS = {
    "atlas": "Parquet files for embedding-atlas: points with neighbors, labels, stories",
    "bertopic": "the tables of BERTopic's get_topic_info and get_document_info, as Parquet and CSV",
    "jsonl": "JSON Lines: every input row, every story",
    "csv": "CSV that a spreadsheet opens without losing digits or running a formula",
}


class ExportCommand(Command):
    name = "export"
    help = "write a finished run's answer for another program: " + ", ".join(FORMS)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run_dir", type=Path, metavar="RUN_DIR")
        about = "; ".join(f"{name}: {what}" for name, what in FORMS.items())
        parser.add_argument("--to", required=True, choices=FORMS, help=about)
        parser.add_argument("--output", type=Path, metavar="DIR", help="default: RUN_DIR-FORM, beside the run folder")

    def run(self, arguments: argparse.Namespace) -> Iterator[str]:
        return export(arguments.run_dir, arguments.to, arguments.output)


def export(run_dir: Path, to: str, output: Path | None = None) -> Iterator[str]:
    """Write the files of the form `to` into the folder `output`; yields lines to print.

    Raises:
        BadInput: no finished run, or the folder cannot be made, is a run's, or holds such a file that is no export's.
        Resumable: the run was changed meanwhile.
    """
    from job.commands.finished import open_finished, unchanged
    from job.runtime import ownership

    job = open_finished(run_dir)
    folder = output or run_dir.resolve().with_name(f"{run_dir.resolve().name}-{to}")
    run = ownership.around(folder)
    if run is not None:
        what = "is a run folder" if run == folder.resolve() else f"lies in the run folder '{run}'"
        raise BadInput(f"--output '{folder}' {what}: choose another one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--output '{folder}': cannot be made ({error.strerror}); choose another folder") from None
    _claim(folder, FILES[to])
    with unchanged(job):
        yield from _writer(to)(job, folder)


def _claim(folder: Path, names: tuple[str, ...]) -> None:
    """Note that these files are an export's, before they are written.

    Raises:
        BadInput: there is such a file of somebody else.
    """
    from job.runtime.files import read_sealed, write_sealed
    from job.runtime.ownership import PROGRAM

    note = read_sealed(folder / NOTE)
    ours = {NOTE, *note.get("files", [])} if note.get("program") == PROGRAM else set()
    others = [name for name in (*names, NOTE) if name not in ours and (folder / name).exists()]
    if others:
        raise BadInput(
            f"--output '{folder}': '{others[0]}' is there, and no {NOTE} says that an export wrote it (older versions "
            "left none): move it away, or choose another folder"
        )
    write_sealed(folder / NOTE, {"program": PROGRAM, "files": sorted({*ours, *names} - {NOTE})})


def _writer(to: str) -> Callable[["Job", Path], Iterator[str]]:
    from job.commands import export_atlas, export_tables

    writers = {
        "atlas": export_atlas.write,
        "bertopic": export_tables.write_bertopic,
        "jsonl": export_tables.write_jsonl,
        "csv": export_tables.write_csv,
    }
    return writers[to]
