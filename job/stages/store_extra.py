"""The input's own columns that are stored in Milvus next to the headlines (`store.extra_fields`)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from job.runtime.errors import BadInput
from job.runtime.rundir import RunDir


def extra_values(names: Sequence[str], run: RunDir) -> list[dict[str, Any]]:
    """For each headline a dict of these columns of the first input row with its text; nulls are left out.

    Numbers and booleans keep their type; everything else (times, dates, lists) becomes text.

    Raises:
        BadInput: the input has no such column.
    """
    if not names:
        return []
    there = pq.read_schema(run.file("input.parquet")).names
    for name in names:
        if name not in there:
            raise BadInput(f"store.extra_fields: the input has no column '{name}'; it has: {', '.join(there)}")
    ids = pq.read_table(run.file("rows.parquet"), columns=["id"])["id"].to_numpy()
    # the first of the rows with the same id
    first = np.unique(ids, return_index=True)[1]
    table = pq.read_table(run.file("input.parquet"), columns=list(names)).take(first)
    return [{name: _plain(value) for name, value in row.items() if value is not None} for row in table.to_pylist()]


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, bool | int | float | str) else str(value)
