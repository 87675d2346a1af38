"""The times of the input: each file's are read by what its own column tells, and where that tells nothing, as the other
files' are."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from job.backends.tables import Block, Source, shown
from job.backends.tables.times import Times
from job.backends.tables.within import first_within
from job.runtime.log import logger

# a date in an example, and then its time
_DATE = re.compile(r"\d{1,2}([./-])\d{1,2}\1(\d{4}|\d{2})\b")
_TIMES = ((r"\d{1,2}:\d{2}:\d{2}", "%H:%M:%S"), (r"\d{1,2}:\d{2}", "%H:%M"))
_ORDERS = {True: "the day", False: "the month"}


@dataclass(frozen=True)
class FileTimes:
    """The parser of a file's times, which counts; the file's name, and that of the column. `inner`: of a column of
    objects, the name of a text in them."""

    file: str
    column: str
    times: Times
    inner: str | None


@dataclass
class InputTimes:
    """The parsers of the files that have times, by the file's number. `day_first`: whether the day comes first where no
    file tells, None = not known."""

    day_first: bool | None = None
    files: dict[int, FileTimes] = field(default_factory=dict)

    def add(self, number: int, source: Source, column: str, format: str | None) -> None:
        """Add a file's column. It is only read as a whole where that is needed."""
        times = Times(format, lambda: _parts(source, column), self._otherwise)
        self.files[number] = FileTimes(shown(source.path), column, times, first_within(column, source.texts_within))

    def _otherwise(self) -> bool | None:
        orders = {order for one in self.files.values() for order in one.times.of_column.orders}
        return next(iter(orders)) if len(orders) == 1 else None if orders else self.day_first

    @property
    def told(self) -> bool | None:
        """Whether the day comes before the month in this input; None where nothing tells, or files disagree."""
        orders = {order for one in self.files.values() for order in (*one.times.orders, one.times.day_first)} - {None}
        return next(iter(orders)) if len(orders) == 1 else None

    @property
    def unusable(self) -> int:
        return sum(one.times.unusable for one in self.files.values())


def _parts(source: Source, column: str) -> Iterator[pa.Array]:
    """A file's column of times, read by itself."""
    for item in source.blocks():
        if isinstance(item, Block):
            yield item.table[column].combine_chunks()


def time_notes(found: InputTimes) -> list[str]:
    """What became of the times, where they are not simply times; also logged."""
    files = list(found.files.values())
    notes = []
    for count, what in (
        ("without_zone", "times of column '{}' name no known zone: taken as UTC"),
        ("serial", "numbers of column '{}' are taken as Excel's, days since 1899-12-30"),
    ):
        these = [one for one in files if getattr(one.times, count)]
        if these:
            total = sum(getattr(one.times, count) for one in these)
            notes.append(f"{total:,} {what.format(these[0].column)}")
    notes += _order_notes(files, found.day_first)
    notes += _unusable_notes(files)
    notes = [f"input.time: {note}" for note in notes]
    for note in notes:
        logger.warning("ingest: %s", note)
    return notes


def _order_notes(files: Sequence[FileTimes], day_first: bool | None) -> list[str]:
    """How days were told from months, where that is more than one column's own values."""
    notes = []
    told = {order: _names([one for one in files if one.times.orders == {order}]) for order in (True, False)}
    if all(told.values()):
        first = " and ".join(f"{_ORDERS[order]} in {names}" for order, names in told.items())
        notes.append(f"what comes first differs from file to file: {first}; each is read as its own values tell")
    for order in (True, False):
        silent = [one for one in files if one.times.day_first is order and not one.times.orders]
        if silent:
            like = "the other files" if any(told.values()) else "the run's own input"
            notes.append(
                f"no date of {_names(silent)} tells whether the day or the month comes first: read as in {like}, "
                f"{_ORDERS[order]} first"
            )
    return notes


def _unusable_notes(files: Sequence[FileTimes]) -> list[str]:
    """What cannot be read, and what to do."""
    notes = []
    open_order = [one for one in files if one.times.undecided]
    if open_order:
        first = open_order[0]
        example, several = first.times.undecided_example, len(files) > 1
        rows = sum(one.times.undecided for one in open_order)
        in_files = f" of {_names(open_order)}" if several else ""
        why = "other values disagree" if first.times.orders else "no other value tells"
        action = " or ".join(f"'input.time_format={_format(example, order)}'" for order in ("dm", "md"))
        action = f"set {action}"
        if several and not first.times.orders and any(one.times.orders for one in files):
            why = "other files disagree"
        if several and any(one.times.orders for one in files if one not in open_order):
            # a format is for all files
            action = "write these dates as 2024-04-25"
        notes.append(
            f"{rows:,} rows have no usable time in column '{first.column}'{in_files}: in '{example}' the day may come "
            f"first or the month, and {why}: {action}"
        )
    others = [one for one in files if one.times.unusable > one.times.undecided]
    if others:
        # one that has an example, if there is any
        first = next((one for one in others if one.times.example), others[0])
        rows = sum(one.times.unusable - one.times.undecided for one in others)
        in_files = f" of {_names(others)}" if len(files) > 1 else ""
        notes.append(f"{rows:,} rows have no usable time in column '{first.column}'{in_files}{_advice(first)}")
    return notes


def _names(files: Sequence[FileTimes]) -> str:
    """The first of the files, and how many more there are; "" for none."""
    if not files:
        return ""
    return f"'{files[0].file}'" + (f" and {len(files) - 1:,} more" if len(files) > 1 else "")


def _advice(file: FileTimes) -> str:
    times = file.times
    if not times.example:
        return ""
    example = f", such as '{times.example}'"
    if file.inner and times.example.startswith("{"):
        # the file is not trusted, and a user may paste it
        return f"{example}: set {shlex.quote(f'input.time={file.inner}')}"
    if times.format:
        return f"{example}, which does not fit input.time_format = '{times.format}'"
    formats = [format for order in ("dm", "md") if _reads(times.example, format := _format(times.example, order))]
    if formats:
        return f"{example}: set " + " or ".join(f"'input.time_format={format}'" for format in formats)
    return f"{example}: set input.time_format to the form that they have, as in 'input.time_format=%d/%m/%Y %H:%M'"


def _format(example: str, order: str) -> str:
    """How `strptime` is told to read the example."""
    date = _DATE.search(example)
    if date is None:
        return ""
    mark, year = date[1], "%y" if len(date[2]) == 2 else "%Y"
    text = example.replace(date[0], f"%{order[0]}{mark}%{order[1]}{mark}{year}", 1)
    for pattern, format in _TIMES:
        text = re.sub(pattern, format, text)
    if re.search(r"\b[ap]m\b", text, re.IGNORECASE):
        text = re.sub(r"\b[ap]m\b", "%p", text, flags=re.IGNORECASE).replace("%H", "%I")
    return text


def _reads(example: str, format: str) -> bool:
    try:
        datetime.strptime(example, format)
    except ValueError:
        return False
    return True
