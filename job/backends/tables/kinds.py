"""What kind a file is, by its name, and by its first bytes where these say that it has to be unpacked or saved anew."""

import re
import zipfile
from pathlib import Path

from job.backends.tables.packed import SUFFIXES, ZIP, members, packing_of

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

_PACKED = {b"7z\xbc\xaf\x27\x1c": "7z x", b"Rar!\x1a\x07": "unrar x", b"\x04\x22\x4d\x18": "lz4 -d"}
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LFS_POINTER = b"version https://git-lfs"
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|rss|feed|!doctype html|html)[\s>]", re.IGNORECASE)
_FIRST_BYTES = 64
# of those that Python unpacks
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_ENCRYPTED = 0x1
_PARQUET = b"PAR1"


def format_of_name(path: Path) -> str | None:
    """The format that the suffix names, with or without one of compression behind it; None where it names none."""
    suffix = path.suffix.lower()
    return FORMATS.get(path.with_suffix("").suffix.lower() if suffix in SUFFIXES else suffix)


def format_of(path: Path) -> str | None:
    """The format that the name of a file says, or of what is in an archive; None where it says none."""
    return format_of_name(path) or (
        format_of_name(Path(members(path)[0].filename)) if packing_of(path) == ZIP else None
    )


def other_kind(path: Path, format: str) -> str:
    """What to say of a file that is not of the `format`, by its first bytes, and what to do; "" of any other file."""
    if packing_of(path) == ZIP:
        return _other_archive(path)
    with path.open("rb") as file:
        start = file.read(_FIRST_BYTES)
    if start.startswith(_OLD_EXCEL):
        return "is a spreadsheet: save it as CSV (UTF-8)"
    if start.startswith(_LFS_POINTER):
        return "is only a pointer of Git LFS: get the file itself with git lfs pull"
    if _MARKUP.match(start):
        return "is HTML or XML: write what it lists as JSON Lines or CSV (a feed, for example with feedparser)"
    for first, program in _PACKED.items():
        if start.startswith(first):
            return f"is compressed: unpack it with {program}"
    if start.startswith(_PARQUET) and (format_of_name(path) if format == "auto" else format) != "parquet":
        return "is a Parquet file: rename it to .parquet, or set input.format=parquet"
    return ""


def _other_archive(path: Path) -> str:
    """What to say of a ZIP archive that is a spreadsheet, or does not hold just one file that can be read."""
    inside = members(path)
    if any(item.filename.startswith(("xl/", "content.xml")) for item in inside):
        return "is a spreadsheet: save it as CSV (UTF-8)"
    problem = f"of {len(inside):,} files" if len(inside) != 1 else ""
    if not problem and inside[0].flag_bits & _ENCRYPTED:
        problem = "with a password"
    if not problem and inside[0].compress_type not in _ZIP_METHODS:
        problem = f"of an unusual method of compression ({inside[0].compress_type})"
    if not problem and Path(inside[0].filename).suffix.lower() in SUFFIXES:
        problem = "of a file that is compressed itself"
    return f"is a ZIP archive {problem}: unpack it with unzip" if problem else ""
