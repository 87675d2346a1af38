"""Writes the answer as CSV that a spreadsheet can open without running a formula from it."""

import re
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from job.backends.tables.source import as_strings

# a spreadsheet takes text with such a start for a formula, unless it is a plain number
_FORMULA = r"^[=+\-@\t\r\n＝＋－＠]"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


def without_formula(text: str) -> str:
    """The text without NULs, with an apostrophe in front if a spreadsheet would take it for a formula."""
    text = text.replace("\0", "")
    return f"'{text}" if re.match(_FORMULA, text) and not re.match(_NUMBER, text) else text


class CsvAnswer:
    """Writes tables of one schema to a CSV file, after the bytes `start`; lists and structs become JSON."""

    def __init__(self, path: Path, schema: pa.Schema, start: bytes = b"") -> None:
        self._schema = pa.schema([pa.field(item.name, _csv_type(item.type)) for item in schema])
        options = pyarrow.csv.WriteOptions(quoting_style="needed")
        header = pa.schema([item.with_name(without_formula(item.name)) for item in self._schema])
        self._file = path.open("wb")
        self._file.write(start)
        self._writer = pyarrow.csv.CSVWriter(self._file, header, write_options=options)
        self._header = header

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with self._file:
            self._writer.close()

    def write(self, table: pa.Table) -> None:
        """Write the rows of the table."""
        columns = [_csv_column(table.column(i).combine_chunks(), item.type) for i, item in enumerate(self._schema)]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._header))


def _csv_type(kind: pa.DataType) -> pa.DataType:
    unchanged = (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_date(kind)
        or pa.types.is_timestamp(kind)
    )
    return kind if unchanged else pa.string()


def _csv_column(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_string(kind):
        return column
    if not pa.types.is_string(column.type):
        column = as_strings(column)
    # many CSV readers end a text at a NUL
    column = pc.replace_substring(column, "\0", "")
    formula = pc.and_(pc.match_substring_regex(column, _FORMULA), pc.invert(pc.match_substring_regex(column, _NUMBER)))
    return pc.if_else(pc.fill_null(formula, False), pc.binary_join_element_wise("'", column, ""), column)
