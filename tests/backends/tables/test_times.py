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
        ("Thu, 25 Apr 2024 12:00:00 -0000", 1),
        ("2024-04-25T12:00:00-00:00", 0),
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


@pytest.mark.parametrize(
    "text",
    [
        "25.04.2024",
        "25.4.2024",
        "2024/04/25",
        "2024.04.25",
        "2024-4-25",
        "25/04/2024",
        "4/25/2024",
        "04-25-2024",
        "25-04-2024",
        "25 Apr 2024",
        "25-Apr-2024",
        "25th April 2024",
        "25. April 2024",
        "April 25, 2024",
        "Apr. 25 2024",
        "Thursday, 25 April 2024",
        "Thursday, April 25, 2024",
    ],
)
@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("", 0),
        (" 18:24", 66_240),
        ("T6:24 p.m.", 66_240),
        (" 6:24 PM", 66_240),
        (", 18:24:30.5", 66_270.5),
        (" 18:24 +0200", 59_040),
    ],
)
def test_dates_as_people_write_them(text: str, time: str, seconds: float) -> None:
    parser = Times()
    assert parser.parse(pa.array([None, f" {text}{time} "])).tolist()[1:] == [NOON - 12 * 3600 + seconds]
    assert (parser.without_zone, parser.unusable) == ("+" not in time, 1)


@pytest.mark.parametrize(
    "text",
    [
        *("31.02.2024", "4.25.2024", "13/13/2024", "2024/04/25 24:00", "25.04.2024 13:07 PM", "25.04.24"),
        *("5 Foo 2024", "2024-04-25 12:00 +99:00", "2024-04-25 12:60", "0000/01/01"),
    ],
)
def test_dates_that_there_are_not(text: str) -> None:
    parser = Times()
    assert np.isnan(parser.parse(pa.array([text]))).all()
    assert (parser.unusable, parser.undecided, parser.without_zone) == (1, 0, 0)


@pytest.mark.parametrize(
    ("others", "day"),
    [(["25/04/2024"], 5), (["4/25/2024"], 4), (["25-04-2024 07:00", None, "n/a"], 5)],
)
def test_values_above_12_tell_whether_the_day_comes_first_in_the_column(others: list[str], day: int) -> None:
    parser = Times()
    found = parser.parse(pa.array(["05/04/2024", *others]))
    assert datetime.fromtimestamp(found[0], UTC).date() == date(2024, 9 - day, day)
    assert parser.undecided == 0


@pytest.mark.parametrize("others", [[], ["04/04/2024"], ["25/04/2024", "04/25/2024"]])
def test_where_nothing_tells_the_day_from_the_month_a_time_is_left_out(others: list[str]) -> None:
    parser = Times()
    found = parser.parse(pa.array(["05/04/2024 1:07 PM", "06/04/2024", *others]))
    assert np.isnan(found[:2]).all() and not np.isnan(found[2:]).any()
    assert (parser.undecided, parser.undecided_example) == (2, "05/04/2024 1:07 PM")


def test_all_of_the_column_tells_how_a_part_of_it_is_read() -> None:
    parts = [pa.array(["05/04/2024"]), pa.array(["25/04/2024"])]
    parser = Times(column=lambda: iter(parts))
    assert datetime.fromtimestamp(parser.parse(parts[0])[0], UTC).date() == date(2024, 4, 5)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([45407.5, None]),
        pa.array(["45407.5", ""]),
        pa.array(["45407.5", " 45407 "]),
        pa.array([45407.5, 20000]),
    ],
)
def test_numbers_of_a_column_that_are_all_days_as_excel_counts_them(column: pa.Array) -> None:
    parser = Times()
    assert parser.parse(column)[0] == NOON
    assert parser.serial == parser.without_zone == 2 - parser.unusable


@pytest.mark.parametrize(
    "column", [pa.array([45407.5, 2024.0]), pa.array(["45407.5", "n/a"]), pa.array([45407, 10**9])]
)
def test_small_numbers_among_others_are_no_days(column: pa.Array) -> None:
    parser = Times()
    assert np.isnan(parser.parse(column)[0])
    assert parser.serial == 0


@pytest.mark.parametrize(
    ("format", "column"),
    [
        ("%d.%m.%y, %H.%M Uhr", pa.array(["25.04.24, 12.00 Uhr"])),
        ("%m/%d/%Y %I:%M %p", pa.array(["04/25/2024 12:00 PM"])),
        ("%d%m%Y%H", pa.array([2504202412])),
        ("%Y-%m-%d %H:%M %z", pa.array(["2024-04-25 14:00 +0200"])),
    ],
)
def test_times_in_a_format_that_is_given(format: str, column: pa.Array) -> None:
    parser = Times(format)
    assert parser.parse(column).tolist() == [NOON]
    assert np.isnan(parser.parse(pa.array(["2024-04-25T12:00:00Z"]))).all()
    assert parser.example == "2024-04-25T12:00:00Z"


def test_the_example_is_what_the_file_has() -> None:
    parser = Times()
    parser.parse(pa.array(["25.04.24 1:07 PM"]))
    assert parser.example == "25.04.24 1:07 PM"
