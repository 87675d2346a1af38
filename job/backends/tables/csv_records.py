"""Splits the lines of a CSV file into records, in time that grows with the file and no faster, whatever it holds.

An unclosed quote swallows lines up to the next quote. So reading is strict, and of a bad record of several lines only
the first line is rejected: the other lines are read again as records of their own. They may swallow lines in turn,
hence what comes of a quote that is open at the start of a line is found out once for each line, and kept.
"""

import csv
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from job.backends.tables.source import too_long

MAX_RECORD_LINES = 10_000
_MAX_RECORD_CHARS = 64_000_000
_UNKNOWN = -1
NEVER_CLOSED = "a quote that opens here is never closed"

csv.field_size_limit(sys.maxsize)


class _UnfinishedError(Exception):
    """A quoted field runs past the lines that there are or may be."""


class _AheadOfRecord:
    """The lines of a file by number, from `first` of the current record on; those read ahead are kept.

    `taken`: how many lines the record has so far.
    """

    def __init__(self, lines: Iterable[str | None]) -> None:
        self._lines = iter(lines)
        self._read: dict[int, str | None] = {}
        self.first = 1
        self.taken = self._chars = 0

    def line(self, number: int) -> str | None:
        """A line; "" after the last, None for one that is too long. At most the line after those already read."""
        if number not in self._read:
            self._read[number] = next(self._lines, "")
        return self._read[number]

    def is_read(self) -> bool:
        """Whether the first line of the current record was read before."""
        return self.first in self._read

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.line(self.first + self.taken)
        if line == "" and not self.taken:
            raise StopIteration
        self.taken += 1
        self._chars += len(line or "")
        if not line or self.taken > MAX_RECORD_LINES or self._chars > _MAX_RECORD_CHARS:
            raise _UnfinishedError
        return line

    def take(self, count: int) -> None:
        """Make the current record one of so many lines."""
        self.taken, self._chars = count, 0

    def end_record(self) -> None:
        """Drop the lines of the current record, and begin a new one after them."""
        for number in range(self.first, self.first + self.taken):
            self._read.pop(number)
        self.first += self.taken
        self.taken = self._chars = 0


@dataclass
class _OpenLines:
    """Lines in sequence that all are within a quoted field at their start and at their end.

    `before`: how many fields were closed, and how many characters read, before each line and before the next.
    `closing`: the fields that the next line closes; None if it closes no record; `_UNKNOWN` until it is looked at.
    """

    first: int
    next: int
    before: dict[int, tuple[int, int]]
    closing: int | None = _UNKNOWN


class CsvRecords:
    """The records of a CSV file that are not blank, header first: line number, fields, and the reason of rejection
    ("" if none). `width`: the number of fields of a record; the header may have any. `spaced`: spaces after a delimiter
    are no part of a field."""

    def __init__(
        self, lines: Iterable[str | None], delimiter: str, width: int, line_limit: int, spaced: bool = False
    ) -> None:
        self._ahead = _AheadOfRecord(lines)
        self._delimiter, self._width, self._line_limit = delimiter, width, line_limit
        self._spaced = spaced
        self._is_header = True
        self._open = _OpenLines(0, 0, {})

    def __iter__(self) -> Iterator[tuple[int, list[str], str]]:
        strict = self._reader(self._ahead)
        while True:
            start, fields, reason = self._ahead.first, [], ""
            try:
                # a line that an earlier record swallowed could swallow the same lines again
                done = not self._ahead.is_read()
                if done:
                    fields = next(strict)
                    reason = self._misfit(len(fields)) if fields else ""
                    # of several lines, only the first is wrong
                    done = not reason or self._ahead.taken == 1
            except StopIteration:
                return
            except (_UnfinishedError, csv.Error):
                done = False
            if not done:
                if self._ahead.line(start) == "":
                    return
                fields, reason = self._carefully(start)
            self._ahead.end_record()
            blank = not any(map(str.strip, fields)) if self._is_header else not fields
            if reason or not blank:
                self._is_header = False
                yield start, fields, reason

    def _reader(self, lines: Iterable[str], strict: bool = True, escape: str | None = None) -> Iterator[list[str]]:
        return csv.reader(
            lines, delimiter=self._delimiter, escapechar=escape, strict=strict, skipinitialspace=self._spaced
        )

    def _carefully(self, start: int) -> tuple[list[str], str]:
        """Fields and reason of the record that begins with line `start`; takes its lines."""
        fields, reason = self._quoted(start)
        return (plain, "") if reason and (plain := self._unquoted(self._ahead.line(start))) else (fields, reason)

    def _quoted(self, start: int) -> tuple[list[str], str]:
        """As `_carefully`, where quotes are what they are in CSV."""
        self._ahead.take(1)
        line = self._ahead.line(start)
        if line is None:
            return [], too_long(self._line_limit)
        reason = ""
        try:
            fields = next(self._reader(_alone(line)))
        except _UnfinishedError:
            return (escaped, "") if (escaped := self._escaped(line)) else self._of_several_lines(start, line)
        except csv.Error:
            if found := self._escaped(line) or self._unquoted(line):
                return found, ""
            # a field that starts with a quoted word and continues: only the strict reader rejects it
            fields = next(self._reader([line], strict=False))
            reason = NEVER_CLOSED if fields[-1].endswith(("\n", "\r")) else ""
        return fields, (self._misfit(len(fields)) if fields else "") or reason

    def _escaped(self, line: str) -> list[str]:
        """The fields of a line that is a whole record where a backslash stands before each quote within a field, as
        Spark and MySQL write it; none where it is not."""
        if '\\"' not in line:
            return []
        try:
            fields = next(self._reader(_alone(line), escape="\\"))
        except (csv.Error, _UnfinishedError):
            return []
        return fields if len(fields) == self._width else []

    def _unquoted(self, line: str | None) -> list[str]:
        """The fields of a line between tabs, where quotes are characters like others, as Hive, MySQL and GDELT write
        them; none where their number is not right."""
        fields = line.rstrip("\r\n").split("\t") if line and self._delimiter == "\t" else []
        return fields if len(fields) == self._width else []

    def _of_several_lines(self, start: int, line: str) -> tuple[list[str], str]:
        """As `_carefully`, of a record whose first line leaves a quote open."""
        closed = self._closed_after(start, len(line))
        if closed is None:
            return [], NEVER_CLOSED
        # the last field of the first line is the open one
        reason = self._misfit(len(next(self._reader([line], strict=False))) - 1 + closed)
        if reason:
            return [], reason
        self._ahead.take(0)
        return next(self._reader(self._ahead)), ""

    def _misfit(self, count: int) -> str:
        if self._is_header or count == self._width:
            return ""
        return f"{count} fields where the header has {self._width}"

    def _closed_after(self, start: int, chars: int) -> int | None:
        """How many fields the record closes after line `start`, of so many characters, which leaves a quote open; None
        if it never ends, or not within the limits of a record."""
        if not self._open.first <= start + 1 <= self._open.next:
            self._open = _OpenLines(start + 1, start + 1, {start + 1: (0, 0)})
        run = self._open
        # the lines of earlier records are not asked for again
        for number in range(run.first, start + 1):
            del run.before[number]
        run.first = start + 1
        fields_before, chars_before = run.before[start + 1]
        while run.next - start < MAX_RECORD_LINES:
            line = self._ahead.line(run.next)
            fields, read = run.before[run.next]
            if chars + read - chars_before + len(line or "") > _MAX_RECORD_CHARS:
                return None
            if run.closing == _UNKNOWN:
                self._look_at(run, line)
            if run.closing != _UNKNOWN:
                return None if run.closing is None else fields - fields_before + run.closing
        return None

    def _look_at(self, run: _OpenLines, line: str | None) -> None:
        """Find what comes of a quote that is open at the start of the next line."""
        run.closing = None
        if not line:
            return
        try:
            run.closing = len(next(self._reader(_alone(f'"{line}'))))
        except _UnfinishedError:
            closed = len(next(self._reader([f'"{line}'], strict=False))) - 1
            fields, chars = run.before[run.next]
            run.next += 1
            run.before[run.next] = (fields + closed, chars + len(line))
            run.closing = _UNKNOWN
        except csv.Error:
            return


def _alone(line: str) -> Iterator[str]:
    """The line; then an error, where the reader of a record wants more."""
    yield line
    raise _UnfinishedError
