"""Publication times in the forms that people have them, as seconds since 1970 UTC."""

import email.utils
import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job.backends.tables.source import as_strings

# `input.time: auto` takes the first of these that the input has
USUAL_NAMES = (
    *("time", "published", "published_at", "published_date", "publish_date", "publication_date", "publication_time"),
    *("pub_date", "date", "datetime", "timestamp", "created_at", "seendate"),
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
    """A parser that counts. `without_zone`: times taken as UTC because they name no zone that is known. `unusable`:
    rows without a time that can be read; `example` is one of their texts."""

    without_zone: int = 0
    unusable: int = 0
    example: str = field(default="")

    def parse(self, column: pa.Array) -> npt.NDArray[np.float64]:
        """Seconds since 1970 UTC, float64 [n], NaN where there is no usable time; adds to the counts.

        Read are Arrow timestamps and dates; numbers, as dates where their digits are one (20140310), otherwise as
        epoch seconds, milliseconds, microseconds or nanoseconds, told by their size; and text: ISO 8601, RFC 2822 and
        what is like it, with AM and PM, or a number. Years before 1 and after 9999 are no usable times.
        """
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            if getattr(column.type, "tz", None) is None:
                self.without_zone += len(column) - column.null_count
            seconds = _from_arrow(column)
        elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            values = column.cast(pa.float64(), safe=False).fill_null(math.nan)
            seconds = np.array([self._from_number(value) for value in values.to_pylist()], np.float64)
        else:
            seconds = np.array([self._from_text(value) for value in as_strings(column).to_pylist()], np.float64)
        # later stages write times as dates
        seconds[~((seconds >= _FIRST) & (seconds <= _LAST))] = math.nan
        self.unusable += int(np.isnan(seconds).sum())
        return seconds

    def _from_text(self, value: Any) -> float:
        text = str(value).strip() if value is not None else ""
        if not text:
            return math.nan
        if _NUMBER.fullmatch(text):
            return self._from_number(float(text))
        text = _TWELVE_HOURS.sub(_of_24_hours, text)
        found = _from_iso(text) or _from_rfc(text)
        if found is None:
            self.example = self.example or text[:40]
            return math.nan
        return self._seconds(found)

    def _from_number(self, value: float) -> float:
        found = _from_calendar(value)
        if found is not None:
            return self._seconds(found)
        seconds = _from_epoch(value)
        if math.isnan(seconds) and not math.isnan(value):
            self.example = self.example or f"{value:.16g}"
        return seconds

    def _seconds(self, found: datetime) -> float:
        if found.tzinfo is None:
            self.without_zone += 1
            found = found.replace(tzinfo=UTC)
        return found.timestamp()


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
