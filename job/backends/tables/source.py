"""Shared by all file formats: blocks of records, rejects, read errors, and decoding of bytes to text."""

import gzip
import io
import json
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

import pyarrow as pa

from job.runtime.errors import BadInput

BLOCK_ROWS = 8_192
BLOCK_CHARS = 8_000_000
MEGABYTE = 2**20
MAX_COLUMNS = 100_000
HALF_SURROGATE_PAIR = "half of a surrogate pair is not a character"


@dataclass(frozen=True)
class Reject:
    """A record left out: its number, its line (0 where the format has no lines), and the reason."""

    row: int
    line: int
    reason: str


@dataclass(frozen=True)
class Block:
    """Some records, with the columns of the source's schema, their numbers and their lines."""

    table: pa.Table
    rows: list[int]
    lines: list[int]


class Source(Protocol):
    """An input file whose columns are known."""

    path: Path
    schema: pa.Schema

    def blocks(self) -> Iterator[Block | Reject]:
        """Every record exactly once, in a block or as a reject."""
        ...


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Inside this block, any error while reading `path` becomes one clear `BadInput`."""
    where = f"input.path: '{shown(path)}'"
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{where} is a damaged or cut-off gzip file ({error})") from None
    except UnicodeError as error:
        raise BadInput(f"{where} cannot be decoded ({error}); set input.encoding to the encoding of the file") from None
    except pa.ArrowException as error:
        raise BadInput(f"{where} cannot be read ({str(error).splitlines()[0]})") from None
    except OSError as error:
        raise BadInput(f"{where}: {error.strerror or error}") from None


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, decompressed if its first two bytes are those of gzip."""
    file = path.open("rb")
    if file.read(2) == b"\x1f\x8b":
        file.close()
        return cast(IO[bytes], gzip.open(path, "rb"))
    file.seek(0)
    return file


def as_text(raw: IO[bytes], encoding: str, newline: str) -> io.TextIOWrapper:
    """The bytes as text, without a leading UTF-8 byte order mark; undecodable bytes become surrogates."""
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        encoding = "utf-8-sig"
    return io.TextIOWrapper(raw, encoding, errors="surrogateescape", newline=newline)


class LongLine(str):
    """The start of a line that is longer than allowed; the rest of it is skipped."""

    __slots__ = ()


def read_line(file: io.TextIOBase, limit: int, ends: tuple[str, ...]) -> str:
    """The next line, "" at the end of the file; a `LongLine` if it has more than `limit` characters.

    `ends`: what ends a line of this file.
    """
    line = file.readline(limit)
    if len(line) < limit or line.endswith(ends):
        return line
    rest = file.readline(BLOCK_CHARS)
    if not rest:
        return line
    while rest and not rest.endswith(ends):
        rest = file.readline(BLOCK_CHARS)
    return LongLine(line[:100])


def too_long(limit: int) -> str:
    """The reason for rejecting a `LongLine`."""
    return f"longer than {limit // MEGABYTE} MB; see input.max_line_mb"


def open_seekable(path: Path) -> IO[bytes]:
    """Like `open_bytes`, but a gzip file is first decompressed into a temporary file."""
    file = open_bytes(path)
    if not isinstance(file, gzip.GzipFile):
        return file
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with file:
        shutil.copyfileobj(file, unpacked)
    unpacked.seek(0)
    return unpacked


def unique(names: list[str], path: Path) -> list[str]:
    """Column names without duplicates: an empty name becomes its position, a repeated one gets a number.

    Raises:
        BadInput: there are more than `MAX_COLUMNS`.
    """
    if len(names) > MAX_COLUMNS:
        raise BadInput(
            f"input.path: '{shown(path)}' has {len(names):,} columns, and {MAX_COLUMNS:,} is the most: "
            "take out those that are no columns"
        )
    result: dict[str, None] = {}
    numbers: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        name = base = name.strip() or f"column_{position}"
        while name in result:
            numbers[base] = numbers.get(base, 1) + 1
            name = f"{base}_{numbers[base]}"
        result[name] = None
    return list(result)


def as_strings(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The column as text; nested and binary values become JSON, since Arrow does not write them as text."""
    if not pa.types.is_nested(column.type) and not pa.types.is_binary(column.type):
        return column.cast(pa.string())
    values = [
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        for value in column.to_pylist()
    ]
    return pa.array(values, pa.string())


def shown(path: Path | str | None) -> str:
    """The path for messages, in one line of printable UTF-8: anything else in it is a backslash and a code."""
    text = str(path)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def undecodable(text: str) -> str | None:
    """The first undecodable byte or half surrogate pair in the text, in words; None if there is none."""
    if text.isascii():
        return None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:
            return f"byte 0x{code - 0xDC00:02X} is not in the file's encoding; see input.encoding"
        return HALF_SURROGATE_PAIR
    return None
