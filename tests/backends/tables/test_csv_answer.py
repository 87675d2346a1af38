"""The answer as CSV: reading it back gives what was written, and a spreadsheet runs no formula from it."""

import csv
import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from job.backends.tables.csv_answer import CsvAnswer, without_formula


def round_trip(path: Path, *tables: pa.Table) -> list[dict[str, str]]:
    """Write the tables, then read them back with Python's `csv`."""
    with CsvAnswer(path, tables[0].schema) as answer:
        for table in tables:
            answer.write(table)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def written(path: Path, values: Any) -> list[str]:
    return [row["x"] for row in round_trip(path, pa.table({"x": values, "last": [0] * len(values)}))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answer.csv"


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        '=HYPERLINK("http://x")',
        "\t=1",
        "\r=1",
        "-",
        "+",
        "-5%",
        "--5",
        "=-5",
        "＝1+1",
        "＋1",
        "－1",
        "＠SUM(A1)",
        "\n=1",
    ],
)
def test_a_formula_gets_an_apostrophe(path: Path, text: str) -> None:
    assert written(path, [text]) == [f"'{text}"]
    assert without_formula(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-5", "+5", "-5.25", "-.5", "5.", "+1e3", "-1.5E-07", "a=b", "x-1", "'=1", "", " =1"])
def test_numbers_and_plain_text_are_not_changed(path: Path, text: str) -> None:
    assert written(path, [text]) == [text]
    assert without_formula(text) == text


def test_texts_are_read_back_unchanged(path: Path) -> None:
    texts = [
        'a "quoted", b',
        "two\nlines",
        "cr\r\nlf",
        "naïve 日本 😀",
        " spaced ",
        ",",
        '"',
        "a\tb",
        "NULL",
        "x" * 70_000,
    ]
    assert written(path, texts) == texts


def test_nul_is_removed_and_hides_no_formula(path: Path) -> None:
    assert written(path, ["a\0b", "\0", "\0=1"]) == ["ab", "", "'=1"]


def test_null_is_written_as_empty(path: Path) -> None:
    assert written(path, pa.array([None, "a"])) == ["", "a"]
    assert written(path, pa.nulls(2)) == ["", ""]
    assert written(path, pa.array([None, ["a"]])) == ["", '["a"]']


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_formulas_get_an_apostrophe_in_every_text_type(path: Path, kind: pa.DataType) -> None:
    assert written(path, pa.array(["=1", "a", None], pa.string()).cast(kind)) == ["'=1", "a", ""]


def test_numbers_booleans_and_dates_are_written_plainly(path: Path) -> None:
    assert written(path, [-5, 2**62]) == ["-5", str(2**62)]
    assert written(path, pa.array(np.array([200], np.uint8))) == ["200"]
    assert [float(text) for text in written(path, np.array([-0.1, 1e-30], np.float64))] == [-0.1, 1e-30]
    assert np.float32(written(path, np.array([0.1], np.float32))[0]) == np.float32(0.1)
    assert written(path, [True, False]) == ["true", "false"]
    assert written(path, [datetime.date(2024, 4, 1)]) == ["2024-04-01"]
    assert written(path, [datetime.datetime(2024, 4, 1, 12, 30)])[0].startswith("2024-04-01 12:30:00")


@pytest.mark.parametrize("value", [["a", "é"], [1, None], [], {"k": "=1"}, [["x"]]], ids=str)
def test_lists_and_structs_are_json(path: Path, value: Any) -> None:
    assert [json.loads(text) for text in written(path, pa.array([value, value]))] == [value, value]


def test_decimals_are_written_plainly(path: Path) -> None:
    assert written(path, [decimal.Decimal("-1.50")]) == ["-1.50"]


def test_times_are_written_plainly(path: Path) -> None:
    assert written(path, [datetime.time(1, 2)])[0].startswith("01:02:00")


def test_column_names_are_treated_like_values(path: Path) -> None:
    table = pa.table({"=cmd": ["a"], "-5": ["b"], 'q"u,o': [1], "new\nline": [2], "plain": [3]})
    assert list(round_trip(path, table)[0]) == ["'=cmd", "-5", 'q"u,o', "new\nline", "plain"]


def test_nul_in_a_column_name_is_removed_and_hides_no_formula(path: Path) -> None:
    assert list(round_trip(path, pa.table({"\0=1": ["a"], "last": [1]}))[0]) == ["'=1", "last"]


def test_several_tables_make_one_file_with_one_header(path: Path) -> None:
    tables = [pa.table({"x": pa.chunked_array([["a"], ["=b"]])}), pa.table({"x": pa.chunked_array([["c"]])})]
    assert [row["x"] for row in round_trip(path, *tables)] == ["a", "'=b", "c"]


def test_a_table_without_rows_gives_only_a_header(path: Path) -> None:
    assert round_trip(path, pa.table({"x": pa.array([], pa.string()), "n": pa.array([], pa.int64())})) == []
    assert path.read_text(encoding="utf-8").strip() == '"x","n"'
