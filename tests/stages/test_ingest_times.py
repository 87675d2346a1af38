"""Times whose form only the whole column tells, and what is said where they cannot be read."""

from pathlib import Path
from typing import Any

from ingested import Ingested, Write, write_fixture  # noqa: F401

FIRST_OF_APRIL = 1_711_929_600.0
MORE = "".join(f"title {number},04/04/2024\n" for number in range(9_000))


def test_a_value_at_the_end_of_another_file_tells_the_day_from_the_month(write: Write) -> None:
    first = write(f"title,time\nA,01/04/2024\n{MORE}", "a.csv")
    got = Ingested([first, write("title,time\nB,25/04/2024\n", "b.csv")], time="time")
    assert got.headline("A")["time"] == FIRST_OF_APRIL
    other = Ingested([first, write("title,time\nB,04/25/2024\n", "b.csv")], time="time")
    assert other.headline("A")["time"] == 1_704_326_400.0


def test_where_nothing_tells_both_formats_are_named(write: Write) -> None:
    path = write("title,when\nA,01/04/2024 1:07 PM\nB,02/04/2024 2:07 PM\n")
    got = Ingested(path, time="when")
    assert got.stats["fallbacks"][1:] == [
        "input.time: 2 rows have no usable time in column 'when': in '01/04/2024 1:07 PM' the day may come first or "
        "the month, and no other value tells: set 'input.time_format=%d/%m/%Y %I:%M %p' or "
        "'input.time_format=%m/%d/%Y %I:%M %p'"
    ]
    read = Ingested(path, time="when", time_format="%d/%m/%Y %I:%M %p")
    assert read.headline("A")["time"] == FIRST_OF_APRIL + 13 * 3600 + 420
    assert read.stats["rows_without_time"] == 0


def test_what_cannot_be_read_is_shown_as_it_is_with_what_to_do(write: Write) -> None:
    path = write("title,Datum\nA,25.04.24 1:07 PM\n")
    (said,) = Ingested(path, time="Datum").stats["fallbacks"][1:]
    assert said == (
        "input.time: 1 rows have no usable time in column 'Datum', such as '25.04.24 1:07 PM': set "
        "'input.time_format=%d.%m.%y %I:%M %p'"
    )
    assert Ingested(path, time="Datum", time_format="%d.%m.%y %I:%M %p").stats["rows_without_time"] == 0
    (said,) = Ingested(path, time="Datum", time_format="%d/%m/%Y").stats["fallbacks"][1:]
    assert said.endswith("such as '25.04.24 1:07 PM', which does not fit input.time_format = '%d/%m/%Y'")


def test_numbers_that_are_taken_as_excels_days_are_said(write: Write) -> None:
    got = Ingested(write("title,time\nA,45383\nB,45383.5\n"), time="time")
    assert [row["time"] for row in got.rows] == [FIRST_OF_APRIL, FIRST_OF_APRIL + 12 * 3600]
    assert "2 numbers of column 'time' are taken as Excel's, days since 1899-12-30" in got.stats["fallbacks"][2]


def day_file(write: Write, name: str, *days: str, column: str = "time") -> Path:
    return write(f"title,{column}\n" + "".join(f"{name} {number},{day}\n" for number, day in enumerate(days)), name)


def test_each_file_tells_for_itself_whether_the_day_or_the_month_comes_first(write: Write) -> None:
    british = day_file(write, "a.csv", "01/04/2024", "25/04/2024")
    american = day_file(write, "b.csv", "04/01/2024", "04/25/2024", column="published")
    got = Ingested([british, american], time="auto")
    assert {got.headline(title)["time"] for title in ("a.csv 0", "b.csv 0")} == {FIRST_OF_APRIL}
    assert got.stats["fallbacks"][2:] == [
        f"input.time: what comes first differs from file to file: the day in '{british}' and the month in "
        f"'{american}'; each is read as its own values tell"
    ]
    assert "day_first" not in got.stats


def test_a_file_that_tells_nothing_is_read_as_the_others_and_named(write: Write) -> None:
    silent, other = day_file(write, "a.csv", "01/04/2024"), day_file(write, "b.csv", "25/04/2024")
    got = Ingested([silent, other], time="time")
    assert got.headline("a.csv 0")["time"] == FIRST_OF_APRIL
    assert got.stats["day_first"] is True
    assert got.stats["fallbacks"][2:] == [
        f"input.time: no date of '{silent}' tells whether the day or the month comes first: read as in the other "
        "files, the day first"
    ]


def test_where_the_other_files_disagree_the_silent_one_is_named_and_not_read(write: Write) -> None:
    silent = day_file(write, "c.csv", "01/04/2024", "02/04/2024")
    others = [day_file(write, "a.csv", "25/04/2024"), day_file(write, "b.csv", "04/25/2024")]
    got = Ingested([silent, *others], time="time")
    assert [row["time"] for row in got.rows][:2] == [None, None]
    assert got.stats["fallbacks"][-1] == (
        f"input.time: 2 rows have no usable time in column 'time' of '{silent}': in '01/04/2024' the day may come "
        "first or the month, and other files disagree: write these dates as 2024-04-25"
    )


def test_a_file_that_disagrees_with_itself_is_named_and_the_others_are_read(write: Write) -> None:
    mixed = day_file(write, "a.csv", "01/04/2024", "25/04/2024", "04/25/2024")
    got = Ingested([mixed, day_file(write, "b.csv", "25/04/2024", "01/04/2024")], time="time")
    assert got.headline("a.csv 0")["time"] is None
    assert got.headline("b.csv 1")["time"] == FIRST_OF_APRIL
    assert f"of '{mixed}': in '01/04/2024'" in got.stats["fallbacks"][-1]
    assert "other values disagree: write these dates as 2024-04-25" in got.stats["fallbacks"][-1]


def test_several_files_that_all_tell_nothing_need_the_format(write: Write) -> None:
    files = [day_file(write, name, "01/04/2024") for name in ("a.csv", "b.csv")]
    got = Ingested(files, time="time")
    assert got.stats["rows_without_time"] == 2
    assert f"column 'time' of '{files[0]}' and 1 more: in" in got.stats["fallbacks"][-1]
    assert got.stats["fallbacks"][-1].endswith(
        "no other value tells: set 'input.time_format=%d/%m/%Y' or 'input.time_format=%m/%d/%Y'"
    )
    assert Ingested(files, time="time", time_format="%d/%m/%Y").stats["rows_without_time"] == 0


def test_each_file_tells_for_itself_whether_numbers_are_excels_days(write: Write) -> None:
    excel, other = day_file(write, "a.csv", "45383"), day_file(write, "b.csv", "45383", "2024-04-01")
    got = Ingested([excel, other], time="time")
    assert [row["time"] for row in got.rows] == [FIRST_OF_APRIL, None, FIRST_OF_APRIL]
    assert f"1 rows have no usable time in column 'time' of '{other}', such as '45383'" in got.stats["fallbacks"][-1]


def test_the_advice_fits_what_the_file_has(write: Write) -> None:
    def said(value: Any) -> str:
        return str(Ingested(write([{"title": "A", "time": value}], "a.jsonl"), time="time").stats["fallbacks"][-1])

    assert said("4/5/24").endswith(": set 'input.time_format=%d/%m/%y' or 'input.time_format=%m/%d/%y'")
    assert said("4/25/24 18:07").endswith(": set 'input.time_format=%m/%d/%y %H:%M'")
    assert said("yesterday").endswith("to the form that they have, as in 'input.time_format=%d/%m/%Y %H:%M'")
    assert said({"$date": "2024-04-01T00:00Z"}).endswith(": set 'input.time=time.$date'")
    path = write([{"title": "A", "time": {"$date": "2024-04-01T00:00Z"}}], "a.jsonl")
    assert Ingested(path, time="time.$date").headline("A")["time"] == FIRST_OF_APRIL
