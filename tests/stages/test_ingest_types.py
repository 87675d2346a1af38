"""Every type of column that Parquet has comes out in every format of the answer."""

import csv
import datetime as dt
import decimal
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from job.backends.tables.answer_rows import WRITERS, AnswerRows
from job.config import Input
from job.runtime.rundir import RunDir
from job.stages.ingest import ingest

NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 123456)
COLUMNS: dict[str, tuple[Any, pa.DataType]] = {
    "decimal": (decimal.Decimal("1.50"), pa.decimal128(10, 2)),
    "decimal256": (decimal.Decimal("-1e30"), pa.decimal256(60, 2)),
    "dictionary": ("x", pa.dictionary(pa.int32(), pa.string())),
    "dictionary of int": (7, pa.dictionary(pa.int32(), pa.int64())),
    "list": (["a", None], pa.list_(pa.string())),
    "fixed list": ([1.5, float("nan")], pa.list_(pa.float32(), 2)),
    "large list": ([1], pa.large_list(pa.int8())),
    "struct": (
        {"a": 1, "b": {"c": [NOON]}},
        pa.struct({"a": pa.int8(), "b": pa.struct({"c": pa.list_(pa.timestamp("us"))})}),
    ),
    "struct with zone": ({"t": NOON}, pa.struct({"t": pa.timestamp("us", "Mars/Olympus")})),
    "list with zone": ([NOON], pa.list_(pa.timestamp("us", "Mars/Olympus"))),
    "map": ([("k", 1)], pa.map_(pa.string(), pa.int64())),
    "map of binary": ([(b"\xff", [1])], pa.map_(pa.binary(), pa.list_(pa.int64()))),
    "duration": (dt.timedelta(days=2, seconds=3), pa.duration("ns")),
    "duration s": (10**15, pa.duration("s")),
    "large string": ("x", pa.large_string()),
    "string view": ("x", pa.string_view()),
    "binary": (b"\xff\x00", pa.binary()),
    "large binary": (b"\xff", pa.large_binary()),
    "binary view": (b"\xff", pa.binary_view()),
    "fixed binary": (b"\xff\x01", pa.binary(2)),
    "null": (None, pa.null()),
    "half": (np.float16(1.5), pa.float16()),
    "nan": (float("nan"), pa.float32()),
    "time32": (dt.time(1, 2, 3), pa.time32("s")),
    "time64": (123456789, pa.time64("ns")),
    "uint64": (2**64 - 1, pa.uint64()),
    "int8": (-128, pa.int8()),
    "bool": (True, pa.bool_()),
    "date32": (dt.date(1, 1, 1), pa.date32()),
    "date of year 99999": (35_804_000, pa.date32()),
    "date64": (0, pa.date64()),
    "zone": (NOON, pa.timestamp("us", "Europe/Berlin")),
    "offset": (NOON, pa.timestamp("ms", "+02:00")),
    "unknown zone": (NOON, pa.timestamp("us", "Mars/Olympus")),
    "empty zone": (NOON, pa.timestamp("us", "EST5EDT")),
    "year 99999": (3_093_527_980_800, pa.timestamp("s")),
    "year -9999": (-377_736_739_200, pa.timestamp("s", "UTC")),
    "most": (2**63 - 1, pa.timestamp("ns")),
}


def answers(path: Path, **settings: Any) -> dict[str, Path]:
    """The three answers of a file's rows."""
    folder = path.parent / "run"
    folder.mkdir()
    ingest(Input(path=str(path), description=None, **settings), RunDir(folder))
    rows = AnswerRows(folder, pa.table({"id": pq.read_table(folder / "headlines.parquet")["id"]}))
    files = {suffix: folder / f"answer{suffix}" for suffix in WRITERS}
    for suffix, file in files.items():
        with WRITERS[suffix](file, rows.schema) as writer:
            rows.writers[:] = [writer]
            rows.write()
    return files


def read(files: dict[str, Path]) -> list[dict[str, Any]]:
    """The rows of the CSV answer; that of Parquet and JSON Lines is read too."""
    table = pq.read_table(files[".parquet"])
    lines = [json.loads(line) for line in files[".jsonl"].read_text(encoding="utf-8").splitlines()]
    with files[".csv"].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(table) == len(lines) == len(rows)
    assert table.column_names == list(lines[0]) == list(rows[0])
    return rows


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("role", ["x", "time", "source"])
def test_a_column_of_any_type_comes_out_in_every_format(tmp_path: Path, name: str, role: str) -> None:
    value, kind = COLUMNS[name]
    column = pa.array([value, None], kind)
    pq.write_table(pa.table({"title": ["a", "b"], role: column}), tmp_path / "in.parquet")
    rows = read(answers(tmp_path / "in.parquet", time=role if role == "time" else None))
    assert rows[1][role] == ""
    assert bool(rows[0][role]) == (value is not None)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_any_type_next_to_a_file_where_it_is_text(tmp_path: Path, name: str) -> None:
    value, kind = COLUMNS[name]
    pq.write_table(pa.table({"title": ["a"], "x": pa.array([value], kind)}), tmp_path / "in1.parquet")
    pq.write_table(pa.table({"title": ["b"], "x": ["text"]}), tmp_path / "in2.parquet")
    rows = read(answers(tmp_path / "in*.parquet"))
    assert rows[1]["x"] == "text"


def test_an_unknown_time_zone_keeps_the_moment(tmp_path: Path) -> None:
    column = pa.array([NOON], pa.timestamp("us", "Mars/Olympus"))
    pq.write_table(pa.table({"title": ["a"], "x": column}), tmp_path / "in.parquet")
    assert read(answers(tmp_path / "in.parquet"))[0]["x"] == "2024-02-29 12:00:00.123456Z"


def not_utf8(kind: pa.DataType) -> pa.Array:
    binary = pa.large_binary() if kind == pa.large_string() else pa.binary()
    return pa.Array.from_buffers(kind, 2, pa.array([b"caf\xe9", b"ok"], binary).buffers())


@pytest.mark.parametrize("shape", ["string", "large", "dictionary", "list"])
def test_a_row_with_bytes_that_are_not_utf8_in_a_side_column_is_a_reject(tmp_path: Path, shape: str) -> None:
    column: Any = not_utf8(pa.large_string() if shape == "large" else pa.string())
    if shape == "dictionary":
        column = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), column)
    if shape == "list":
        column = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), column)
    pq.write_table(pa.table({"title": ["a", "b"], "x": column}), tmp_path / "in.parquet")
    assert [row["title"] for row in read(answers(tmp_path / "in.parquet"))] == ["b"]
    assert "column 'x' holds bytes that are not UTF-8" in (tmp_path / "run" / "rejects.csv").read_text()
