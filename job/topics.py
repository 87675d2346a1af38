"""What is known of clusters beyond their labels: names, and the topics and themes above them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from job.data import Ids, Ints, check
from job.runtime.rundir import atomic


@dataclass(frozen=True)
class Themes:
    """Two coarser levels above the clusters: topics, and themes that consist of topics.

    Both are numbered by headlines, largest first, then by the smallest rank. `themes`, `topics` int32 [n]: of each
    headline, -1 = none. `cluster_themes`, `cluster_topics` int32 [c]: of each cluster. `parents` int32: the theme of
    each topic.
    """

    themes: Ints
    topics: Ints
    cluster_themes: Ints
    cluster_topics: Ints
    parents: Ints

    def __post_init__(self) -> None:
        check(len(self.themes) == len(self.topics), f"{len(self.themes)} themes, {len(self.topics)} topics")
        check(len(self.cluster_themes) == len(self.cluster_topics), "themes and topics of different clusters")
        check(int(self.topics.max(initial=-1)) < len(self.parents), f"more topics than {len(self.parents)}")

    @property
    def counts(self) -> tuple[int, int]:
        """The number of themes and of topics."""
        return int(self.parents.max(initial=-1)) + 1, len(self.parents)

    def save(self, path: Path, ids: Ids) -> None:
        """`themes.npz`: all arrays, and the headlines' ids."""
        with atomic(path) as temporary:
            np.savez(temporary, ids=ids, **vars(self))

    @classmethod
    def load(cls, path: Path) -> "Themes":
        with np.load(path) as file:
            return cls(*(file[name] for name in ("themes", "topics", "cluster_themes", "cluster_topics", "parents")))


@dataclass(frozen=True)
class Topic:
    """A cluster described: its name, its keywords, and its most central headlines (row numbers)."""

    cluster: int
    size: int
    name: str
    keywords: list[str]
    exemplars: list[int]


TOPICS = pa.schema(
    [
        ("cluster", pa.int32()),
        ("size", pa.int64()),
        ("name", pa.string()),
        ("keywords", pa.list_(pa.string())),
        ("exemplars", pa.list_(pa.int64())),
    ]
)


@dataclass(frozen=True)
class ThemeName:
    """A theme or topic (`level`) described. `parent`: of a topic, its theme; of a theme, -1. `clusters`: how many it
    has. `size`: headlines, those in no cluster too."""

    level: str
    number: int
    parent: int
    name: str
    keywords: list[str]
    clusters: int
    size: int


THEME_NAMES = pa.schema(
    [
        ("level", pa.string()),
        ("number", pa.int32()),
        ("parent", pa.int32()),
        ("name", pa.string()),
        ("keywords", pa.list_(pa.string())),
        ("clusters", pa.int64()),
        ("size", pa.int64()),
    ]
)


def save(rows: list[Any], schema: pa.Schema, path: Path) -> list[dict[str, Any]]:
    """Write dataclasses with the schema's columns as Parquet, and return the rows as dicts."""
    table = pa.Table.from_pylist([vars(row) for row in rows], schema)
    with atomic(path) as temporary:
        pq.write_table(table, temporary)
    return list(table.to_pylist())


def load_topics(path: Path) -> list[Topic]:
    """What the stage `describe` wrote of clusters."""
    return [Topic(**row) for row in pq.read_table(path).to_pylist()]


def load_theme_names(path: Path) -> list[ThemeName]:
    """What the stage `describe` wrote of themes, then of topics, both by number."""
    return [ThemeName(**row) for row in pq.read_table(path).to_pylist()]
