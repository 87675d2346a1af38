"""Reads headline files one block at a time: CSV, TSV, JSON (lines or an array) and Parquet, plain or compressed.

The contract: `open_source` reads the head of a file and names its columns; `blocks()` then yields every record
of the file exactly once, either in a `Block` or as a `Reject` with its reason. Records are numbered from 1,
the header not counted. A file that cannot be read as a whole raises `BadInput`. One block is in memory at a time.

Each format has a file of its own (csv_source, jsonl_source, parquet_source); source.py holds what they share, packed.py
opens compressed files, and added.py has the columns that folders name.
`find_files` says which files are read.
`csv_answer` writes the answer as CSV.
"""

from collections.abc import Collection
from pathlib import Path

from job.backends.tables.added import with_added
from job.backends.tables.csv_source import CsvSource
from job.backends.tables.files import find_files
from job.backends.tables.jsonl_source import JsonlSource
from job.backends.tables.kinds import FORMATS, format_of, other_kind
from job.backends.tables.parquet_source import ParquetSource
from job.backends.tables.source import MEGA, Block, Reject, Source, reading, shown
from job.runtime.errors import BadInput

__all__ = ["MEGA", "Block", "Reject", "Source", "find_files", "open_source", "reading", "shown"]


def open_source(
    path: Path,
    format: str,
    encoding: str,
    text_columns: set[str],
    line_limit: int = 16 * MEGA,
    others: Collection[str] = (),
    root: Path | None = None,
) -> Source:
    """Read the head of `path`. `text_columns` must hold text (title, description). A line of more than `line_limit`
    characters is a reject, and a row of Parquet with such a value. `others`: further columns that are read. A name with
    a dot may be that of a column within objects (`within.py`), which then is a column of its own. `root`: the folder
    below which folders' names are columns.

    Raises:
        BadInput: the file cannot be opened, its format is unknown, or its content is not of that format.
    """
    with reading(path):
        problem = other_kind(path, format)
        if problem:
            raise BadInput(f"input.path: '{shown(path)}' {problem}")
        if format == "auto":
            format = _format_of(path)
        if format == "parquet":
            parquet = ParquetSource(path, text_columns, line_limit, others)
            return with_added(parquet, root, parquet.index)
        if format == "jsonl":
            return with_added(JsonlSource(path, encoding, text_columns, line_limit, others), root)
        return with_added(CsvSource(path, encoding, "\t" if format == "tsv" else None, line_limit), root)


def _format_of(path: Path) -> str:
    format = format_of(path)
    if format is None:
        raise BadInput(
            f"input.path: '{shown(path)}' has none of the suffixes {', '.join(FORMATS)} (with or without .gz or "
            "the like): set input.format to csv, tsv, jsonl or parquet"
        )
    return format
