"""Shared by the tests of all file formats: write a file, and read it to its end."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from job.backends.tables import Block, Reject, open_source
from job.runtime.errors import BadInput

TEXT_COLUMNS = {"title", "description"}
Write = Callable[..., Path]


class Read:
    """A file read to its end, with its records in the order of their numbers."""

    def __init__(
        self,
        path: Path,
        format: str = "auto",
        encoding: str = "utf-8",
        max_line_mb: int = 16,
        texts: Collection[str] = TEXT_COLUMNS,
        others: Collection[str] = (),
        root: Path | None = None,
    ) -> None:
        source = open_source(path, format, encoding, set(texts), max_line_mb * 10**6, others, root)
        self.schema: pa.Schema = source.schema
        self.blocks = 0
        accepted: list[tuple[int, int, dict[str, Any]]] = []
        rejected: list[Reject] = []
        for item in source.blocks():
            if isinstance(item, Reject):
                rejected.append(item)
                continue
            assert isinstance(item, Block)
            assert item.table.schema.equals(source.schema.remove_metadata())
            accepted += zip(item.rows, item.lines, item.table.to_pylist(), strict=True)
            self.blocks += 1
        self.records = [record for *_, record in accepted]
        self.places = [(row, line) for row, line, _ in accepted]
        self.rejects = [(reject.row, reject.line) for reject in rejected]
        self.reasons = [reject.reason for reject in rejected]
        numbers = sorted([row for row, _ in self.places + self.rejects])
        assert numbers == list(range(1, len(numbers) + 1)), "a record is missing or appears twice"

    def column(self, name: str) -> list[Any]:
        return [record[name] for record in self.records]


@pytest.fixture(name="write")
def write_fixture(tmp_path: Path) -> Write:
    """Write text or bytes to a file in a temporary folder."""

    def to_file(content: str | bytes, name: str = "news.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to_file


def refused(path: Path, **options: Any) -> str:
    """The error message when the file is refused as a whole; it names the file."""
    with pytest.raises(BadInput) as caught:
        Read(path, **options)
    assert str(path) in str(caught.value)
    return str(caught.value)
