"""Ingest: each row's time and source, and inputs of odd shapes."""

import os
from pathlib import Path

import pyarrow as pa
import pytest
from ingested import Ingested, Write, refused, write_fixture  # noqa: F401


def test_each_row_has_its_own_time_and_source_and_a_headline_the_earliest_time(write: Write) -> None:
    got = Ingested(
        write("title,published,outlet\nA,2024-04-25T12:00Z,BBC\nA,2024-04-25T11:00Z, CNN \nB,,\n"), time="auto"
    )
    noon = 1_714_046_400.0
    assert [(row["time"], row["source"]) for row in got.rows] == [(noon, "BBC"), (noon - 3600, "CNN"), (None, None)]
    assert got.headline("A")["time"] == noon - 3600
    assert (got.stats["time"], got.stats["source"]) == ("published", "outlet")


def test_a_source_is_named_or_found_by_a_usual_name_or_left_out(write: Write) -> None:
    path = write("title,source,desk\nA,BBC,World\n")
    assert [Ingested(path, source=source).rows[0]["source"] for source in ("auto", "desk", None)] == [
        "BBC",
        "World",
        None,
    ]
    assert "input.source = 'paper': no such column" in refused(path, source="paper")
    without = Ingested(write("title\nA\n"))
    assert (without.stats["source"], without.rows[0]["source"]) == (None, None)


def test_of_a_source_that_is_an_object_its_name_or_title_is_taken(write: Write) -> None:
    rows = [
        {"title": "A", "source": {"id": None, "name": "The Post"}},
        {"title": "B", "source": "BBC"},
        {"title": "C", "source": {"id": 7}},
        {"title": "D", "source": "{not JSON"},
        {"title": "E", "source": None},
        {"title": "F", "source": {"uri": "post.example", "title": "The Post"}},
        {"title": "G", "source": {"$": {"url": "u"}, "_": "The Post"}},
        # as pandas writes an object into CSV
        {"title": "H", "source": "{'id': None, 'name': \"Barron's &amp; Co\"}"},
        {"title": "I", "source": "{'name': ['x']}"},
        {"title": "J", "source": "nan"},
    ]
    got = Ingested(write(rows, "news.jsonl"))
    assert [row["source"] for row in got.rows] == [
        *("The Post", "BBC", '{"id": 7}', "{not JSON", None, "The Post", "The Post", "Barron's & Co"),
        *("{'name': ['x']}", None),
    ]


@pytest.mark.parametrize("name", ["date_published", "webPublicationDate", "created_utc", "seendate", "pubDate"])
def test_the_usual_names_of_services_are_found(write: Write, name: str) -> None:
    assert Ingested(write(f"title,{name}\nA,2024-04-25T12:00Z\n"), time="auto").stats["time"] == name


def test_a_source_of_another_type_becomes_text(write: Write) -> None:
    got = Ingested(write(pa.table({"title": ["A", "B"], "source": pa.array([7, None])}), "news.parquet"))
    assert [row["source"] for row in got.rows] == ["7", None]


@pytest.mark.parametrize(
    "title", ["\u200b", "\ufeff \u2060", "\u0301\u0301", "\u3164", "\u2800", "\u202e\u202c", "\x01\t"]
)
def test_a_title_that_shows_nothing_is_blank(write: Write, title: str) -> None:
    done = Ingested(write([{"title": title, "description": "x"}, {"title": "seen", "description": title}], "a.jsonl"))
    assert [reject["reason"] for reject in done.rejects] == ["title is blank"]
    assert done.headline("seen")["description"] is None


def test_a_title_of_one_emoji_with_joiners_is_a_title(write: Write) -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert Ingested(write([{"title": family}], "a.jsonl")).titles() == {family}


def test_very_many_columns_and_keys_are_read(write: Write) -> None:
    names = [f"c{number}" for number in range(20_000)]
    lines = [",".join(["title", *names]), *(",".join([f"t{row}", *["1"] * 20_000]) for row in range(3))]
    assert Ingested(write("\n".join(lines))).stats["rows"] == 3
    sparse = [{"title": f"t{row}", **{f"k{row}_{key}": key for key in range(50)}} for row in range(200)]
    done = Ingested(write(sparse, "keys.jsonl"))
    assert done.input[7]["k7_49"] == 49 and done.input[7]["k8_49"] is None
    assert len(done.input[0]) == 10_001


def test_a_file_name_with_a_line_end_and_one_that_is_not_utf_8_are_read(tmp_path: Path) -> None:
    for name in ("two\nlines.csv", os.fsdecode(b"caf\xe9.csv")):
        (tmp_path / name).write_text("title\nfirst\n\u200b\n", encoding="utf-8")
    done = Ingested(tmp_path / "*.csv")
    assert (done.stats["rows"], len(done.headlines)) == (2, 1)
    assert {Path(reject["file"]).name for reject in done.rejects} == {"two\\nlines.csv", "caf\\udce9.csv"}
