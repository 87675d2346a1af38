"""Rows of a table in another order, however large its texts are."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# of texts in one array: Arrow's type string counts its bytes in 31 bits
_BYTES = 2**30


def take_rows(table: pa.Table, rows: npt.NDArray[np.int64]) -> pa.Table:
    """`table.take(rows)`, also where a column of type string holds more than 2 GiB, which is Arrow's own limit."""
    columns = []
    for column in table.columns:
        if pa.types.is_string(column.type) and column.nbytes > _BYTES:
            columns.append(pa.chunked_array(_texts(column, rows), pa.string()))
        else:
            columns.append(column.take(pa.array(rows)))
    return pa.Table.from_arrays(columns, schema=table.schema)


def _texts(column: pa.ChunkedArray, rows: npt.NDArray[np.int64]) -> Iterator[pa.Array]:
    wide = column.cast(pa.large_string()).combine_chunks()
    ends = np.cumsum(np.asarray(pc.binary_length(wide).fill_null(0))[rows])
    start = 0
    while start < len(rows):
        before = ends[start - 1] if start else 0
        # one text at least, of which none is so long
        stop = max(start + 1, int(np.searchsorted(ends, before + _BYTES, "right")))
        yield wide.take(pa.array(rows[start:stop])).cast(pa.string())
        start = stop
