"""The input's own columns that are stored in Milvus next to the headlines (`store.extra_fields`)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from job.backends.tables import MEGA, find_files, open_source
from job.backends.tables.take import take_rows
from job.config import Config
from job.runtime.errors import BadInput
from job.runtime.rundir import RunDir


def check_extra_fields(config: Config) -> None:
    """Raise `BadInput` where no file of the input has a column of a name in `store.extra_fields`. Reads the files'
    heads."""
    fields, settings = config.store.extra_fields, config.input
    if not fields or not settings.paths:
        return
    there: dict[str, None] = {}
    for path, root in find_files(settings.paths, config.run_dir, log=False).items():
        limit = settings.max_line_mb * MEGA
        source = open_source(path, settings.format, settings.encoding, set(), limit, root=root)
        there |= dict.fromkeys(source.schema.names)
        if there.keys() >= set(fields):
            return
    _check_columns(fields, list(there))


def _check_columns(names: Sequence[str], there: Sequence[str]) -> None:
    for name in names:
        if name not in there:
            raise BadInput(
                f"store.extra_fields: the input has no column '{name}'; it has: {', '.join(there)}: name columns "
                "of the input, or none"
            )


def extra_digest(names: Sequence[str], run: RunDir) -> str:
    """The digest of what `extra_values` is made from."""
    content = pa.BufferOutputStream()
    table = _first_rows(names, run).replace_schema_metadata(None)
    with pa.ipc.new_stream(content, table.schema) as writer:
        writer.write_table(table)
    return xxhash.xxh3_128(content.getvalue()).hexdigest()


def extra_values(names: Sequence[str], run: RunDir) -> list[dict[str, Any]]:
    """For each headline a dict of these columns of the first input row with its text; nulls are left out.

    Numbers and booleans keep their type; everything else (times, dates, lists) becomes text.

    Raises:
        BadInput: the input has no such column.
    """
    if not names:
        return []
    table = _first_rows(names, run)
    return [{name: _plain(value) for name, value in row.items() if value is not None} for row in table.to_pylist()]


def _first_rows(names: Sequence[str], run: RunDir) -> pa.Table:
    """These columns of the first input row of each headline, ascending by its id."""
    _check_columns(names, pq.read_schema(run.file("input.parquet")).names)
    ids = pq.read_table(run.file("rows.parquet"), columns=["id"])["id"].to_numpy()
    # the first of the rows with the same id
    first = np.unique(ids, return_index=True)[1]
    return take_rows(pq.read_table(run.file("input.parquet"), columns=list(names)), first).combine_chunks()


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, bool | int | float | str) else str(value)
