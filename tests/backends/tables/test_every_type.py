"""A column of any Arrow type goes from Parquet through the run folder into CSV, Parquet and JSON Lines."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from job.backends.tables.answer_rows import WRITERS
from job.backends.tables.parquet_source import ParquetSource
from job.backends.tables.source import Block, Reject

TIME = datetime(2024, 4, 1, 12, 30, 5)
FAR = 2**62
TYPES: dict[str, tuple[pa.Array, Any]] = {
    "unknown zone": (pa.array([TIME, None], pa.timestamp("us", "Mars/Phobos")), "2024-04-01T12:30:05+00:00"),
    "known zone": (pa.array([TIME, None], pa.timestamp("us", "Europe/Berlin")), "2024-04-01T14:30:05+02:00"),
    "nanoseconds": (pa.array([1_711_974_605_000_000_001, None], pa.timestamp("ns")), "2024-04-01T12:30:05.000000001"),
    "far time": (pa.array([FAR, None], pa.timestamp("us")), "?"),
    "far date": (pa.array([2**30, None], pa.date32()), "?"),
    "duration": (pa.array([90_005_000, None], pa.duration("ms")), "1 day, 1:00:05"),
    "far duration": (pa.array([FAR, None], pa.duration("s")), "?"),
    "far in a list": (pa.array([[FAR], None], pa.list_(pa.timestamp("us"))), "?"),
    "decimal": (pa.array([Decimal("1.23"), None]), "1.23"),
    "dictionary": (pa.array(["a", None]).dictionary_encode(), "a"),
    "list": (pa.array([[1, 2], None]), [1, 2]),
    "struct": (pa.array([{"a": b"\xff"}, None]), {"a": "/w=="}),
    "map": (pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())), [["k", 1]]),
    "large text": (pa.array(["x", None], pa.large_string()), "x"),
    "text view": (pa.array(["x", None], pa.string_view()), "x"),
    "binary": (pa.array([b"\xff", None]), "/w=="),
    "large binary": (pa.array([b"\xff", None], pa.large_binary()), "/w=="),
    "binary view": (pa.array([b"\xff", None], pa.binary_view()), "/w=="),
    "fixed binary": (pa.array([b"\xffa", None], pa.binary(2)), "/2E="),
    "null": (pa.nulls(2), None),
    "half": (pa.array([1.5, None], pa.float16()), 1.5),
    "time": (pa.array([1, None], pa.time32("s")), "00:00:01"),
    "unsigned": (pa.array([2**64 - 1, None], pa.uint64()), 2**64 - 1),
    "infinite": (pa.array([float("inf"), None]), None),
}


@pytest.mark.parametrize("name", TYPES)
def test_a_column_of_this_type_comes_out_in_every_form(tmp_path: Path, name: str) -> None:
    column, expected = TYPES[name]
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"title": ["a", "b"], "x": column}), path)
    source = ParquetSource(path, {"title"}, 10**6)
    (block,) = source.blocks()
    assert isinstance(block, Block)
    stored = tmp_path / "input.parquet"
    pq.write_table(block.table, stored)
    table = pq.read_table(stored)
    for suffix, writer in WRITERS.items():
        with writer(tmp_path / f"out{suffix}", table.schema) as out:
            out.write(table)
    line = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert line == {"title": "a", "x": expected}
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 2
    frame = pd.read_csv(tmp_path / "out.csv")
    assert list(frame["title"]) == ["a", "b"]
    is_time = pa.types.is_temporal(column.type) and not pa.types.is_duration(column.type)
    if isinstance(expected, str) and not is_time and name != "far in a list":
        assert str(frame["x"][0]) == expected


def test_rows_with_bytes_that_are_not_utf_8_are_rejects_in_any_column(tmp_path: Path) -> None:
    offsets = pa.array([0, 1, 2, 3], pa.int32()).buffers()[1]
    broken = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"a\xffc")])
    nested = pa.ListArray.from_arrays([0, 2, 3], broken)
    path = tmp_path / "in.parquet"
    for column, bad in ((broken, 2), (nested, 1)):
        pq.write_table(pa.table({"title": [f"t{i}" for i in range(len(column))], "side": column}), path)
        items = list(ParquetSource(path, {"title"}, 10**6).blocks())
        rejects = [item for item in items if isinstance(item, Reject)]
        blocks = [item for item in items if isinstance(item, Block)]
        assert rejects == [Reject(bad, 0, "undecodable: column 'side' holds bytes that are not UTF-8")]
        assert sorted([bad, *blocks[0].rows]) == list(range(1, len(column) + 1))
