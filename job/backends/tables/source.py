"""What all formats share: blocks of records, rejects, errors of reading, bytes and text."""

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


@dataclass(frozen=True)
class Reject:
    """A record left out: its number, its line (0 where the format has none), and why."""

    row: int
    line: int
    reason: str


@dataclass(frozen=True)
class Block:
    """Some records, columns as in the source's schema, with their numbers and lines."""

    table: pa.Table
    rows: list[int]
    lines: list[int]


class Source(Protocol):
    """One input file, its head read."""

    path: Path
    schema: pa.Schema

    def blocks(self) -> Iterator[Block | Reject]: ...


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """While in this block, errors of reading `path` become one clear `BadInput`."""
    where = f"input.path: '{path}'"
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{where} is a damaged or cut-off gzip file ({error})") from None
    except UnicodeError as error:
        raise BadInput(f"{where} does not decode ({error}); set input.encoding to the file's own") from None
    except pa.ArrowException as error:
        raise BadInput(f"{where} cannot be read ({str(error).splitlines()[0]})") from None
    except OSError as error:
        raise BadInput(f"{where}: {error.strerror or error}") from None


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked where it is gzip by its first two bytes."""
    file = path.open("rb")
    if file.read(2) == b"\x1f\x8b":
        file.close()
        return cast(IO[bytes], gzip.open(path, "rb"))
    file.seek(0)
    return file


def as_text(raw: IO[bytes], encoding: str, newline: str) -> io.TextIOWrapper:
    """The bytes as text, a leading byte order mark of UTF-8 dropped; what does not decode becomes surrogates."""
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        encoding = "utf-8-sig"
    return io.TextIOWrapper(raw, encoding, errors="surrogateescape", newline=newline)


def open_seekable(path: Path) -> IO[bytes]:
    """As `open_bytes`, but a gzip is unpacked into a temporary file first."""
    file = open_bytes(path)
    if not isinstance(file, gzip.GzipFile):
        return file
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with file:
        shutil.copyfileobj(file, unpacked)
    unpacked.seek(0)
    return unpacked


def unique(names: list[str]) -> list[str]:
    """Column names, the empty ones named by position and repeated ones numbered."""
    result: list[str] = []
    for position, name in enumerate(names, 1):
        name = base = name.strip() or f"column_{position}"
        number = 2
        while name in result:
            name, number = f"{base}_{number}", number + 1
        result.append(name)
    return result


def as_strings(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The column as text: what Arrow does not write as text becomes JSON."""
    if not pa.types.is_nested(column.type) and not pa.types.is_binary(column.type):
        return column.cast(pa.string())
    values = [
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        for value in column.to_pylist()
    ]
    return pa.array(values, pa.string())


def undecodable(text: str) -> str | None:
    """What is wrong with a text that holds bytes which did not decode, or half a surrogate pair; else None."""
    if text.isascii():
        return None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:
            return f"byte 0x{code - 0xDC00:02X} is not in the file's encoding; see input.encoding"
        return "half a surrogate pair is no character"
    return None
