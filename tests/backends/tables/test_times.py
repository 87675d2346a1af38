"""Publication times in the forms that people have them."""

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from job.backends.tables.times import Times

NOON = datetime(2024, 4, 25, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "without_zone"),
    [
        ("2024-04-25T12:00:00Z", 0),
        ("2024-04-25 14:00:00+02:00", 0),
        ("20240425T120000Z", 0),
        ("2024-04-25T12:00:00", 1),
        ("2024-04-25 12:00:00 UTC", 0),
        ("Thu, 25 Apr 2024 12:00:00 GMT", 0),
        ("Thu, 25 Apr 2024 08:00:00 -0400", 0),
        ("1714046400", 0),
        ("1714046400000", 0),
        (" 2024-04-25T12:00:00.000Z ", 0),
        ("1714046400.0", 0),
        ("20240425120000", 1),
        ("202404251200", 1),
        ("Apr 25, 2024 12:00 PM", 1),
        ("Thursday, April 25, 2024 8:00 AM EDT", 0),
        ("2024-04-25 12:00:00 p.m.", 1),
        ("25 Apr 2024 12pm", 1),
    ],
)
def test_one_moment_in_many_forms(text: str, without_zone: int) -> None:
    parser = Times()
    assert parser.parse(pa.array([text])).tolist() == [NOON]
    assert (parser.without_zone, parser.unusable) == (without_zone, 0)


@pytest.mark.parametrize("value", [NOON, NOON * 1e3, NOON * 1e6, NOON * 1e9, int(NOON), int(NOON) * 1000])
def test_a_number_is_an_epoch_in_the_unit_that_its_size_tells(value: float) -> None:
    assert Times().parse(pa.array([value]))[0] == pytest.approx(NOON)


@pytest.mark.parametrize("value", [20240425, 20240425.0, "20240425", "20240425.0", "2024-04-25", "Apr 25, 2024 12 AM"])
def test_a_number_whose_digits_are_a_date_is_that_day(value: float | str) -> None:
    parser = Times()
    assert parser.parse(pa.array([value])).tolist() == [NOON - 12 * 3600]
    assert (parser.without_zone, parser.unusable) == (1, 0)


@pytest.mark.parametrize("hour", range(24))
def test_hours_of_a_twelve_hour_clock(hour: int) -> None:
    half = f"{hour % 12 or 12}:30 {'AM' if hour < 12 else 'PM'}"
    assert Times().parse(pa.array([f"Apr 25, 2024 {half}"])).tolist() == [NOON + (hour - 12) * 3600 + 1800]


@pytest.mark.parametrize("value", [2024, 19838, 99999999, 20241301, 20240230])
def test_a_small_number_that_is_no_date_is_no_time(value: int) -> None:
    parser = Times()
    assert np.isnan(parser.parse(pa.array([value]))).all()
    assert (parser.unusable, parser.example) == (1, str(value))


def test_arrow_timestamps_and_dates() -> None:
    naive, aware = pa.timestamp("ns"), pa.timestamp("ms", "America/New_York")
    parser = Times()
    assert parser.parse(pa.array([datetime(2024, 4, 25, 12), None], naive))[0] == NOON
    assert (parser.without_zone, parser.unusable) == (1, 1)
    assert Times().parse(pa.array([datetime(2024, 4, 25, 12, tzinfo=UTC)], aware)).tolist() == [NOON]
    assert Times().parse(pa.array([date(2024, 4, 25)])).tolist() == [NOON - 12 * 3600]


def test_what_is_no_time_is_counted_and_an_example_kept() -> None:
    parser = Times()
    found = parser.parse(pa.array([None, "", "yesterday", "2024", "2024-13-45", "0", "99999999999999999999999"]))
    assert np.isnan(found).sum() >= 6
    assert parser.unusable == int(np.isnan(found).sum())
    assert parser.example == "yesterday"
    assert np.isnan(Times().parse(pa.array([0, -5, float("nan")], pa.float64()))).all()


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["²" * 9, "9" * 5000, "0000-01-01", "99999-01-01T00:00:00", "Thu, 01 Jan 1970 00:00:00 +99999999"]),
        pa.array([3_093_527_980_800, -377_736_739_200, 2**63 - 1], pa.timestamp("s")),
        pa.array([35_804_000, -2_000_000], pa.date32()),
        pa.array([1e300, float("inf"), -1.0]),
    ],
)
def test_a_time_that_no_date_can_be_written_for_is_unusable(column: pa.Array) -> None:
    times = Times()
    assert np.isnan(times.parse(column)).all()
    assert times.unusable == len(column)


def test_the_first_and_the_last_year_are_times() -> None:
    column = pa.array([-62_135_596_800, None, 253_402_300_799], pa.timestamp("s", "UTC"))
    assert Times().parse(column).tolist()[::2] == [-62_135_596_800, 253_402_300_799]
    assert Times().parse(pa.array([-719_162], pa.date32())).tolist() == [-62_135_596_800]
