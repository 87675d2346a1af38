"""Times whose form only the whole column tells, and what is said where they cannot be read."""

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
        "input.time: 1 rows have no usable time in column 'Datum', such as '25.04.24 1:07 PM': set input.time_format "
        "to the form that they have, as in 'input.time_format=%d/%m/%Y %H:%M'"
    )
    (said,) = Ingested(path, time="Datum", time_format="%d/%m/%Y").stats["fallbacks"][1:]
    assert said.endswith("such as '25.04.24 1:07 PM', which does not fit input.time_format = '%d/%m/%Y'")


def test_numbers_that_are_taken_as_excels_days_are_said(write: Write) -> None:
    got = Ingested(write("title,time\nA,45383\nB,45383.5\n"), time="time")
    assert [row["time"] for row in got.rows] == [FIRST_OF_APRIL, FIRST_OF_APRIL + 12 * 3600]
    assert "2 numbers of column 'time' are taken as Excel's, days since 1899-12-30" in got.stats["fallbacks"][2]
