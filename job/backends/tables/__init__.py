"""Reading headline files a block at a time: CSV, TSV, JSON Lines and Parquet, plain or gzipped.

The contract: `open_source` looks at a file's head and names its columns; `blocks()` then yields every record
of the file exactly once, either in a `Block` or as a `Reject` with its reason. Records are numbered from 1,
the header not counted. A file that cannot be read as a whole is a `BadInput`. Memory holds one block.
"""

from pathlib import Path

from job.backends.tables.csv_source import CsvSource
from job.backends.tables.jsonl_source import JsonlSource
from job.backends.tables.parquet_source import ParquetSource
from job.backends.tables.source import Block, Reject, Source, reading
from job.runtime.errors import BadInput

__all__ = ["Block", "Reject", "Source", "open_source", "reading"]

_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def open_source(path: Path, format: str, encoding: str, texts: set[str]) -> Source:
    """Look at the head of `path`. `texts` names the columns that must hold text (title, description).

    Raises:
        BadInput: it cannot be opened, or its format is unknown or not what it says.
    """
    kind = _kind(path) if format == "auto" else format
    with reading(path):
        if kind == "parquet":
            return ParquetSource(path, texts)
        if kind == "jsonl":
            return JsonlSource(path, encoding, texts)
        return CsvSource(path, encoding, "\t" if kind == "tsv" else None)


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    kind = _SUFFIXES.get(suffixes[-1]) if suffixes else None
    if kind is None:
        raise BadInput(
            f"input.path: '{path}' ends in none of {', '.join(_SUFFIXES)} (or those with .gz): "
            "set input.format to csv, tsv, jsonl or parquet"
        )
    return kind
