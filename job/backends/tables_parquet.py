"""Parquet by pyarrow, a batch of rows at a time."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from job.backends.tables import Block, Reject, open_seekable, reading
from job.runtime.errors import BadInput

_ROWS = 4_096


class ParquetSource:
    """A Parquet file. Columns keep their types; the text columns become plain strings."""

    def __init__(self, path: Path, texts: set[str]) -> None:
        self.path = path
        with open_seekable(path) as file:
            schema = pq.ParquetFile(file).schema_arrow
        fields = []
        for field in schema:
            if field.name in texts:
                kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
                if not _is_text(kind):
                    raise BadInput(f"input: column '{field.name}' of '{path}' is {field.type}, expected text")
                field = pa.field(field.name, pa.string())
            fields.append(field)
        self.schema = pa.schema(fields)

    def blocks(self) -> Iterator[Block | Reject]:
        row = 1
        with reading(self.path), open_seekable(self.path) as file:
            for batch in pq.ParquetFile(file).iter_batches(_ROWS):
                rows = list(range(row, row + batch.num_rows))
                row += batch.num_rows
                table = pa.Table.from_batches([batch]).replace_schema_metadata(None)
                yield Block(table.cast(self.schema.remove_metadata()), rows, [0] * len(rows))


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )
