"""Parquet: columns keep their types, and text columns must hold text."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import Read, Write, refused, write_fixture  # noqa: F401


def test_parquet_columns_keep_their_types_and_text_becomes_plain(tmp_path: Path) -> None:
    table = pa.table(
        {
            "title": pa.array(["a", None, "b"]).dictionary_encode(),
            "description": pa.array(["x", "y", None], pa.large_string()),
            "n": pa.array([1, 2, 3], pa.int16()),
            "l": [[1], [], None],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    read = Read(tmp_path / "a.parquet")
    assert read.records == table.to_pylist()
    assert read.schema.field("title").type == read.schema.field("description").type == pa.string()
    assert (read.schema.field("n").type, read.schema.field("l").type) == (pa.int16(), pa.list_(pa.int64()))
    assert read.places == [(1, 0), (2, 0), (3, 0)]


@pytest.mark.parametrize("values", [[1, 2], [b"a", b"b"], [["a"], ["b"]]], ids=["int", "binary", "list"])
def test_a_parquet_text_column_of_another_type_is_refused_with_its_type(tmp_path: Path, values: list[Any]) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"title": values}), path)
    kind = pq.read_schema(path).field("title").type
    assert f"column 'title' of '{path}' is {kind}, expected text" in refused(path)


def test_a_parquet_description_of_nulls_is_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["a"], "description": pa.nulls(1)}), tmp_path / "a.parquet")
    assert Read(tmp_path / "a.parquet").records == [{"title": "a", "description": None}]


@pytest.mark.parametrize("content", [b"", b"title\na\n", b"PAR1" + b"\0" * 50 + b"PAR1"])
def test_a_file_that_is_not_parquet_is_refused(write: Write, content: bytes) -> None:
    assert refused(write(content, "a.parquet")).startswith("input.path: ")


def test_a_truncated_parquet_file_is_refused(write: Write, tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["a"] * 1000}), tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    assert "cannot be read" in refused(write(content[: len(content) // 2], "cut.parquet"))
