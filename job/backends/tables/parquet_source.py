"""Reads Parquet with pyarrow, one batch of rows at a time.

Columns keep their types, except for those that not every format of the answer can hold: see `_plain_type`.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from job.backends.tables.source import BLOCK_CHARS, Block, Reject, open_seekable, reading, shown, unique
from job.runtime.errors import BadInput

_BATCH_ROWS = 4_096


class ParquetSource:
    """A Parquet file. The text columns become plain strings."""

    def __init__(self, path: Path, text_columns: set[str]) -> None:
        self.path = path
        with open_seekable(path) as file:
            schema = pq.ParquetFile(file).schema_arrow
        fields = []
        for field, name in zip(schema, unique(schema.names, path), strict=True):
            field = field.with_name(name).with_type(_plain_type(field.type))
            if field.name in text_columns:
                kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
                if not _is_text(kind):
                    raise BadInput(f"input: column '{field.name}' of '{shown(path)}' is {field.type}, expected text")
                field = pa.field(field.name, pa.string())
            fields.append(field)
        self.schema = pa.schema(fields)
        self._text_columns = text_columns & set(self.schema.names)

    def blocks(self) -> Iterator[Block | Reject]:
        row = 1
        with reading(self.path), open_seekable(self.path) as file:
            rows_at_once = max(1, min(_BATCH_ROWS, BLOCK_CHARS // max(1, len(self.schema))))
            for batch in pq.ParquetFile(file).iter_batches(rows_at_once):
                rows = list(range(row, row + batch.num_rows))
                row += batch.num_rows
                columns = [self._plain(column, field) for column, field in zip(batch.columns, self.schema, strict=True)]
                yield Block(pa.Table.from_arrays(columns, schema=self.schema), rows, [0] * len(rows))

    def _plain(self, column: pa.Array, field: pa.Field) -> pa.Array:
        """The column in the type of `field`, with valid UTF-8."""
        try:
            # some writers put bytes that are not UTF-8 into a text column
            (column.dictionary if pa.types.is_dictionary(column.type) else column).validate(full=True)
        except pa.ArrowInvalid:
            if field.name in self._text_columns or pa.types.is_nested(column.type):
                raise
            column = _readable(column)
        return column if column.type == field.type else column.cast(field.type)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type for which every format of the answer has a form: no views, no bytes of fixed length, and no time zones
    that this machine does not know, in which nothing can be written; their moments stay, in UTC."""
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_timestamp(kind) and kind.tz is not None and not _known(kind):
        return pa.timestamp(kind.unit, "UTC")
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_plain_type(kind.key_type), _plain_type(kind.item_type))
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_plain_type(kind.value_type)))
    return kind


def _known(kind: pa.DataType) -> bool:
    """Whether both Arrow and Python know the time zone."""
    try:
        moment = pa.array([0], kind)
        moment.cast(pa.string())
        moment.to_pylist()
    except (pa.ArrowException, ValueError, LookupError, OSError):
        return False
    return True


def _readable(column: pa.Array) -> pa.Array:
    """The text column with a replacement character for each byte that is not UTF-8."""
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, _readable(column.dictionary))
    binary = pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
    texts = [None if value is None else value.decode("utf-8", "replace") for value in column.cast(binary).to_pylist()]
    return pa.array(texts, column.type)


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )
