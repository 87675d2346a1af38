"""Report's small tables: `topics.csv`, one line per cluster and one for the noise, and `themes.csv`."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from job.backends.tables.csv_answer import without_formula
from job.context import Job
from job.runtime.files import atomic
from job.topics import utc

NO_STORY = "(no story)"
# characters of a title and of a keyword: many readers refuse a line of more than 2 MB
_TITLE, _KEYWORD = 1_000, 80
_TOPICS = (
    *("cluster", "rows", "headlines", "name", "keywords", "sources", "first_seen", "last_seen", "growth"),
    *("theme", "topic", "theme_name", "exemplar_ids", "exemplars", "topic_name"),
)
_THEMES = ("level", "number", "theme", "name", "keywords", "clusters", "size")


def write_topics(job: Job) -> None:
    """One line per cluster, largest first, then one with cluster -1: headlines in none.

    The column `rows` adds up to the rows of the answer, less those that `store.filter` left out; `headlines` to the
    distinct headlines. Times are UTC. What is not known is empty. Long titles and keywords are cut.
    """
    ids, titles, totals = job.headlines.ids, job.headlines.column("title"), job.totals
    themes, topics = (
        {row.number: row.name for row in job.theme_names if row.level == level} for level in ("theme", "topic")
    )
    lines: list[list[Any]] = [
        [
            topic.cluster,
            topic.rows,
            topic.size,
            _cut(topic.name, _TITLE),
            _keywords(topic.keywords),
            topic.sources,
            _iso(topic.first_seen),
            _iso(topic.last_seen),
            topic.growth,
            topic.theme,
            topic.topic,
            themes.get(-1 if topic.theme is None else topic.theme),
            " ".join(str(ids[row]) for row in topic.exemplars),
            " | ".join(_cut(titles[row], _TITLE) for row in topic.exemplars),
            topics.get(-1 if topic.topic is None else topic.topic),
        ]
        for topic in job.topics
    ]
    none = [-1, totals.noise_rows, totals.noise_headlines, NO_STORY]
    lines.append(none + [None] * (len(_TOPICS) - len(none)))
    names: tuple[str, ...] = _TOPICS
    if job.story_ids is not None:
        numbers = np.append(np.arange(len(job.topics)), -1).astype(np.int32)
        for name, column in job.story_ids.columns(numbers).items():
            names = (*names, name)
            lines = [[*line, value] for line, value in zip(lines, column.to_pylist(), strict=True)]
    _write(job.run.file("topics.csv"), names, lines)


def write_themes(job: Job) -> None:
    """One line per theme, then one per topic."""
    lines = [
        [
            row.level,
            row.number,
            row.parent if row.parent >= 0 else row.number,
            _cut(row.name, _TITLE),
            _keywords(row.keywords),
            row.clusters,
            row.size,
        ]
        for row in job.theme_names
    ]
    _write(job.run.file("themes.csv"), _THEMES, lines)


def _keywords(keywords: Iterable[str]) -> str:
    return ", ".join(_cut(word, _KEYWORD) for word in keywords)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _write(path: Path, header: Iterable[str], lines: Iterable[list[Any]]) -> None:
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for line in lines:
            writer.writerow(without_formula(value) if isinstance(value, str) else value for value in line)


def _iso(seconds: float | None) -> str | None:
    time = utc(seconds)
    return None if time is None else time.isoformat(timespec="seconds").replace("+00:00", "Z")
