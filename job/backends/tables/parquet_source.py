"""Reads Parquet with pyarrow, one batch of rows at a time."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from job.backends.tables.source import Block, Reject, open_seekable, reading, shown, unique
from job.runtime.errors import BadInput

_BATCH_ROWS = 4_096


class ParquetSource:
    """A Parquet file. Columns keep their types; the text columns become plain strings."""

    def __init__(self, path: Path, text_columns: set[str]) -> None:
        self.path = path
        with open_seekable(path) as file:
            schema = pq.ParquetFile(file).schema_arrow
        fields = []
        for field, name in zip(schema, unique(schema.names, path), strict=True):
            field = field.with_name(name)
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
            for batch in pq.ParquetFile(file).iter_batches(_BATCH_ROWS):
                rows = list(range(row, row + batch.num_rows))
                row += batch.num_rows
                table = pa.Table.from_batches([batch]).rename_columns(self.schema.names).cast(self.schema)
                for name in self._text_columns:
                    # some writers put bytes that are not UTF-8 into a text column
                    table[name].validate(full=True)
                yield Block(table, rows, [0] * len(rows))


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )
