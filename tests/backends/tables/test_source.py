"""Shared by all file formats: unique column names, a description of undecodable text, and lines of a limited length."""

import gzip
import io
import resource
from pathlib import Path

import pytest

from job.backends.tables import Block, Reject, open_source
from job.backends.tables.source import Lines, as_text, undecodable, unique


def test_names_are_always_unique() -> None:
    names = unique(["a", "a_2", "a", "a", "", "column_5", " ", "A"])
    assert len(set(names)) == len(names)
    assert names[:2] == ["a", "a_2"]


def test_many_equal_names_are_made_unique_at_once() -> None:
    names = unique(["a"] * 50_000)
    assert len(set(names)) == 50_000
    assert (names[0], names[-1]) == ("a", "a_50000")


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_line_beyond_the_limit_is_a_reject_and_never_held_in_memory(tmp_path: Path, suffix: str) -> None:
    lines = [b'{"title": "one"}', b'{"title": "two"}'] if suffix == "jsonl" else [b"title", b"one", b"two"]
    path = tmp_path / f"bomb.{suffix}.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"\n".join(lines[:-1]) + b"\n")
        for _ in range(300):
            file.write(b" " * 1_000_000)
        file.write(b"\n" + lines[-1] + b"\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    items = list(open_source(path, "auto", "utf-8", {"title"}, line_limit=1_000_000).blocks())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    (reject,) = [item for item in items if isinstance(item, Reject)]
    assert reject.reason == "longer than 1 million characters; see input.max_line_mb"
    titles = [title for item in items if isinstance(item, Block) for title in item.table["title"].to_pylist()]
    assert titles == ["one", "two"]


def test_a_long_line_within_open_quotes_costs_only_the_lines_that_are_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('title\nfirst\n"open\nsecond\n' + "x" * 2_000_000 + "\nthird\n")
    items = list(open_source(path, "auto", "utf-8", {"title"}, line_limit=1_000_000).blocks())
    rejects = {item.line: item.reason.split(";")[0] for item in items if isinstance(item, Reject)}
    assert rejects == {3: "a quote that opens here is never closed", 5: "longer than 1 million characters"}
    titles = [title for item in items if isinstance(item, Block) for title in item.table["title"].to_pylist()]
    assert titles == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a" * 10, ["a" * 10]),
        ("a" * 10 + "\nb", ["a" * 10 + "\n", "b"]),
        ("a" * 11 + "\nb\n", [None, "b\n"]),
        ("a" * 11, [None]),
        ("a" * 10 + "\r\nb\r\n\r\nc", ["a" * 10 + "\r", "b\r\n", "\r\n", "c"]),
        ("a" * 11 + "b" * 65_535 + "\r\nc", [None, "c"]),
        ("a" * 10 + "\r\rb", ["a" * 10 + "\r", "\r", "b"]),
    ],
)
def test_lines_up_to_the_limit_are_read_whatever_ends_them(text: str, lines: list[str | None]) -> None:
    assert list(Lines(as_text(io.BytesIO(text.encode()), "utf-8", ""), 10, "\r\n")) == lines


@pytest.mark.parametrize("before", [10, 11 + 65_535])
def test_in_json_a_carriage_return_at_the_limit_ends_no_line(before: int) -> None:
    text = io.BytesIO(b"a" * before + b"\rrest\nnext\n")
    assert list(Lines(as_text(text, "utf-8", "\n"), 10)) == [None, "next\n"]


def test_an_undecodable_byte_or_half_of_a_surrogate_pair_is_named() -> None:
    assert undecodable("plain") is None
    assert undecodable("naïve 日本 😀") is None
    assert "byte 0xE9" in str(undecodable("caf\udce9"))
    assert "half of a surrogate pair" in str(undecodable("\ud83d"))
