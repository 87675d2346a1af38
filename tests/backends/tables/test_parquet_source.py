"""Parquet: columns keep their types, and text columns must hold text."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import Read, Write, refused, write_fixture  # noqa: F401

from job.backends.tables import Block, open_source
from job.backends.tables.parquet_pages import MOST_BYTES


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


@pytest.mark.parametrize("values", [[1, 2], [["a"], ["b"]]], ids=["int", "list"])
def test_a_parquet_text_column_of_another_type_is_refused_with_its_type(tmp_path: Path, values: list[Any]) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"title": values}), path)
    kind = pq.read_schema(path).field("title").type
    assert f"column 'title' of '{path}' is {kind}, expected text" in refused(path)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_texts_that_are_not_marked_as_text_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    titles = pa.array(["Größe".encode(), b"caf\xe9", None], kind)
    pq.write_table(pa.table({"title": titles, "other": titles}), tmp_path / "a.parquet")
    read = Read(tmp_path / "a.parquet")
    assert read.column("title") == ["Größe", None]
    assert read.column("other") == ["Größe".encode(), None]
    assert read.reasons == ["undecodable: column 'title' holds bytes that are not UTF-8"]


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


LIMIT = 10**6
TOO_LONG = "longer than 1 million characters; see input.max_line_mb"


@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]
)
def test_a_row_with_a_value_that_is_too_long_is_a_reject(tmp_path: Path, kind: pa.DataType, dictionary: bool) -> None:
    sides = pa.array(["a", "x" * (LIMIT + 1), None, "y" * LIMIT]).cast(kind)
    pq.write_table(pa.table({"title": list("abcd"), "side": sides}), tmp_path / "a.parquet", use_dictionary=dictionary)
    read = Read(tmp_path / "a.parquet", max_line_mb=1)
    assert (read.column("title"), read.rejects, read.reasons) == (["a", "c", "d"], [(2, 0)], [TOO_LONG])


def test_the_limit_of_a_text_counts_characters_and_that_of_a_list_bytes(tmp_path: Path) -> None:
    table = pa.table({"title": ["é" * LIMIT, "é" * (LIMIT + 1), "c"], "side": [[], None, ["x" * 10] * LIMIT]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert Read(tmp_path / "a.parquet", max_line_mb=1).rejects == [(2, 0), (3, 0)]


@pytest.mark.parametrize("dictionary", [True, False])
def test_rows_are_read_by_so_many_that_their_bytes_fit_in_memory(tmp_path: Path, dictionary: bool) -> None:
    long = pa.array(["x" * 900_000]).take(pa.array([0] * 500))
    small = ["a"] * 10_000
    titles = [f"t{number}" for number in range(20_500)]
    table = pa.table({"title": titles, "side": pa.concat_arrays([pa.array(small), long, pa.array(small)])})
    pq.write_table(table, tmp_path / "a.parquet", use_dictionary=dictionary, write_batch_size=16)
    blocks = list(open_source(tmp_path / "a.parquet", "auto", "utf-8", {"title"}).blocks())
    assert max(item.table.nbytes for item in blocks if isinstance(item, Block)) < 2 * MOST_BYTES
    assert [title for item in blocks if isinstance(item, Block) for title in item.table["title"].to_pylist()] == titles


def test_small_row_groups_are_read_together(tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["a"] * 10_000}), tmp_path / "a.parquet", row_group_size=10)
    assert Read(tmp_path / "a.parquet").blocks == 3


def test_ordinary_dictionaries_do_not_make_the_batches_small(tmp_path: Path) -> None:
    """As pandas writes them: of all columns, numbers and times too."""
    numbers = range(20_000)
    columns = {
        "title": [f"a sentence of some length, number {number % 10_000}" for number in numbers],
        "tags": [["a", "b"]] * len(numbers),
        "story": [f"s{number % 4_000}" for number in numbers],
        "time": pa.array(numbers, pa.timestamp("us")),
        "score": [number / 7 for number in numbers],
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert Read(tmp_path / "a.parquet").blocks == 5
