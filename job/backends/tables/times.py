"""Publication times in the forms that people have them, as seconds since 1970 UTC."""

import email.utils
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job.backends.tables.dates import SERIAL, Habits, is_number, is_serial, read_dates, seconds_of_serial
from job.backends.tables.missing import is_missing
from job.backends.tables.source import as_strings

# `input.time: auto` takes the first of these that the input has
USUAL_NAMES = (
    *("time", "published", "published_at", "published_date", "publish_date", "publication_date", "publication_time"),
    *("pub_date", "date", "datetime", "timestamp", "created_at", "seendate", "date_published", "date_publish"),
    *("web_publication_date", "published_on", "created_utc"),
)
# a number of this size or more is in the next smaller unit: 1e11 seconds are the year 5138
_UNITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (math.inf, 1e9))

# of dates written as one number: 20140310, 201403100930, 20140310093000. The first two could be an epoch too, of 1970,
# or of 1976 in milliseconds
_CALENDAR_DIGITS = (8, 12, 14)
_CALENDAR_YEARS = range(1800, 2101)
# the smallest epoch, of 1973: years and numbers of days are no times
_LEAST_EPOCH = 1e8
# as pandas writes whole numbers of a column where some are missing
_NUMBER = re.compile(r"(\d{8,})(?:\.(\d*))?")
_TWELVE_HOURS = re.compile(r"\b(0?[1-9]|1[0-2])((?::[0-5]\d){0,2})\s?([ap])\.?m\b\.?", re.IGNORECASE)

# the years 1 to 9999
_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0


@dataclass
class Times:
    """A parser that counts. `format`: of `strptime`, in which texts are read; None: in the usual forms. `column`: all
    of the column, which tells whether the day or the month comes first and whether numbers are Excel's; None: what is
    parsed at once. `otherwise`: whether the day comes first where no value of the column tells; None: not known.

    `orders`: whether the day comes before the month, of the dates that tell; both where they disagree. `day_first`: how
    those were read that do not tell; None where there are none, or where that stayed open. `without_zone`: times taken
    as UTC because they name no zone that is known. `serial`: numbers read as Excel's. `unusable`: rows without a time
    that can be read; `example` is one of their texts. `undecided`: those of them whose day may be the month;
    `undecided_example` likewise.
    """

    format: str | None = None
    column: Callable[[], Iterable[pa.Array]] | None = None
    otherwise: Callable[[], bool | None] = lambda: None
    orders: set[bool] = field(default_factory=set)
    day_first: bool | None = None
    without_zone: int = 0
    serial: int = 0
    unusable: int = 0
    example: str = ""
    undecided: int = 0
    undecided_example: str = ""

    def __post_init__(self) -> None:
        self._part: pa.Array = pa.nulls(0)

    def parse(self, column: pa.Array) -> npt.NDArray[np.float64]:
        """Seconds since 1970 UTC, float64 [n], NaN where there is no usable time; adds to the counts.

        Read are Arrow timestamps and dates; numbers, as dates where their digits are one (20140310), otherwise as
        epoch seconds, milliseconds, microseconds or nanoseconds, told by their size, or as Excel's days; and text:
        ISO 8601, RFC 2822 and what is like it, other dates (`dates.py`), with AM and PM, or a number. Years before 1
        and after 9999 are no usable times.
        """
        self._part = column
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            if getattr(column.type, "tz", None) is None:
                self.without_zone += len(column) - column.null_count
            seconds = _from_arrow(column)
        elif is_number(column.type) and not self.format:
            values = column.cast(pa.float64(), safe=False).fill_null(math.nan)
            seconds = np.array([self._from_number(value) for value in values.to_pylist()], np.float64)
        else:
            seconds = self._from_texts(as_strings(column))
        # later stages write times as dates
        seconds[~((seconds >= _FIRST) & (seconds <= _LAST))] = math.nan
        self.unusable += int(np.isnan(seconds).sum())
        return seconds

    def _from_texts(self, texts: pa.Array) -> npt.NDArray[np.float64]:
        if self.format:
            return np.array([self._from_text(text) for text in texts.to_pylist()], np.float64)
        dates = read_dates(texts)
        self.orders |= dates.orders
        seconds, read = dates.seconds, ~np.isnan(dates.seconds)
        if dates.either.any():
            self.orders |= self.of_column.orders
            day_first = self.day_first = next(iter(self.orders)) if len(self.orders) == 1 else self._otherwise()
            if day_first is None:
                seconds[dates.either] = math.nan
                self.undecided += int(dates.either.sum())
                self.undecided_example = (
                    self.undecided_example or texts[int(dates.either.argmax())].as_py().strip()[:40]
                )
            elif not day_first:
                seconds[dates.either] = dates.exchanged[dates.either]
        self.without_zone += int((~np.isnan(seconds) & ~dates.zone).sum())
        rest = np.flatnonzero(~read)
        seconds[rest] = [self._from_text(text) for text in texts.take(pa.array(rest)).to_pylist()]
        return seconds

    def _from_text(self, value: str | None) -> float:
        text = value.strip() if value is not None else ""
        if is_missing(text):
            return math.nan
        if self.format:
            found = _from_format(text, self.format)
        elif _NUMBER.fullmatch(text) or SERIAL.fullmatch(text):
            return self._from_number(float(text))
        else:
            in_24_hours = _TWELVE_HOURS.sub(_of_24_hours, text)
            found = _from_iso(in_24_hours) or _from_rfc(in_24_hours)
        if found is None:
            self.example = self.example or text[:40]
            return math.nan
        return self._seconds(found)

    def _from_number(self, value: float) -> float:
        found = _from_calendar(value)
        if found is not None:
            return self._seconds(found)
        if is_serial(np.array([value])).all() and self.of_column.serial:
            self.serial += 1
            self.without_zone += 1
            return seconds_of_serial(value)
        seconds = _from_epoch(value)
        if math.isnan(seconds) and not math.isnan(value):
            self.example = self.example or f"{value:.16g}"
        return seconds

    @cached_property
    def of_column(self) -> Habits:
        """What all of the column tells."""
        return Habits.of(self.column() if self.column else [self._part])

    def _otherwise(self) -> bool | None:
        return None if self.orders else self.otherwise()

    def _seconds(self, found: datetime) -> float:
        if found.tzinfo is None:
            self.without_zone += 1
            found = found.replace(tzinfo=UTC)
        return found.timestamp()


def _from_format(text: str, format: str) -> datetime | None:
    try:
        return datetime.strptime(text, format)
    except (ValueError, OverflowError):
        return None


def _from_arrow(column: pa.Array) -> npt.NDArray[np.float64]:
    """Timestamps or dates of any unit; a smaller unit than theirs could overflow."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s" if pa.types.is_date32(column.type) else "ms"))
    values = np.asarray(column.cast(pa.int64()).fill_null(0)).astype(np.float64)
    values[np.asarray(column.is_null())] = math.nan
    return values / {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[column.type.unit]


def _from_calendar(value: float) -> datetime | None:
    """The date whose digits the number has."""
    if not value.is_integer() or not 1e7 <= value < 1e14:
        return None
    text = f"{value:.0f}"
    if len(text) not in _CALENDAR_DIGITS or int(text[:4]) not in _CALENDAR_YEARS:
        return None
    return _from_iso(f"{text[:8]}T{text[8:]}" if text[8:] else text)


def _from_epoch(value: float) -> float:
    if not _LEAST_EPOCH <= value < math.inf:
        return math.nan
    return value / next(unit for limit, unit in _UNITS if value < limit)


def _of_24_hours(match: re.Match[str]) -> str:
    hour = int(match[1]) % 12 + (12 if match[3] in "pP" else 0)
    return f"{hour:02}{match[2] or ':00'}"


def _from_iso(text: str) -> datetime | None:
    text = text.removesuffix(" UTC").removesuffix(" GMT") + ("Z" if text.endswith((" UTC", " GMT")) else "")
    # datetime also reads a bare year or month as a date of its own invention in some versions
    if len(text) < 8:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _from_rfc(text: str) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None
