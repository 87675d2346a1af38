"""Dates as people write them: 25.04.2024 18:24, 4/25/2024 6:24 PM, 2024/04/25, 25 Apr 2024, April 25, 2024."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from job.backends.tables.source import as_strings

Seconds = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# in the regular expressions of Arrow, where every group has a name
_TIME = (
    r"(?:(?:,?\s+|T|\s+at\s+)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}(?:[.,]\d{1,9})?))?"
    r"(?:\s?(?P<half>[AaPp])\.?[Mm]\.?)?(?P<zone>Z|\s?UTC|\s?GMT|\s?[+-]\d{2}:?\d{2})?)?\s*$"
)
_MARK = "[./-]"
_YEAR_FIRST = rf"^\s*(?P<year>\d{{4}})(?P<mark>{_MARK})(?P<month>\d{{1,2}}){_MARK}(?P<day>\d{{1,2}}){_TIME}"
_YEAR_LAST = rf"^\s*(?P<day>\d{{1,2}})(?P<mark>{_MARK})(?P<month>\d{{1,2}}){_MARK}(?P<year>\d{{4}}){_TIME}"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?i)^\s*(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_DAY_AND_NAME = rf"{_WEEKDAY}{_DAY}[\s./-]+{_MONTH}[\s,/-]+(?P<year>\d{{4}}){_TIME}"
_NAME_AND_DAY = rf"{_WEEKDAY}{_MONTH}\s+{_DAY},?\s+(?P<year>\d{{4}}){_TIME}"
_EITHER_FIRST = r"^\s*(?P<first>\d{1,2})[/-](?P<second>\d{1,2})[/-]\d{4}(?:\D|$)"
_SERIAL_OR_BLANK = r"^\s*(?:[2-5]\d{4}(?:\.\d*)?)?\s*$"

# RFC 2822's -0000 says that the zone is not known
_NO_ZONE = ("", "-0000")

SERIAL = re.compile(r"[2-5]\d{4}(?:\.\d*)?")
_SERIALS = (20_000.0, 60_000.0)
_EPOCH_AS_SERIAL = 25_569


@dataclass
class Dates:
    """Of texts, those that are dates: `seconds` since 1970 UTC, float64 [n], NaN for other texts; whether
    they name a `zone`; and those whose day may be the month: `either`, with `exchanged` in place of `seconds` if so.
    `orders`: whether the day comes before the month, of those where a value above 12 tells."""

    seconds: Seconds
    zone: Mask
    either: Mask
    exchanged: Seconds
    orders: set[bool] = field(default_factory=set)


def read_dates(texts: pa.Array) -> Dates:
    """Dates with the year first, with the day or month first and the year last, and with the English name of a month,
    each with or without a time of day behind it.

    Between dots, the day is first; between slashes and hyphens, what is above 12 is the day.
    """
    n = len(texts)
    read = Dates(np.full(n, math.nan), np.zeros(n, bool), np.zeros(n, bool), np.full(n, math.nan))
    for pattern in (_YEAR_FIRST, _YEAR_LAST, _DAY_AND_NAME, _NAME_AND_DAY):
        found = pc.extract_regex(texts, pattern)
        places = np.flatnonzero(np.asarray(found.is_valid()))
        if not len(places):
            continue
        found = found.drop_null()
        year, day = _numbers(found, "year"), _numbers(found, "day")
        month = _numbers(found, "month") if pattern in (_YEAR_FIRST, _YEAR_LAST) else _named_months(found)
        within, offset, read.zone[places] = _time_of_day(found)
        straight, exchanged = (_midnight(year, *order) + within - offset for order in ((month, day), (day, month)))
        if pattern is _YEAR_LAST:
            free = np.asarray(pc.not_equal(pc.struct_field(found, "mark"), "."))
            read.either[places] = free & (month <= 12) & (day <= 12) & (month != day) & ~np.isnan(straight)
            straight = np.where(free & (month > 12), exchanged, straight)
            read.orders |= _orders(day[free], month[free])
        read.seconds[places], read.exchanged[places] = straight, exchanged
    return read


def _orders(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> set[bool]:
    """Whether the day comes before the month, of the pairs where a value above 12 tells."""
    told = {True: (first > 12) & (second <= 12), False: (second > 12) & (first <= 12)}
    return {order for order, where in told.items() if where.any()}


def _numbers(found: pa.StructArray, name: str) -> npt.NDArray[np.int64]:
    """A group as numbers, 0 where it is not there."""
    text = pc.struct_field(found, name)
    return np.asarray(pc.if_else(pc.equal(text, ""), "0", text).cast(pa.int64()))


def _named_months(found: pa.StructArray) -> npt.NDArray[np.int64]:
    names = pc.utf8_lower(pc.utf8_slice_codeunits(pc.struct_field(found, "month"), 0, 3))
    return np.asarray(pc.index_in(names, value_set=pa.array(_MONTHS)).cast(pa.int64())) + 1


def _midnight(year: npt.NDArray[np.int64], month: npt.NDArray[np.int64], day: npt.NDArray[np.int64]) -> Seconds:
    """Seconds since 1970 of these days, NaN where there is no such day."""
    months = (year - 1970) * 12 + month - 1
    first, after = (
        each.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) for each in (months, months + 1)
    )
    days = first + day - 1
    there = (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (days < after)
    return np.where(there, days * 86_400.0, math.nan)


def _time_of_day(found: pa.StructArray) -> tuple[Seconds, Seconds, Mask]:
    """Seconds since midnight, NaN where there is no such time; the zone's seconds from UTC; whether there is a zone."""
    hour, minute = _numbers(found, "hour"), _numbers(found, "minute")
    text = pc.replace_substring(pc.struct_field(found, "second"), ",", ".")
    second = np.asarray(pc.if_else(pc.equal(text, ""), "0", text).cast(pa.float64()))
    half = pc.utf8_lower(pc.struct_field(found, "half"))
    twelve, afternoon = np.asarray(pc.not_equal(half, "")), np.asarray(pc.equal(half, "p"))
    there = (hour < 24) & (minute < 60) & (second < 60) & (~twelve | ((hour >= 1) & (hour <= 12)))
    hour = np.where(twelve, hour % 12 + 12 * afternoon, hour)
    coded = pc.struct_field(found, "zone").dictionary_encode()
    zones, of_row = [each.strip() for each in coded.dictionary.to_pylist()], np.asarray(coded.indices)
    offsets, named = np.array([_offset(zone) for zone in zones]), np.array([zone not in _NO_ZONE for zone in zones])
    seconds = np.where(there, hour * 3600.0 + minute * 60.0 + second, math.nan)
    return seconds, offsets[of_row], named[of_row]


def _offset(zone: str) -> float:
    """Seconds east of UTC, NaN where there is no such zone."""
    if zone[:1] not in ("+", "-"):
        return 0.0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        return math.nan
    return (1 if zone[0] == "+" else -1) * (hours * 3600.0 + minutes * 60.0)


@dataclass(frozen=True)
class Habits:
    """What only a whole column tells. `orders`: whether the day comes before the month between slashes and hyphens, of
    the values that tell, by one above 12; both where they disagree. `serial`: whether all of its values are numbers of
    days as Excel counts them."""

    orders: frozenset[bool]
    serial: bool

    @classmethod
    def of(cls, column: Iterable[pa.Array]) -> "Habits":
        """Those of a column of numbers or texts, part by part."""
        orders: set[bool] = set()
        serial = True
        for part in column:
            if is_number(part.type):
                serial = serial and bool(is_serial(_known(part)).all())
                continue
            texts = as_strings(part).drop_null()
            serial = serial and bool(pc.all(pc.match_substring_regex(texts, _SERIAL_OR_BLANK), min_count=0).as_py())
            found = pc.extract_regex(texts, _EITHER_FIRST).drop_null()
            orders |= _orders(_numbers(found, "first"), _numbers(found, "second"))
        return cls(frozenset(orders), serial)


def is_number(kind: pa.DataType) -> bool:
    """Whether the type is one of numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _known(column: pa.Array) -> Seconds:
    values: Seconds = np.asarray(column.drop_null().cast(pa.float64(), safe=False))
    known: Seconds = values[~np.isnan(values)]
    return known


def is_serial(values: Seconds) -> Mask:
    """Whether the numbers can be days as Excel counts them, from 1954 to 2064."""
    return (values >= _SERIALS[0]) & (values < _SERIALS[1])


def seconds_of_serial(value: float) -> float:
    """Seconds since 1970 of a number of days since 1899-12-30, to the millisecond."""
    return round((value - _EPOCH_AS_SERIAL) * 86_400, 3)
