"""Columns within objects, of JSON and of Parquet: read as columns of their own, and named in messages."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import Read, Write, refused, write_fixture  # noqa: F401

from job.backends.tables import Block, open_source

ROWS = [
    {"id": 1, "headline": {"main": "Ferry strike", "kicker": None}, "facts": {"when": {"day": "2024-04-01"}, "n": 1}},
    {"id": 2, "headline": {"main": "Tiara stolen"}, "facts": {"when": None, "n": 2}},
    {"id": 3, "headline": None, "facts": None},
]
MAIN = {"headline.main"}


def as_lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def as_array(rows: list[Any]) -> str:
    return json.dumps({"status": "OK", "response": {"meta": {"hits": 3}, "docs": rows}})


@pytest.mark.parametrize("form", [as_lines, json.dumps, as_array])
def test_of_json_they_are_columns_beside_the_objects(write: Write, form: Any) -> None:
    read = Read(write(form(ROWS), "a.json"), texts=MAIN, others=["facts.when.day", "facts.n", "facts.none"])
    assert not read.reasons
    assert read.schema.names == ["id", "headline", "facts", "headline.main", "facts.when.day", "facts.n"]
    assert read.schema.field("facts.n").type == pa.int64()
    assert read.column("headline.main") == ["Ferry strike", "Tiara stolen", None]
    assert read.column("facts.when.day") == ["2024-04-01", None, None]
    assert read.records[1]["headline"] == '{"main": "Tiara stolen"}'


def test_of_parquet_they_are_columns_beside_the_structs(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    read = Read(tmp_path / "a.parquet", texts=MAIN, others=["facts.when.day", "facts.none"])
    assert not read.reasons
    assert read.schema.names == ["id", "headline", "facts", "facts.when.day", "headline.main"]
    assert read.column("headline.main") == ["Ferry strike", "Tiara stolen", None]
    assert read.column("facts.when.day") == ["2024-04-01", None, None]


def test_they_are_in_the_same_order_in_every_process(write: Write) -> None:
    names = [f"o.{letter}" for letter in "hcfagbde"]
    read = Read(write(json.dumps({"title": "A", "o": dict.fromkeys("abcdefgh", "x")}), "a.jsonl"), texts=names)
    assert read.schema.names == ["title", "o", *sorted(names)]


def test_a_column_with_a_dot_in_its_name_is_that_column(write: Write, tmp_path: Path) -> None:
    rows = [{"headline.main": "itself", "headline": {"main": "within"}}, {"headline": {"main": "within"}}]
    read = Read(write(as_lines(rows), "a.jsonl"), texts=MAIN)
    assert read.column("headline.main") == ["itself", "within"]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    read = Read(tmp_path / "a.parquet", texts=MAIN)
    assert read.column("headline.main") == ["itself", None]


def test_a_struct_with_a_name_twice_has_no_such_column(tmp_path: Path) -> None:
    twice = pa.StructArray.from_arrays([pa.array(["a"]), pa.array(["b"])], fields=[pa.field("main", pa.string())] * 2)
    pq.write_table(pa.table({"headline": twice, "title": ["t"]}), tmp_path / "a.parquet")
    source = open_source(tmp_path / "a.parquet", "auto", "utf-8", {"title"}, others=["headline.main"])
    assert source.schema.names == ["headline", "title"]
    assert [item.rows for item in source.blocks() if isinstance(item, Block)] == [[1]]


def test_a_row_whose_title_is_within_an_object_has_arrays_of_its_own(write: Write) -> None:
    row = {"headline": {"main": "Ferry strike"}, "keywords": [{"name": "subject", "value": "ferries"}]}
    read = Read(write(json.dumps(row), "a.json"), texts=MAIN)
    assert read.column("headline.main") == ["Ferry strike"]


def test_a_title_that_is_an_object_is_answered_with_the_text_in_it(write: Write, tmp_path: Path) -> None:
    rows = [{"title": {"rendered": "Ferry strike"}}]
    read = Read(write(as_lines(rows), "a.jsonl"))
    assert read.reasons == ["'title' is of type object, expected text: 'title.rendered' is one"]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    message = refused(tmp_path / "a.parquet")
    assert "column 'title'" in message
    assert message.endswith("expected text: 'title.rendered' is one")


def test_what_no_user_could_set_is_not_named(write: Write, tmp_path: Path) -> None:
    texts = {"\x1b[2J": "a", "k" * 200: "b"}
    for title in (texts, {"parts": [{"text": "a"}]}):
        read = Read(write(json.dumps({"title": title}), "a.json"))
        assert read.reasons == ["'title' is of type object, expected text"]
    pq.write_table(pa.table({"title": ["a"], "o": [texts]}), tmp_path / "a.parquet")
    assert open_source(tmp_path / "a.parquet", "auto", "utf-8", {"title"}).texts_within == []


def test_columns_instead_of_rows_are_answered_with_how_to_write_rows(write: Write) -> None:
    read = Read(write(json.dumps({"title": {"0": "a", "1": "b"}}), "a.json"))
    assert read.reasons[0].endswith("with pandas, write to_json(orient='records')")


@pytest.mark.parametrize("form", [as_lines, json.dumps])
def test_nan_is_a_missing_value(write: Write, form: Any) -> None:
    rows = [{"title": "a", "n": 1, "source": float("nan")}, {"title": float("nan"), "n": float("nan"), "source": "s"}]
    read = Read(write(form(rows), "a.json"))
    assert not read.reasons
    assert [field.type for field in read.schema] == [pa.string(), pa.int64(), pa.string()]
    assert read.records == [{"title": "a", "n": 1, "source": None}, {"title": None, "n": None, "source": "s"}]
    assert Read(write('{"title": "a", "n": -Infinity}', "b.jsonl")).column("n") == [float("-inf")]
