"""Columns that folders name, and indexes of pandas that are in the metadata alone."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import Read

FOLDERS = "spark/date=2024-04-01/Hour=07%3A30/desk=__HIVE_DEFAULT_PARTITION__/no key=1"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_folders_named_by_key_and_value_are_columns(tmp_path: Path, name: str) -> None:
    path = tmp_path / FOLDERS / name
    path.parent.mkdir(parents=True)
    if name == "a.csv":
        path.write_text("title,hour\nA,8\nB\n")
    elif name == "a.jsonl":
        path.write_text('{"title": "A", "hour": "8"}\n5\n')
    else:
        pq.write_table(pa.table({"title": ["A"], "hour": ["8"]}), path)
    read = Read(path, root=tmp_path)
    assert read.records == [{"title": "A", "hour": "8", "date": "2024-04-01", "desk": None}]
    assert len(read.rejects) == (name != "a.parquet")
    # the file has an hour of its own; without it, it is the folder's
    (path.parent / "b.csv").write_text("title\nA\n")
    assert Read(path.parent / "b.csv", root=tmp_path).column("Hour") == ["07:30"]
    # what lies above what was asked for is no column
    below = Read(path.parent / "b.csv", root=tmp_path / "spark" / "date=2024-04-01")
    assert below.schema.names == ["title", "Hour", "desk"]
    assert Read(path.parent / "b.csv").schema.names == ["title"]


def frame(tmp_path: Path, index: Any) -> Path:
    """What pandas writes; pandas itself is not needed to run the job."""
    about = {"index_columns": [index], "columns": []}
    table = pa.table({"title": ["A", "", "C"], "n": [1, 2, 3]}).replace_schema_metadata({"pandas": json.dumps(about)})
    pq.write_table(table, tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


@pytest.mark.parametrize(
    ("name", "start", "step", "column"),
    [("article", 1000, 1, "article"), (None, 5, -2, "__index_level_0__"), ("article", 0, 1, "article")],
)
def test_an_index_that_is_in_the_metadata_alone_is_a_column(
    tmp_path: Path, name: str | None, start: int, step: int, column: str
) -> None:
    read = Read(
        frame(tmp_path, {"kind": "range", "name": name, "start": start, "stop": start + 3 * step, "step": step})
    )
    assert read.column(column) == [start, start + step, start + 2 * step]


@pytest.mark.parametrize(
    "index",
    [
        {"kind": "range", "name": None, "start": 0, "stop": 3, "step": 1},
        {"kind": "range", "name": "N", "start": 7, "stop": 10, "step": 1},
        {"kind": "range", "name": "x", "start": 2**70, "stop": 0, "step": 1},
        {"kind": "range", "name": 5, "start": 1, "stop": 4, "step": 1},
        {"kind": "other"},
        "title",
        None,
        [],
    ],
)
def test_the_rows_number_and_other_indexes_are_no_column(tmp_path: Path, index: Any) -> None:
    assert Read(frame(tmp_path, index)).schema.names == ["title", "n"]


def test_metadata_that_is_no_json_is_left_alone(tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["A"]}).replace_schema_metadata({"pandas": "{"}), tmp_path / "a.parquet")
    assert Read(tmp_path / "a.parquet").schema.names == ["title"]


def test_a_folder_whose_name_is_no_utf_8_has_question_marks(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/city=M\xfcnchen"))
    folder.mkdir()
    (folder / "a.csv").write_text("title\nA\n")
    assert Read(folder / "a.csv", root=tmp_path).column("city") == ["M?nchen"]
