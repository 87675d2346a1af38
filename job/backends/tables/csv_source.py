"""CSV and TSV by Python's `csv`: pyarrow's reader gives up a whole file for one bad byte, quote or field count."""

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
    Reject,
    as_text,
    open_bytes,
    reading,
    undecodable,
    unique,
)
from job.runtime.errors import BadInput

_RECORD_LINES = 10_000
_RECORD_CHARS = 64_000_000
_UNCLOSED = "a quote that opens here is never closed"

csv.field_size_limit(sys.maxsize)


class _Unclosed(Exception):
    """A quoted field that runs to the end of the file, or implausibly far."""


class _Lines:
    """Physical lines, those of the record at hand remembered so that they can be read again."""

    def __init__(self, file: io.TextIOBase) -> None:
        self._file = file
        self._again: list[str] = []
        self.record: list[str] = []
        self.number = 0
        self._chars = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else self._file.readline()
        if not line:
            if self.record:
                raise _Unclosed
            raise StopIteration
        self.record.append(line)
        self._chars += len(line)
        if len(self.record) > _RECORD_LINES or self._chars > _RECORD_CHARS:
            raise _Unclosed
        return line

    def done(self) -> None:
        """The record is complete."""
        self.number += len(self.record)
        self.record.clear()
        self._chars = 0

    def back_up(self) -> None:
        """Keep the record's first line as a record of its own; read the others again."""
        self._again.extend(reversed(self.record[1:]))
        del self.record[1:]
        self.done()


class CsvSource:
    """A CSV or TSV file with a header. All columns are text, as they stand."""

    def __init__(self, path: Path, encoding: str, delimiter: str | None) -> None:
        self.path = path
        self._encoding = encoding
        with open_bytes(path) as raw:
            header = next((line for line in as_text(raw, encoding, "") if line.strip()), "")
        if not header:
            raise BadInput(f"input.path: '{path}' is empty: expected a header line with the names of the columns")
        if header.startswith(("\udcff\udcfe", "\udcfe\udcff")):
            raise BadInput(f"input.path: '{path}' is UTF-16: set input.encoding=utf-16")
        self._delimiter = delimiter or max(",;\t|", key=header.count)
        with open_bytes(path) as raw:
            _, names, reason = next(self._parsed(_Lines(as_text(raw, encoding, "")), 0))
        if reason:
            names = [name.strip(' "\r\n') for name in header.split(self._delimiter)]
        names = [name.encode("utf-8", "replace").decode() for name in names]
        self.schema = pa.schema([(name, pa.string()) for name in unique(names)])

    def blocks(self) -> Iterator[Block | Reject]:
        records: list[list[str]] = []
        rows: list[int] = []
        starts: list[int] = []
        chars = 0
        with reading(self.path), open_bytes(self.path) as raw:
            for row, line, fields, reason in self._records(_Lines(as_text(raw, self._encoding, ""))):
                if reason:
                    yield Reject(row, line, reason)
                    continue
                records.append(fields)
                rows.append(row)
                starts.append(line)
                chars += sum(map(len, fields))
                if len(records) >= BLOCK_ROWS or chars >= BLOCK_CHARS:
                    yield self._block(records, rows, starts)
                    records, rows, starts, chars = [], [], [], 0
            if records:
                yield self._block(records, rows, starts)

    def _block(self, records: list[list[str]], rows: list[int], lines: list[int]) -> Block:
        columns = [pa.array(column, pa.string()) for column in zip(*records, strict=True)]
        return Block(pa.Table.from_arrays(columns, schema=self.schema), rows, lines)

    def _records(self, lines: _Lines) -> Iterator[tuple[int, int, list[str], str]]:
        """Row number, line number, fields, and the reason where the record is rejected; the header left out."""
        for row, (line, fields, reason) in enumerate(self._parsed(lines, len(self.schema))):
            if row:
                wrong = reason or next((f"undecodable: {why}" for why in map(undecodable, fields) if why), "")
                yield row, line, fields, wrong

    def _parsed(self, lines: _Lines, width: int) -> Iterator[tuple[int, list[str], str]]:
        """Line number, fields, and what is wrong with each record that is not blank, the header first.

        A quote left open swallows lines up to the next quote. So reading is strict, and a record of several lines
        that is not right is its first line alone: the others are read again as records of their own.
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
            except _Unclosed:
                reason = _UNCLOSED
            except csv.Error:
                reason = _UNCLOSED
                if len(lines.record) == 1:
                    # a field that begins with a quoted word and goes on: fine by everybody but the strict reader
                    fields = next(csv.reader(lines.record, delimiter=self._delimiter))
                    reason = _UNCLOSED if fields[-1].endswith(("\n", "\r")) else ""
            if fields and not header and len(fields) != width:
                reason = f"{len(fields)} fields where the header has {width}"
            if reason and len(lines.record) > 1:
                lines.back_up()
            lines.done()
            blank = not any(map(str.strip, fields)) if header else not fields
            if reason or not blank:
                header = False
                yield start, fields, reason
