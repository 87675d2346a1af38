"""Shared by all file formats: unique column names, lines that are too long, and a description of undecodable text."""

import io
from pathlib import Path

import pytest

from job.backends.tables.source import LongLine, read_line, undecodable, unique
from job.runtime.errors import BadInput


def test_names_are_always_unique() -> None:
    names = unique(["a", "a_2", "a", "a", "", "column_5", " ", "A"], Path("x.csv"))
    assert len(set(names)) == len(names)
    assert names[:2] == ["a", "a_2"]


def test_many_names_are_made_unique_in_no_time() -> None:
    names = unique(["a"] * 50_000 + [f"a_{i}" for i in range(50_000)], Path("x.csv"))
    assert len(set(names)) == 100_000


def test_more_columns_than_a_table_can_have_are_refused() -> None:
    with pytest.raises(BadInput, match=r"'x\\ny.csv' has 100,001 columns, and 100,000 is the most"):
        unique(["a"] * 100_001, Path("x\ny.csv"))


def test_a_long_line_is_skipped_to_its_end() -> None:
    for end in ("\n", "\r", "\r\n"):
        text = f"abcd{end}" + "x" * 50 + f"{end}efghi{end}" + "y" * 50 + end
        file = io.StringIO(text, newline="")
        lines = [read_line(file, 7, ("\n", "\r")) for _ in range(4)]
        assert [isinstance(line, LongLine) for line in lines] == [False, True, False, True]
        assert [line.strip() for line in lines[::2]] == ["abcd", "efghi"]
        assert read_line(file, 7, ("\n", "\r")) == ""


def test_a_last_line_of_just_the_limit_is_whole() -> None:
    line = read_line(io.StringIO("1234567"), 7, ("\n",))
    assert line == "1234567" and not isinstance(line, LongLine)


def test_an_undecodable_byte_or_half_of_a_surrogate_pair_is_named() -> None:
    assert undecodable("plain") is None
    assert undecodable("naïve 日本 😀") is None
    assert "byte 0xE9" in str(undecodable("caf\udce9"))
    assert "half of a surrogate pair" in str(undecodable("\ud83d"))
