"""The input's own columns that are stored in Milvus too."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from job.runtime.rundir import RunDir
from job.stages.store_extra import extra_digest


@pytest.mark.slow
def test_a_column_of_more_than_two_gigabytes(tmp_path: Path) -> None:
    body, rows = pa.array(["x" * 2**24]), 136
    schema = pa.schema([("body", pa.string())])
    with pq.ParquetWriter(tmp_path / "input.parquet", schema, compression="zstd") as file:
        for _ in range(rows):
            file.write_table(pa.table([body], schema=schema))
    pq.write_table(pa.table({"id": np.arange(rows)[::-1]}), tmp_path / "rows.parquet")
    assert len(extra_digest(["body"], RunDir(tmp_path))) == 32
