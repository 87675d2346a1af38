"""CSV and TSV by Python's `csv`: pyarrow's reader gives up a whole file for one bad byte, quote or field count."""

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from job.backends.tables import BLOCK_CHARS, BLOCK_ROWS, Block, Reject, open_bytes, reading, undecodable, unique
from job.runtime.errors import BadInput

_RECORD_LINES = 10_000
_RECORD_CHARS = 64_000_000

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
        self._encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
        with open_bytes(path) as raw:
            header = self._text(raw).readline()
        if not header.strip():
            raise BadInput(f"input.path: '{path}' is empty: expected a header line with the names of the columns")
        if header.startswith(("\udcff\udcfe", "\udcfe\udcff")):
            raise BadInput(f"input.path: '{path}' is UTF-16: set input.encoding=utf-16")
        self._delimiter = delimiter or max(",;\t|", key=header.count)
        with open_bytes(path) as raw:
            try:
                names = next(self._reader(_Lines(self._text(raw))))
            except _Unclosed:
                names = header.split(self._delimiter)
        names = [name.encode("utf-8", "replace").decode() for name in names]
        self.schema = pa.schema([(name, pa.string()) for name in unique(names)])

    def _text(self, raw: object) -> io.TextIOWrapper:
        return io.TextIOWrapper(raw, self._encoding, errors="surrogateescape", newline="")  # type: ignore[arg-type]

    def _reader(self, lines: _Lines) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self._delimiter)

    def blocks(self) -> Iterator[Block | Reject]:
        records: list[list[str]] = []
        rows: list[int] = []
        starts: list[int] = []
        chars = 0
        with reading(self.path), open_bytes(self.path) as raw:
            for row, line, fields, reason in self._records(_Lines(self._text(raw))):
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
        """Row number, line number, fields, and the reason where the record is rejected."""
        reader = self._reader(lines)
        width = len(self.schema)
        row = -1
        while True:
            start = lines.number + 1
            reason = ""
            try:
                fields = next(reader)
            except StopIteration:
                return
            except _Unclosed:
                fields, reason = [], "a quote that opens here is never closed"
            except csv.Error as error:
                fields, reason = [], f"not CSV: {error}"
            header = row < 0
            if not header and not reason and len(fields) != width and fields:
                reason = f"{len(fields)} fields where the header has {width}"
            if reason and len(lines.record) > 1 and not header:
                # a stray quote swallowed the lines after it: they are records of their own
                lines.back_up()
                reader = self._reader(lines)
            elif reason:
                reader = self._reader(lines)
            lines.done()
            if header:
                row = 0
                continue
            if not fields and not reason:
                continue
            row += 1
            if not reason:
                reason = next((f"undecodable: {why}" for why in map(undecodable, fields) if why), "")
            yield row, start, fields, reason
