"""Reads Parquet with pyarrow, one batch of rows at a time."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from job.backends.tables.source import Block, Reject, open_seekable, reading, shown, unique
from job.runtime.errors import BadInput

_BATCH_ROWS = 4_096
_BATCH_CELLS = 10_000_000


class ParquetSource:
    """A Parquet file. Columns keep their types, but dictionaries and views become their plain kinds; the text columns
    become plain strings."""

    def __init__(self, path: Path, text_columns: set[str]) -> None:
        self.path = path
        with open_seekable(path) as file:
            schema = pq.ParquetFile(file).schema_arrow
        fields = []
        for field, name in zip(schema, unique(schema.names), strict=True):
            field = field.with_name(name).with_type(_plain(field.type))
            if field.name in text_columns:
                if not _is_text(field.type):
                    raise BadInput(f"input: column '{field.name}' of '{shown(path)}' is {field.type}, expected text")
                field = pa.field(field.name, pa.string())
            elif pa.types.is_timestamp(field.type) and not _is_known(field.type.tz):
                # a zone that the machine does not know cannot be written as text; the instant is the same
                field = field.with_type(pa.timestamp(field.type.unit, "UTC"))
            fields.append(field)
        self.schema = pa.schema(fields)

    def blocks(self) -> Iterator[Block | Reject]:
        row = 1
        with reading(self.path), open_seekable(self.path) as file:
            at_once = max(1, min(_BATCH_ROWS, _BATCH_CELLS // max(1, len(self.schema))))
            for batch in pq.ParquetFile(file).iter_batches(at_once):
                rows = list(range(row, row + batch.num_rows))
                row += batch.num_rows
                table = pa.Table.from_batches([batch]).rename_columns(self.schema.names).cast(self.schema)
                bad = _undecodable_rows(table)
                for place, name in sorted(bad.items()):
                    yield Reject(rows[place], 0, f"undecodable: column '{name}' holds bytes that are not UTF-8")
                if bad:
                    rows = [number for place, number in enumerate(rows) if place not in bad]
                    table = table.filter(pa.array([place not in bad for place in range(len(table))]))
                if rows:
                    yield Block(table, rows, [0] * len(rows))


def _undecodable_rows(table: pa.Table) -> dict[int, str]:
    """The rows of a batch with bytes that are not UTF-8 in a text, each with its first such column: some writers do not
    check."""
    bad: dict[int, str] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if _is_valid(column):
            continue
        for place in range(len(column)):
            if place not in bad and not _is_valid(column.take([place])):
                bad[place] = name
    return bad


def _is_valid(column: pa.ChunkedArray) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _is_known(zone: str | None) -> bool:
    try:
        pa.array([0], pa.timestamp("s", zone)).cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _plain(kind: pa.DataType) -> pa.DataType:
    """The kind that CSV and JSON Lines have a form for. Of a dictionary, each row is checked by itself; of views, Arrow
    cannot select rows."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.string()
    return pa.binary() if pa.types.is_binary_view(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))
