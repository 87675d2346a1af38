"""Reads CSV and TSV with Python's `csv`: pyarrow rejects a whole file for one bad byte, quote or field count."""

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from job.backends.tables.source import (
    BLOCK_CHARS,
    BLOCK_ROWS,
    Block,
    LongLine,
    Reject,
    as_text,
    open_bytes,
    read_line,
    reading,
    shown,
    too_long,
    undecodable,
    unique,
)
from job.runtime.errors import BadInput

_MAX_RECORD_LINES = 10_000
_ENDS = ("\n", "\r")
_UNCLOSED_REASON = "a quote that opens here is never closed"

csv.field_size_limit(sys.maxsize)


class _UnclosedQuoteError(Exception):
    """A quoted field runs to the end of the file, or is implausibly long."""


class _LongLineError(Exception):
    """A record starts with a line that is longer than allowed."""


class _LineReader:
    """Physical lines; those of the current record are kept, so that they can be read again. A record has at most
    `limit` characters."""

    def __init__(self, file: io.TextIOBase, limit: int) -> None:
        self._file, self._limit = file, limit
        self._unread: list[str] = []
        self.record: list[str] = []
        self.number = 0
        self._chars = 0

    def __iter__(self) -> "_LineReader":
        return self

    def __next__(self) -> str:
        line = self._unread.pop() if self._unread else read_line(self._file, self._limit, _ENDS)
        if not line:
            if self.record:
                raise _UnclosedQuoteError
            raise StopIteration
        self.record.append(line)
        self._chars += len(line)
        long = isinstance(line, LongLine)
        if long and len(self.record) == 1:
            raise _LongLineError
        if long or len(self.record) > _MAX_RECORD_LINES or self._chars > self._limit:
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

    def __init__(self, path: Path, encoding: str, delimiter: str | None, max_line: int) -> None:
        self.path = path
        self._encoding, self._max_line = encoding, max_line
        header = self._header()
        if header.startswith(("\udcff\udcfe", "\udcfe\udcff")):
            raise BadInput(f"input.path: '{shown(path)}' is UTF-16: set input.encoding=utf-16")
        self._delimiter = delimiter or max(",;\t|", key=header.count)
        with open_bytes(path) as raw:
            lines = _LineReader(as_text(raw, encoding, ""), max_line)
            _, names, reason = next(self._parsed(lines, 0), (0, [], "only delimiters"))
        if reason:
            names = [name.strip(' "\r\n') for name in header.split(self._delimiter)]
        names = [name.encode("utf-8", "replace").decode() for name in names]
        self.schema = pa.schema([(name, pa.string()) for name in unique(names, path)])

    def _header(self) -> str:
        """The first line that is not blank."""
        with open_bytes(self.path) as raw:
            lines = as_text(raw, self._encoding, "")
            while line := read_line(lines, self._max_line, _ENDS):
                if isinstance(line, LongLine):
                    raise BadInput(
                        f"input.path: '{shown(self.path)}' starts with a line {too_long(self._max_line)}: expected a "
                        "header line with the column names"
                    )
                if line.strip():
                    return line
        raise BadInput(f"input.path: '{shown(self.path)}' is empty: expected a header line with the column names")

    def blocks(self) -> Iterator[Block | Reject]:
        records: list[list[str]] = []
        rows: list[int] = []
        starts: list[int] = []
        chars = 0
        with reading(self.path), open_bytes(self.path) as raw:
            for row, line, fields, reason in self._records(
                _LineReader(as_text(raw, self._encoding, ""), self._max_line)
            ):
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
            except _LongLineError:
                reason = too_long(self._max_line)
            except _UnclosedQuoteError:
                reason = _UNCLOSED_REASON
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
