"""The input's rows with the job's columns beside their own, written in any format one block at a time."""

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from job.backends.tables.csv_answer import CsvAnswer
from job.backends.tables.source import python_values, shown
from job.runtime.errors import BadInput

_ROWS = 65_536
_ORIGIN = [pa.field("input_file", pa.string()), pa.field("input_row", pa.int64())]


class TableWriter(Protocol):
    """A file that takes tables of one schema. Use it as a context manager."""

    def __init__(self, path: Path, schema: pa.Schema) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...

    def write(self, table: pa.Table) -> None: ...


class ParquetAnswer:
    """Writes tables of one schema to a Parquet file."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._writer.close()

    def write(self, table: pa.Table) -> None:
        """Write the rows of the table."""
        self._writer.write_table(table)


class JsonlAnswer:
    """Writes tables to a JSON Lines file, UTF-8: numbers that are not finite become null, times ISO 8601, binary
    values base64."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8", newline="\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()

    def write(self, table: pa.Table) -> None:
        """Write the rows of the table."""
        names, columns = table.column_names, [python_values(column) for column in table.columns]
        for values in zip(*columns, strict=True):
            row = dict(zip(names, values, strict=True))
            self._file.write(json.dumps(_plain(row), ensure_ascii=False, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if value is None or isinstance(value, bool | int | str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


WRITERS: dict[str, type[TableWriter]] = {".csv": CsvAnswer, ".jsonl": JsonlAnswer, ".parquet": ParquetAnswer}


def writer_of(path: Path, option: str) -> type[TableWriter]:
    """The writer for the suffix of `path`; `option` names it in errors.

    Raises:
        BadInput: there is none.
    """
    if path.suffix.lower() not in WRITERS:
        raise BadInput(f"{option} '{path}': the name must end in {', '.join(WRITERS)}")
    return WRITERS[path.suffix.lower()]


class AnswerRows:
    """The rows of `folder/input.parquet`, whose ids are in `folder/rows.parquet`, joined with `ours`.

    `ours`: one row per distinct headline, ascending by `id`. A row whose id is not there has its id, -1 in whole
    numbers (no cluster) and nulls. An input column with a name of ours becomes `input_NAME`. `files`: the input's, by
    their numbers; of more than one, the last columns say which file a row is from, and its number there, as
    `rejects.csv` does. `writers`: what `write` writes to.
    """

    def __init__(self, folder: Path, ours: pa.Table, files: Sequence[str] = ()) -> None:
        self._folder, self._ours = folder, ours
        self._files = pa.array(map(shown, files), pa.string()) if len(files) > 1 else None
        origin = _ORIGIN if self._files is not None else []
        self._source = pq.ParquetFile(folder / "input.parquet")
        own = self._source.schema_arrow.remove_metadata()
        names = _renamed(own.names, {*ours.schema.names, *(item.name for item in origin)})
        self.schema = pa.schema(
            [item.with_name(name) for item, name in zip(own, names, strict=True)] + [*ours.schema, *origin]
        )
        self.writers: list[TableWriter] = []

    def __iter__(self) -> Iterator[pa.Table]:
        ours, ids, done = self._ours, self._ours["id"].to_numpy(), 0
        rows = pq.read_table(self._folder / "rows.parquet", columns=["id", "file", "row"])
        row_ids = rows["id"].to_numpy()
        for batch in self._source.iter_batches(_ROWS):
            here = row_ids[done : done + batch.num_rows]
            place = np.minimum(np.searchsorted(ids, here), len(ids) - 1)
            there = ids[place] == here
            mine = ours.take(pa.array(place, mask=~there)).columns[1:]
            origin = self._origin(rows.slice(done, batch.num_rows))
            done += batch.num_rows
            filled = (_filled(column.combine_chunks(), there) for column in mine)
            columns = [*batch.columns, pa.array(here), *filled, *origin]
            yield pa.Table.from_arrays(columns, schema=self.schema)

    def _origin(self, rows: pa.Table) -> list[pa.Array]:
        """The columns that say where rows are from; null for those of a collection alone."""
        if self._files is None:
            return []
        number = rows["file"].combine_chunks()
        inside = pc.greater_equal(number, 0)
        return [
            self._files.take(pc.if_else(inside, number, None)),
            pc.if_else(inside, rows["row"], None).combine_chunks(),
        ]

    def write(self) -> int:
        """Write all rows to the writers; returns their number."""
        done = 0
        for block in self:
            for writer in self.writers:
                writer.write(block)
            done += block.num_rows
        return done


def _filled(column: pa.Array, there: npt.NDArray[np.bool_]) -> pa.Array:
    """The column with -1 for whole numbers of rows that are not `there`: with nulls, pandas would read ids as floats,
    which do not hold all digits of one."""
    return pc.if_else(there, column, -1).cast(column.type) if pa.types.is_integer(column.type) else column


def _renamed(names: list[str], ours: set[str]) -> list[str]:
    """The input's column names; one that is also ours becomes `input_NAME`, whatever its case: to SQL, `ID` is `id`."""
    ours = {name.casefold() for name in ours}
    taken = {name.casefold() for name in names} | ours
    result = []
    for name in names:
        new = name
        while new.casefold() in ours or (new != name and new.casefold() in taken):
            new = f"input_{new}"
        taken.add(new.casefold())
        result.append(new)
    return result
