"""Publication times in the forms that people have them, as seconds since 1970 UTC."""

import email.utils
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from job.backends.tables.source import python_values

# `input.time: auto` takes the first of these that the input has
USUAL_NAMES = (
    *("time", "published", "published_at", "publishedAt", "published_date", "publish_date", "pub_date", "pubDate"),
    *("date", "datetime", "timestamp", "created_at", "seendate"),
)
# a number of this size or more is in the next smaller unit: 1e11 seconds are the year 5138
_UNITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (math.inf, 1e9))


@dataclass
class Times:
    """A parser that counts. `without_zone`: times taken as UTC because they name no zone. `unusable`: rows without a
    time that can be read; `example` is one of their texts."""

    without_zone: int = 0
    unusable: int = 0
    example: str = field(default="")

    def parse(self, column: pa.Array) -> npt.NDArray[np.float64]:
        """Seconds since 1970 UTC, float64 [n], NaN where there is no usable time; adds to the counts.

        Read are Arrow timestamps and dates, numbers (epoch seconds, milliseconds, microseconds or nanoseconds, told by
        their size), and text: ISO 8601, RFC 2822, or digits.
        """
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            if getattr(column.type, "tz", None) is None:
                self.without_zone += len(column) - column.null_count
            microseconds = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
            seconds = np.asarray(pc.cast(microseconds, pa.float64(), safe=False).fill_null(math.nan)) / 1e6
        elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            values = column.cast(pa.float64(), safe=False).fill_null(math.nan)
            seconds = np.array([_from_epoch(value) for value in values.to_pylist()], np.float64)
        else:
            seconds = np.array([self._from_text(value) for value in python_values(column)], np.float64)
        self.unusable += int(np.isnan(seconds).sum())
        return seconds

    def _from_text(self, value: Any) -> float:
        text = str(value).strip() if value is not None else ""
        if not text:
            return math.nan
        if text.isdigit() and len(text) > 8:
            return _from_epoch(float(text))
        found = _from_iso(text) or _from_rfc(text)
        if found is None:
            self.example = self.example or text[:40]
            return math.nan
        if found.tzinfo is None:
            self.without_zone += 1
            found = found.replace(tzinfo=UTC)
        return found.timestamp()


def _from_epoch(value: float) -> float:
    if not math.isfinite(value) or value <= 0:
        return math.nan
    return value / next(unit for limit, unit in _UNITS if value < limit)


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
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
