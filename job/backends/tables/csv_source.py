"""Reads CSV and TSV with Python's `csv`: pyarrow rejects a whole file for one bad byte, quote or field count."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa

from job.backends.tables.csv_records import CsvRecords
from job.backends.tables.packed import open_bytes
from job.backends.tables.source import (
    BLOCK_CHARS,
    BLOCK_ROWS,
    Block,
    Lines,
    Reject,
    as_text,
    file_state,
    reading,
    shown,
    too_long,
    undecodable,
    unique,
)
from job.runtime.errors import BadInput

_SEPARATOR = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_LETTERS = re.compile("[A-Za-z]{3}")


class CsvSource:
    """A CSV or TSV file with a header. All columns are text, unchanged."""

    def __init__(self, path: Path, encoding: str, delimiter: str | None, line_limit: int) -> None:
        self.path = path
        self._state = file_state(path)
        self._encoding, self._line_limit = encoding, line_limit
        self._has_separator = False
        with open_bytes(path) as raw:
            header = self._first_line(raw)
        if header is not None and (separator := _SEPARATOR.fullmatch(header)):
            # Excel's own first line
            self._has_separator, delimiter = True, separator[1]
            with open_bytes(path) as raw:
                header = self._first_line(raw)
        if header is None:
            raise BadInput(f"input.path: '{shown(path)}': its header is {too_long(line_limit)}")
        if not header:
            raise BadInput(f"input.path: '{shown(path)}' is empty: expected a header line with the column names")
        if utf_16 := _utf_16(header, encoding):
            raise BadInput(f"input.path: '{shown(path)}' is UTF-16: set input.encoding={utf_16}")
        self._delimiter = delimiter or max(",;\t|", key=header.count)
        self._spaced = False
        names, reason = self._header()
        # "title, source": in the rows too, a quote may come after a space
        self._spaced = len(names) > 1 and all(name.startswith(" ") for name in names[1:])
        if self._spaced:
            names, reason = self._header()
        if reason:
            names = [name.strip(' "\r\n') for name in header.split(self._delimiter)]
        names = [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in names]
        self.schema = pa.schema([(name, pa.string()) for name in unique(names)])
        self.texts_within: Sequence[str] = ()
        self.never_text: Mapping[str, str] = {}

    def _header(self) -> tuple[list[str], str]:
        """The names of the columns, and what is wrong with them."""
        with open_bytes(self.path) as raw:
            _, names, reason = next(self._parsed(raw, 0), (0, [], "only delimiters"))
        return names, reason

    def _lines(self, raw: IO[bytes]) -> Iterable[str | None]:
        lines = Lines(as_text(raw, self._encoding, ""), self._line_limit, "\r\n")
        return _without_separator(lines) if self._has_separator else lines

    def _first_line(self, raw: IO[bytes]) -> str | None:
        """The first line that is not blank; None where it is too long, "" where there is none."""
        return next((line for line in self._lines(raw) if line is None or line.strip()), "")

    def blocks(self) -> Iterator[Block | Reject]:
        records: list[list[str]] = []
        rows: list[int] = []
        starts: list[int] = []
        chars = 0
        with reading(self.path, self._state), open_bytes(self.path) as raw:
            for row, line, fields, reason in self._records(raw):
                if reason:
                    yield Reject(row, line, reason)
                    continue
                records.append(fields)
                rows.append(row)
                starts.append(line)
                chars += sum(map(len, fields)) + len(fields)
                if len(records) >= BLOCK_ROWS or chars >= BLOCK_CHARS:
                    yield self._block(records, rows, starts)
                    records, rows, starts, chars = [], [], [], 0
            if records:
                yield self._block(records, rows, starts)

    def _block(self, records: list[list[str]], rows: list[int], lines: list[int]) -> Block:
        columns = [pa.array(column, pa.string()) for column in zip(*records, strict=True)]
        return Block(pa.Table.from_arrays(columns, schema=self.schema), rows, lines)

    def _records(self, raw: IO[bytes]) -> Iterator[tuple[int, int, list[str], str]]:
        """Row number, line number, fields, and the reason if the record is rejected; without the header."""
        for row, (line, fields, reason) in enumerate(self._parsed(raw, len(self.schema))):
            if row:
                if not reason:
                    problem = next(filter(None, map(undecodable, fields)), None)
                    reason = f"undecodable: {problem}" if problem else ""
                yield row, line, fields, reason

    def _parsed(self, raw: IO[bytes], width: int) -> Iterator[tuple[int, list[str], str]]:
        return iter(CsvRecords(self._lines(raw), self._delimiter, width, self._line_limit, self._spaced))


def _without_separator(lines: Lines) -> Iterator[str | None]:
    """The lines with a blank one in place of the first that is not blank, so that their numbers stay."""
    is_before = True
    for line in lines:
        is_blank = line is not None and not line.strip()
        yield line if is_blank or not is_before else "\n"
        is_before = is_before and is_blank


def _utf_16(header: str, encoding: str) -> str:
    """The name of the encoding of a header that is UTF-16 and was read in `encoding`; "" for any other header."""
    if header.startswith(("\udcff\udcfe", "\udcfe\udcff")):
        return "utf-16"
    # in UTF-16 no Latin letters stand side by side: then a NUL is damage
    if "\0" not in header or _LETTERS.search(header):
        return ""
    return "utf-16-le" if header.encode(encoding, "surrogateescape").index(b"\0") % 2 else "utf-16-be"
