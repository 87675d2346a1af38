"""Shared by all file formats: blocks of records, rejects, read errors, and decoding of bytes to text."""

import base64
import gzip
import io
import json
import lzma
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa

from job.backends.tables.packed import packing_of
from job.runtime.errors import BadInput
from job.runtime.system_errors import no_room

BLOCK_ROWS = 8_192
BLOCK_CHARS = 8_000_000
MEGA = 1_000_000
_PASSED_OVER_AT_ONCE = 65_536
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
    """An input file whose columns are known. `texts_within`: names of texts within objects, for messages.
    `never_text`: text columns that are no text in any row, each with what is wrong."""

    path: Path
    schema: pa.Schema
    texts_within: Sequence[str]
    never_text: Mapping[str, str]

    def blocks(self) -> Iterator[Block | Reject]:
        """Every record exactly once, in a block or as a reject."""
        ...


FileState = tuple[int, ...]


def file_state(path: Path) -> FileState:
    """What changes when the file is replaced or written to; () where there is none."""
    try:
        about = path.stat()
    except FileNotFoundError:
        return ()
    return (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)


@contextmanager
def reading(path: Path, before: FileState | None = None) -> Iterator[None]:
    """Inside this block, any error while reading `path` becomes one clear `BadInput`, and so does a change of the file
    since it was in the state `before`; None: since now."""
    where = f"input.path: '{shown(path)}'"
    try:
        before = file_state(path) if before is None else before
        try:
            yield
        finally:
            # a change explains an error too; whoever stops early has no answer that could be wrong
            if not isinstance(sys.exc_info()[1], GeneratorExit | BadInput) and file_state(path) != before:
                raise BadInput(f"{where} changed while it was read: start again when nobody writes to it")
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise BadInput(f"{where} is a damaged or cut-off {packing_of(path)} file ({error})") from None
    except UnicodeError as error:
        raise BadInput(f"{where} cannot be decoded ({error}); set input.encoding to the encoding of the file") from None
    except pa.ArrowException as error:
        raise BadInput(f"{where} cannot be read ({str(error).splitlines()[0]})") from None
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0][:200]
        damaged = error.errno is None and packing_of(path)
        raise no_room(error) or BadInput(
            f"{where} is a damaged or cut-off {damaged} file ({reason})" if damaged else f"{where}: {reason}"
        ) from None


def as_text(raw: IO[bytes], encoding: str, newline: str) -> io.TextIOWrapper:
    """The bytes as text, without a leading UTF-8 byte order mark; undecodable bytes become surrogates."""
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        encoding = "utf-8-sig"
    return io.TextIOWrapper(raw, encoding, errors="surrogateescape", newline=newline)


class Lines:
    """The lines of a text, each with its end; None in place of one of more than `limit` characters and its end, which
    is passed over without being held in memory. `ends`: the characters that end a line, as `as_text` was told."""

    def __init__(self, text: io.TextIOWrapper, limit: int, ends: str = "\n") -> None:
        self._text, self._limit, self._ends = text, limit, tuple(ends)

    def __iter__(self) -> Iterator[str | None]:
        last = ""
        while line := self._text.readline(self._limit + 1):
            cut_in_two, last = line == "\n" and last.endswith("\r"), line
            if cut_in_two:
                continue
            if len(line) <= self._limit or line.endswith(self._ends):
                yield line
                continue
            while (last := self._text.readline(_PASSED_OVER_AT_ONCE)) and not last.endswith(self._ends):
                pass
            yield None


def too_long(limit: int) -> str:
    """The reason for a line that is passed over."""
    return f"longer than {limit // MEGA} million characters; see input.max_line_mb"


def unique(names: list[str]) -> list[str]:
    """Column names without duplicates: an empty name becomes its position, a repeated one gets a number."""
    result: dict[str, None] = {}
    next_number: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        name = base = name.strip() or f"column_{position}"
        number = next_number.get(base, 2)
        while name in result:
            name, number = f"{base}_{number}", number + 1
        next_number[base] = number
        result[name] = None
    return list(result)


def as_strings(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The column as text: nested values become JSON, binary values base64, durations "1 day, 0:00:05". A value that has
    no form outside of Arrow, as a date of the year 100,000 in a list, becomes "?"."""
    kind = column.type
    # Arrow writes a duration as its number alone, without the unit
    by_value = pa.types.is_nested(kind) or is_binary(kind) or pa.types.is_duration(kind)
    if not (by_value or isinstance(kind, pa.BaseExtensionType)):
        return column.cast(pa.string())
    return pa.array([_as_string(value) for value in python_values(column)], pa.string())


def python_values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The column as Python values; "?" for a value that Python has no form for."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return [_python_value(item) for item in column]


def _python_value(item: Any) -> Any:
    try:
        return item.as_py()
    except (OverflowError, ValueError):
        return "?"


def is_binary(kind: pa.DataType) -> bool:
    """Whether a type holds bytes, in any of its layouts."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _as_string(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=_as_string)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def shown(path: Path | str) -> str:
    """A path for messages: one line of printable UTF-8, with escapes such as \\n for anything else."""
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
