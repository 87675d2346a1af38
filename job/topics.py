"""What is known of clusters beyond their labels: names, sizes, times, and the topics and themes above them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from job.data import Ids, Ints, check
from job.runtime.files import atomic


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
    """A cluster described, as a reader sees it: with the noise that is assigned to it (`Job.assigned`).

    `rows`: input rows, copies counted; `size`: distinct headlines. `short_name`: for a map. `exemplars`: row numbers of
    its most central headlines, most central first. `sources`: how many publish it; None without a column of sources.
    `first_seen`, `last_seen`: seconds since 1970 UTC; None where no row has a time. `counts`: rows in each of the time
    bins that all clusters have in common (`TimeBins`, of the same file); None without times. `growth`: see
    `job.stages.describe_facts`. `theme`, `topic`: -1 = none, None where there are no themes.
    """

    cluster: int
    rows: int
    size: int
    name: str
    short_name: str
    keywords: list[str]
    exemplars: list[int]
    sources: int | None
    first_seen: float | None
    last_seen: float | None
    counts: list[int] | None
    growth: float | None
    theme: int | None
    topic: int | None


TOPICS = pa.schema(
    [
        ("cluster", pa.int32()),
        ("rows", pa.int64()),
        ("size", pa.int64()),
        ("name", pa.string()),
        ("short_name", pa.string()),
        ("keywords", pa.list_(pa.string())),
        ("exemplars", pa.list_(pa.int64())),
        ("sources", pa.int64()),
        ("first_seen", pa.float64()),
        ("last_seen", pa.float64()),
        ("counts", pa.list_(pa.int64())),
        ("growth", pa.float64()),
        ("theme", pa.int32()),
        ("topic", pa.int32()),
    ]
)


def utc(seconds: float | None) -> datetime | None:
    """The time in whole seconds; None where it is not known, or is in no year that a calendar has."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).replace(microsecond=0)
    except (OverflowError, ValueError):
        return None


@dataclass(frozen=True)
class TimeBins:
    """Equal bins of time: bin i is from `start` + i `width` to below `start` + (i + 1) `width`, seconds since 1970 UTC.

    `count` is at most 48. Times far from the others, as wrong ones are, may lie before or after the bins.
    """

    start: float
    width: float
    count: int

    def places(self, times: npt.NDArray[np.float64]) -> Ids:
        """The bin of each time, int64 of the same shape; -1 = outside all bins, or NaN."""
        places = np.floor((times - self.start) / self.width)
        return np.where((places >= 0) & (places < self.count), places, -1).astype(np.int64)

    def ends(self, times: npt.NDArray[np.float64]) -> tuple[float, float]:
        """The first and the last of the times that lie in a bin; the bins' own ends if none does."""
        inside = times[self.places(times) >= 0]
        if not len(inside):
            return self.start, self.start + self.width * self.count - 1
        return float(inside.min()), float(inside.max())

    @classmethod
    def load(cls, path: Path) -> "TimeBins | None":
        """The bins of the counts in a `topics.parquet`; None where there are no times."""
        bins = json.loads(pq.read_schema(path).metadata[b"time_bins"])
        # files of older versions have one key more
        return cls(bins["start"], bins["width"], bins["count"]) if bins else None


@dataclass(frozen=True)
class Totals:
    """What the clusters' sizes add up to. `rows` and `headlines` of the whole answer; `noise_rows` and
    `noise_headlines` of them are in no cluster, `hidden_rows` are left out by `store.filter`.

    The `rows` of all clusters, `noise_rows` and `hidden_rows` make `rows`; their `size`s and `noise_headlines` make
    `headlines`.
    """

    rows: int
    headlines: int
    noise_rows: int
    noise_headlines: int
    hidden_rows: int = 0

    @property
    def noise_share(self) -> float:
        """The share of headlines in no cluster: what the log, the map and `run.json` call noise."""
        return self.noise_headlines / self.headlines if self.headlines else 0.0

    @classmethod
    def load(cls, path: Path) -> "Totals":
        """What the topics of a `topics.parquet` add up to."""
        return cls(**json.loads(pq.read_schema(path).metadata[b"totals"]))


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


def save(
    rows: list[Any], schema: pa.Schema, path: Path, facts: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Write dataclasses with the schema's columns as Parquet, and return the rows as dicts.

    `facts`: dataclasses, or None, that are kept as JSON in the metadata of the file's schema, by name.
    """
    table = pa.Table.from_pylist([vars(row) for row in rows], schema)
    if facts:
        table = table.replace_schema_metadata({key: json.dumps(value and vars(value)) for key, value in facts.items()})
    with atomic(path) as temporary:
        pq.write_table(table, temporary)
    return list(table.to_pylist())


def load_topics(path: Path) -> list[Topic]:
    """What the stage `describe` wrote of clusters."""
    return [Topic(**row) for row in pq.read_table(path).to_pylist()]


def load_theme_names(path: Path) -> list[ThemeName]:
    """What the stage `describe` wrote of themes, then of topics, both by number."""
    return [ThemeName(**row) for row in pq.read_table(path).to_pylist()]
