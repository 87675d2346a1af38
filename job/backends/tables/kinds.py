"""What kind a file is, by its name, and by its first bytes where these say that it has to be unpacked or saved anew."""

import zipfile
from pathlib import Path

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}

_PACKED = {b"\x28\xb5\x2f\xfd": "zstd -d", b"\xfd7zXZ\0": "unxz", b"7z\xbc\xaf\x27\x1c": "7z x"}
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = b"PK\x03\x04"
_PARQUET = b"PAR1"


def format_of_name(path: Path) -> str | None:
    """The format that the suffix names, with or without `.gz`; None where it names none."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return FORMATS.get(suffixes[-1]) if suffixes else None


def other_kind(path: Path, format: str) -> str:
    """What to say of a file that is not of the `format`, by its first bytes, and what to do; "" of any other file."""
    with path.open("rb") as file:
        start = file.read(8)
    if start == _OLD_EXCEL or (start.startswith(_ZIP) and _is_sheet(path)):
        return "is a spreadsheet: save it as CSV (UTF-8)"
    if start.startswith(_ZIP):
        return "is a ZIP archive: unpack it with unzip"
    if start.startswith(b"BZh") and start[4:] == b"1AY&":
        return "is compressed: unpack it with bunzip2"
    for first, program in _PACKED.items():
        if start.startswith(first):
            return f"is compressed: unpack it with {program}"
    if start.startswith(_PARQUET) and (format_of_name(path) if format == "auto" else format) != "parquet":
        return "is a Parquet file: rename it to .parquet, or set input.format=parquet"
    return ""


def _is_sheet(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.startswith(("xl/", "content.xml")) for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return False
