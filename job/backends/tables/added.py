"""Columns that a file does not hold, but its folders' names or its metadata: those of Hive and Spark, as in
`date=2024-04-01/part-0.parquet`, and the index of a pandas frame where only its start and step are saved."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from job.backends.tables.source import Block, Reject, Source

_PARTITION = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)=(.+)")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_LARGEST = 2**53


@dataclass(frozen=True)
class Index:
    """An index of pandas that is `start`, `start + step`, and so on."""

    name: str
    start: int
    step: int


class WithAdded:
    """A source with more columns: `values`, text, the same in every row, and `index`."""

    def __init__(self, source: Source, values: dict[str, str | None], index: Index | None) -> None:
        self._source, self._values, self._index = source, values, index
        self.path = source.path
        self.texts_within: Sequence[str] = source.texts_within
        self.never_text: Mapping[str, str] = source.never_text
        fields = [pa.field(name, pa.string()) for name in values]
        if index is not None:
            fields.append(pa.field(index.name, pa.int64()))
        self.schema = pa.schema([*source.schema, *fields])
        self.added = [field.name for field in fields]

    def blocks(self) -> Iterator[Block | Reject]:
        for item in self._source.blocks():
            if isinstance(item, Block):
                n = len(item.rows)
                columns = [pa.array([value] * n, pa.string()) for value in self._values.values()]
                if self._index is not None:
                    columns.append(pa.array(self._index.start + self._index.step * (np.array(item.rows, np.int64) - 1)))
                table = pa.Table.from_arrays([*item.table.columns, *columns], schema=self.schema)
                item = Block(table, item.rows, item.lines)
            yield item


def with_added(source: Source, root: Path | None = None, index: Index | None = None) -> Source:
    """The source with the columns that the folders of its path name below `root`, and with the index, unless it has
    them."""
    there = {name.casefold() for name in source.schema.names}
    named = named_by_folders(source.path, root) if root is not None else {}
    values = {name: value for name, value in named.items() if name.casefold() not in there}
    if index is not None and index.name.casefold() in there | {name.casefold() for name in values}:
        index = None
    return WithAdded(source, values, index) if values or index is not None else source


def named_by_folders(path: Path, root: Path) -> dict[str, str | None]:
    """The columns that the folders of a path name below `root`, each with its value."""
    pairs = (_PARTITION.fullmatch(part) for part in path.parent.relative_to(root).parts)
    return {pair[1]: None if pair[2] == _NO_VALUE else _text(pair[2]) for pair in pairs if pair}


def _text(value: str) -> str:
    """The value of a folder's name; what is no UTF-8 in it becomes "?"."""
    return unquote(value).encode("utf-8", "replace").decode()


def added_to(source: Source) -> Sequence[str]:
    """The names of the columns that the file itself does not hold."""
    return source.added if isinstance(source, WithAdded) else ()


def pandas_index(schema: pa.Schema) -> Index | None:
    """The index that the metadata of a Parquet file describes; None where there is none, it is a column, or it is the
    number of the row."""
    try:
        (index,) = json.loads((schema.metadata or {})[b"pandas"])["index_columns"]
        name, start, step = index["name"], index["start"], index["step"]
    except (KeyError, TypeError, ValueError):
        return None
    whole = all(isinstance(value, int) and abs(value) < _LARGEST for value in (start, step))
    if index.get("kind") != "range" or not whole or not isinstance(name, str | None):
        return None
    return None if (name, start, step) == (None, 0, 1) else Index(name or "__index_level_0__", start, step)
