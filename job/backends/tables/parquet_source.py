"""Reads Parquet with pyarrow, one batch of rows at a time."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from job.backends.tables.added import Index, pandas_index
from job.backends.tables.packed import open_seekable
from job.backends.tables.parquet_pages import MOST_ROWS, portions
from job.backends.tables.source import (
    Block,
    Reject,
    file_state,
    is_binary,
    reading,
    shown,
    too_long,
    unique,
)
from job.backends.tables.within import can_be_named, fields_within, first_within, not_text
from job.runtime.errors import BadInput

_BATCH_CELLS = 10_000_000
# compressed bytes of a column that are in memory at a time
_BUFFER_BYTES = 1_048_576


class ParquetSource:
    """A Parquet file. Columns keep their types, but dictionaries and views become their plain kinds; the text columns
    become plain strings. A row with a value of more than `cell_limit` characters (bytes, where it is no text) is a
    reject. In memory are a page of each column and the rows of a batch, however many bytes the file unpacks to.

    `index`: that of pandas which is in the file's metadata alone."""

    def __init__(self, path: Path, text_columns: set[str], cell_limit: int, others: Collection[str] = ()) -> None:
        self.path, self._cell_limit = path, cell_limit
        self._state = file_state(path)
        with open_seekable(path) as file:
            schema = pq.ParquetFile(file).schema_arrow
        self.index: Index | None = pandas_index(schema)
        own = [field.with_name(name) for field, name in zip(schema, unique(schema.names), strict=True)]
        self._names = [field.name for field in own]
        inside = fields_within(pa.schema(own))
        texts = (name for name, (_, field) in inside.items() if _is_text(field.type))
        self.texts_within: Sequence[str] = [name for name in texts if can_be_named(name)]
        wanted = sorted({*text_columns, *others} & inside.keys() - {*self._names})
        self._within = {name: inside[name][0] for name in wanted}
        fields = []
        for field in (*own, *(inside[name][1].with_name(name) for name in wanted)):
            field = field.with_type(_plain(field.type))
            if field.name in text_columns:
                if not _is_text(field.type) and not _is_unmarked(field.type):
                    problem = not_text(field.name, str(field.type), self.texts_within)
                    other = "" if first_within(field.name, self.texts_within) else "; name another one"
                    raise BadInput(f"input: column '{field.name}' of '{shown(path)}' {problem}{other}")
                field = pa.field(field.name, pa.string())
            elif pa.types.is_timestamp(field.type) and not _is_known(field.type.tz):
                # a zone that the machine does not know cannot be written as text; the instant is the same
                field = field.with_type(pa.timestamp(field.type.unit, "UTC"))
            fields.append(field)
        self.schema = pa.schema(fields)
        # those are refused above
        self.never_text: Mapping[str, str] = {}

    def blocks(self) -> Iterator[Block | Reject]:
        row = 1
        with reading(self.path, self._state), open_seekable(self.path) as file:
            for batch in self._batches(file):
                numbers = range(row, row + batch.num_rows)
                row += batch.num_rows
                table = pa.Table.from_batches([batch]).rename_columns(self._names)
                for name, keys in self._within.items():
                    table = table.append_column(name, pc.struct_field(table[keys[0]], keys[1:]))
                # bytes that are no UTF-8 are found below, row by row
                table = table.cast(self.schema, safe=False)
                # the next batch is read while these are there
                del batch
                reasons = dict.fromkeys(_long_rows(table, self._cell_limit), too_long(self._cell_limit))
                table = _without(table, reasons)
                kept = [place for place in range(len(numbers)) if place not in reasons]
                bad = _undecodable_rows(table)
                for place, name in bad.items():
                    reasons[kept[place]] = f"undecodable: column '{name}' holds bytes that are not UTF-8"
                for place, reason in sorted(reasons.items()):
                    yield Reject(numbers[place], 0, reason)
                rows = [number for place, number in enumerate(numbers) if place not in reasons]
                if rows:
                    yield Block(_without(table, bad), rows, [0] * len(rows))

    def _batches(self, file: IO[bytes]) -> Iterator[pa.RecordBatch]:
        """All rows in order, as many at once as fit in memory."""
        source = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        most = max(1, min(MOST_ROWS, _BATCH_CELLS // max(1, len(self.schema))))
        for groups, rows in portions(file, source.metadata):
            yield from source.iter_batches(min(rows, most), row_groups=groups)


def _without(table: pa.Table, places: Collection[int]) -> pa.Table:
    return table.filter(pa.array([place not in places for place in range(len(table))])) if places else table


def _long_rows(table: pa.Table, limit: int) -> set[int]:
    """The rows with a value of more than `limit` characters, or bytes where it is no text."""
    found: set[int] = set()
    for column in table.columns:
        if column.nbytes > limit:
            # joining the chunks would copy even a single one
            values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
            if _is_text(column.type) or is_binary(column.type):
                found.update(_long_texts(values, limit))
            else:
                found.update(place for place in range(len(values)) if values.slice(place, 1).nbytes > limit)
    return found


def _long_texts(column: pa.Array, limit: int) -> list[int]:
    is_text = not is_binary(column.type)
    if not pa.types.is_fixed_size_binary(column.type):
        column = column.cast(pa.large_string() if is_text else pa.large_binary())
    places = pc.indices_nonzero(pc.greater(pc.binary_length(column), limit)).to_pylist()
    return [at for at in places if not is_text or pc.utf8_length(column.slice(at, 1))[0].as_py() > limit]


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


def _is_unmarked(kind: pa.DataType) -> bool:
    """Whether a type can hold texts that are not marked as such: so Impala and older versions of Hive write them."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))
