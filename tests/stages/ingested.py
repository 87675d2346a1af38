"""Shared by the tests of ingest: write a file, and read what a run of ingest makes of it."""

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jobs import stats_of

from job.config import Input
from job.data import HEADLINES, ROWS
from job.runtime.errors import BadInput
from job.runtime.rundir import RunDir
from job.stages.ingest import ingest

Write = Callable[..., Path]


class Ingested:
    """What a run of ingest left in its folder."""

    def __init__(self, path: object, **settings: Any) -> None:
        self.config = Input(path=[str(each) for each in path] if isinstance(path, list) else str(path), **settings)
        first = next(folder for folder in Path(self.config.paths[0]).parents if folder.is_dir())
        self.folder = first / f"run{len(list(first.glob('run*')))}"
        self.folder.mkdir()
        self.stats = stats_of(ingest(self.config, RunDir(self.folder)))
        table = pq.read_table(self.folder / "headlines.parquet")
        assert table.schema.equals(HEADLINES)
        self.headlines: list[dict[str, Any]] = table.to_pylist()
        rows = pq.read_table(self.folder / "rows.parquet")
        assert rows.schema.equals(ROWS)
        self.rows: list[dict[str, Any]] = rows.to_pylist()
        self.input: list[dict[str, Any]] = pq.read_table(self.folder / "input.parquet").to_pylist()
        assert len(self.input) == len(self.rows) == self.stats["rows"]
        with (self.folder / "rejects.csv").open(encoding="utf-8", newline="") as file:
            self.rejects = list(csv.DictReader(file))
        assert len(self.rejects) == self.stats["rejects"] == sum(self.stats["reject_reasons"].values())

    @property
    def ids(self) -> list[int]:
        return [headline["id"] for headline in self.headlines]

    def titles(self) -> set[str]:
        return {headline["title"] for headline in self.headlines}

    def headline(self, title: str) -> dict[str, Any]:
        (found,) = [headline for headline in self.headlines if headline["title"] == title]
        return found

    def places(self) -> Counter[tuple[str, int]]:
        """(file, row number) of every input row, accepted or rejected."""
        accepted = [(self.stats["files"][row["file"]], row["row"]) for row in self.rows]
        return Counter(accepted + [(reject["file"], int(reject["row"])) for reject in self.rejects])


@pytest.fixture(name="write")
def write_fixture(tmp_path: Path) -> Write:
    """Write a file in a temporary folder."""

    def to_file(content: str | bytes | list[dict[str, Any]] | pa.Table, name: str = "news.csv") -> Path:
        path = tmp_path / name
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        elif isinstance(content, list):
            path.write_text("".join(json.dumps(each) + "\n" for each in content), encoding="utf-8")
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to_file


def refused(path: object, **settings: Any) -> str:
    """The message with which the input is refused."""
    with pytest.raises(BadInput) as caught:
        Ingested(path, **settings)
    return str(caught.value)
