"""Reads CSV and TSV with Python's `csv`: pyarrow rejects a whole file for one bad byte, quote or field count."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa

from job.backends.tables.source import (
    BLOCK_CHARS,
    BLOCK_ROWS,
    Block,
    Lines,
    Reject,
    as_text,
    open_bytes,
    reading,
    shown,
    too_long,
    undecodable,
    unique,
)
from job.runtime.errors import BadInput

_MAX_RECORD_LINES = 10_000
_MAX_RECORD_CHARS = 64_000_000
_UNCLOSED_REASON = "a quote that opens here is never closed"

csv.field_size_limit(sys.maxsize)


class _UnclosedQuoteError(Exception):
    """A quoted field runs to the end of the file, or is implausibly long."""


class _TooLongError(Exception):
    """A line is longer than the limit."""


class _TooLong(str):
    """Stands for a line that is too long, which is not kept."""


class _LineReader:
    """Physical lines; those of the current record are kept, so that they can be read again."""

    def __init__(self, lines: Lines) -> None:
        self._lines = iter(lines)
        self._unread: list[str] = []
        self.record: list[str] = []
        self.number = 0
        self._chars = 0

    def __iter__(self) -> "_LineReader":
        return self

    def __next__(self) -> str:
        line = self._unread.pop() if self._unread else next(self._lines, "")
        if line == "" and not isinstance(line, _TooLong):
            if self.record:
                raise _UnclosedQuoteError
            raise StopIteration
        line = _TooLong() if line is None else line
        self.record.append(line)
        if isinstance(line, _TooLong):
            raise _TooLongError
        self._chars += len(line)
        if len(self.record) > _MAX_RECORD_LINES or self._chars > _MAX_RECORD_CHARS:
            raise _UnclosedQuoteError
        return line

    def end_record(self) -> None:
        """Count the lines of the current record and begin a new one."""
        self.number += len(self.record)
        self.record.clear()
        self._chars = 0

    def end_record_after_first_line(self) -> None:
        """Make the first line a record of its own; the other lines will be read again."""
        self._unread.extend(reversed(self.record[1:]))
        del self.record[1:]
        self.end_record()


class CsvSource:
    """A CSV or TSV file with a header. All columns are text, unchanged."""

    def __init__(self, path: Path, encoding: str, delimiter: str | None, line_limit: int) -> None:
        self.path = path
        self._encoding, self._line_limit = encoding, line_limit
        with open_bytes(path) as raw:
            header = next((line for line in self._lines(raw) if line is None or line.strip()), "")
        if header is None:
            raise BadInput(f"input.path: '{shown(path)}': its header is {too_long(line_limit)}")
        if not header:
            raise BadInput(f"input.path: '{shown(path)}' is empty: expected a header line with the column names")
        if header.startswith(("\udcff\udcfe", "\udcfe\udcff")):
            raise BadInput(f"input.path: '{shown(path)}' is UTF-16: set input.encoding=utf-16")
        self._delimiter = delimiter or max(",;\t|", key=header.count)
        with open_bytes(path) as raw:
            _, names, reason = next(self._parsed(_LineReader(self._lines(raw)), 0), (0, [], "only delimiters"))
        if reason:
            names = [name.strip(' "\r\n') for name in header.split(self._delimiter)]
        names = [name.encode("utf-8", "replace").decode() for name in names]
        self.schema = pa.schema([(name, pa.string()) for name in unique(names)])

    def _lines(self, raw: IO[bytes]) -> Lines:
        return Lines(as_text(raw, self._encoding, ""), self._line_limit)

    def blocks(self) -> Iterator[Block | Reject]:
        records: list[list[str]] = []
        rows: list[int] = []
        starts: list[int] = []
        chars = 0
        with reading(self.path), open_bytes(self.path) as raw:
            for row, line, fields, reason in self._records(_LineReader(self._lines(raw))):
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

    def _records(self, lines: _LineReader) -> Iterator[tuple[int, int, list[str], str]]:
        """Row number, line number, fields, and the reason if the record is rejected; without the header."""
        for row, (line, fields, reason) in enumerate(self._parsed(lines, len(self.schema))):
            if row:
                if not reason:
                    problem = next(filter(None, map(undecodable, fields)), None)
                    reason = f"undecodable: {problem}" if problem else ""
                yield row, line, fields, reason

    def _parsed(self, lines: _LineReader, width: int) -> Iterator[tuple[int, list[str], str]]:
        """Line number, fields, and the reason of rejection ("" if none) of each record that is not blank, header first.

        An unclosed quote swallows lines up to the next quote. So reading is strict, and of a bad record of several
        lines only the first line is rejected: the other lines are read again as records of their own.
        """
        strict = csv.reader(lines, delimiter=self._delimiter, strict=True)
        header = True
        while True:
            start = lines.number + 1
            fields: list[str] = []
            reason = ""
            try:
                fields = next(strict)
            except StopIteration:
                return
            except _UnclosedQuoteError:
                reason = _UNCLOSED_REASON
            except _TooLongError:
                # within quotes, the first line is the one that is wrong
                reason = too_long(self._line_limit) if len(lines.record) == 1 else _UNCLOSED_REASON
            except csv.Error:
                reason = _UNCLOSED_REASON
                if len(lines.record) == 1:
                    # a field that starts with a quoted word and continues: only the strict reader rejects it
                    fields = next(csv.reader(lines.record, delimiter=self._delimiter))
                    reason = _UNCLOSED_REASON if fields[-1].endswith(("\n", "\r")) else ""
            if fields and not header and len(fields) != width:
                reason = f"{len(fields)} fields where the header has {width}"
            if reason and len(lines.record) > 1:
                lines.end_record_after_first_line()
            lines.end_record()
            blank = not any(map(str.strip, fields)) if header else not fields
            if reason or not blank:
                header = False
                yield start, fields, reason
