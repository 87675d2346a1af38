"""Columns within objects, of JSON and of Parquet: read as columns of their own, and named in messages."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import Write, refused, write_fixture  # noqa: F401

from job.backends.tables import Block, Reject, open_source

ROWS = [
    {"id": 1, "headline": {"main": "Ferry strike", "kicker": None}, "facts": {"when": {"day": "2024-04-01"}, "n": 1}},
    {"id": 2, "headline": {"main": "Tiara stolen"}, "facts": {"when": None, "n": 2}},
    {"id": 3, "headline": None, "facts": None},
]
MAIN = {"headline.main"}


def read(path: Path, texts: set[str], *others: str) -> tuple[pa.Schema, list[dict[str, Any]], list[str]]:
    """Schema, records, and the reasons of rejects."""
    source = open_source(path, "auto", "utf-8", texts, others=others)
    records: list[dict[str, Any]] = []
    reasons = []
    for item in source.blocks():
        if isinstance(item, Reject):
            reasons.append(item.reason)
        else:
            assert isinstance(item, Block)
            records += item.table.to_pylist()
    return source.schema, records, reasons


def as_lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def as_array(rows: list[Any]) -> str:
    return json.dumps({"status": "OK", "response": {"meta": {"hits": 3}, "docs": rows}})


@pytest.mark.parametrize("form", [as_lines, json.dumps, as_array])
def test_of_json_they_are_columns_beside_the_objects(write: Write, form: Any) -> None:
    schema, records, reasons = read(write(form(ROWS), "a.json"), MAIN, "facts.when.day", "facts.n", "facts.none")
    assert not reasons
    assert schema.names == ["id", "headline", "facts", "headline.main", "facts.when.day", "facts.n"]
    assert schema.field("facts.n").type == pa.int64()
    assert [row["headline.main"] for row in records] == ["Ferry strike", "Tiara stolen", None]
    assert [row["facts.when.day"] for row in records] == ["2024-04-01", None, None]
    assert records[1]["headline"] == '{"main": "Tiara stolen"}'


def test_of_parquet_they_are_columns_beside_the_structs(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    schema, records, reasons = read(tmp_path / "a.parquet", MAIN, "facts.when.day", "facts.none")
    assert not reasons
    assert schema.names == ["id", "headline", "facts", "facts.when.day", "headline.main"]
    assert [row["headline.main"] for row in records] == ["Ferry strike", "Tiara stolen", None]
    assert [row["facts.when.day"] for row in records] == ["2024-04-01", None, None]


def test_a_column_with_a_dot_in_its_name_is_that_column(write: Write, tmp_path: Path) -> None:
    rows = [{"headline.main": "itself", "headline": {"main": "within"}}, {"headline": {"main": "within"}}]
    _, records, _ = read(write(as_lines(rows), "a.jsonl"), MAIN)
    assert [row["headline.main"] for row in records] == ["itself", "within"]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    _, records, _ = read(tmp_path / "a.parquet", MAIN)
    assert [row["headline.main"] for row in records] == ["itself", None]


def test_a_struct_with_a_name_twice_has_no_such_column(tmp_path: Path) -> None:
    twice = pa.StructArray.from_arrays([pa.array(["a"]), pa.array(["b"])], fields=[pa.field("main", pa.string())] * 2)
    pq.write_table(pa.table({"headline": twice, "title": ["t"]}), tmp_path / "a.parquet")
    source = open_source(tmp_path / "a.parquet", "auto", "utf-8", {"title"}, others=["headline.main"])
    assert source.schema.names == ["headline", "title"]
    assert [item.rows for item in source.blocks() if isinstance(item, Block)] == [[1]]


def test_a_row_whose_title_is_within_an_object_has_arrays_of_its_own(write: Write) -> None:
    row = {"headline": {"main": "Ferry strike"}, "keywords": [{"name": "subject", "value": "ferries"}]}
    _, records, _ = read(write(json.dumps(row), "a.json"), MAIN)
    assert [row["headline.main"] for row in records] == ["Ferry strike"]


def test_a_title_that_is_an_object_is_answered_with_the_text_in_it(write: Write, tmp_path: Path) -> None:
    rows = [{"title": {"rendered": "Ferry strike"}}]
    _, _, reasons = read(write(as_lines(rows), "a.jsonl"), {"title"})
    assert reasons == ["'title' is of type object, expected text; 'title.rendered' is one"]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    message = refused(tmp_path / "a.parquet")
    assert "column 'title'" in message
    assert message.endswith("expected text; 'title.rendered' is one")


def test_columns_instead_of_rows_are_answered_with_how_to_write_rows(write: Write) -> None:
    _, _, reasons = read(write(json.dumps({"title": {"0": "a", "1": "b"}}), "a.json"), {"title"})
    assert reasons[0].endswith("with pandas, write to_json(orient='records')")


@pytest.mark.parametrize("form", [as_lines, json.dumps])
def test_nan_is_a_missing_value(write: Write, form: Any) -> None:
    rows = [{"title": "a", "n": 1, "source": float("nan")}, {"title": float("nan"), "n": float("nan"), "source": "s"}]
    schema, records, reasons = read(write(form(rows), "a.json"), {"title"})
    assert not reasons
    assert [field.type for field in schema] == [pa.string(), pa.int64(), pa.string()]
    assert records == [{"title": "a", "n": 1, "source": None}, {"title": None, "n": None, "source": "s"}]
    _, records, _ = read(write('{"title": "a", "n": -Infinity}', "b.jsonl"), {"title"})
    assert records[0]["n"] == float("-inf")
