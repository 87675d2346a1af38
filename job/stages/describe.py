"""Describe: every cluster's name, keywords and most central headlines."""

from typing import Any

import numpy as np

from job.backends.text.keywords import cluster_keywords
from job.context import Job, Stage, StageResult
from job.data import Embeddings, Ids, Ints
from job.runtime.log import logger
from job.runtime.rundir import digest
from job.topics import THEME_NAMES, TOPICS, ThemeName, Themes, Topic, save

KEYWORDS = 6
EXEMPLARS = 3
NAME_CHARS = 90
THEME_WORDS = 3


class DescribeStage(Stage):
    """Write `topics.parquet`, one row per cluster, exemplars as row numbers; and `theme_names.parquet`, one row per
    theme and per topic, where clusters are merged into stories.

    A cluster is named by its most central title, the one nearest to the mean of its vectors: a sentence that a person
    wrote says more than the keywords.
    """

    name = "describe"

    def key(self, job: Job) -> list[Any]:
        themes = [job.output("themes")] if job.merges else []
        return [job.clustered("ingest"), job.clustered("embed"), job.clusters_output, *themes]

    def files(self, job: Job) -> list[str]:
        return ["topics.parquet", *(["theme_names.parquet"] if job.merges else [])]

    def run(self, job: Job) -> StageResult:
        titles = job.headlines.column("title")
        members = _members(job.clusters.labels, job.clusters.count)
        keywords = cluster_keywords([" \n".join(titles[row] for row in rows) for rows in members], KEYWORDS)
        topics = []
        for number, rows in enumerate(members):
            exemplars = _most_central(job.embeddings, rows)
            topics.append(Topic(number, len(rows), _shorten(titles[exemplars[0]]), keywords[number], exemplars))
        described = save(topics, TOPICS, job.run.file("topics.parquet"))
        if job.themes is not None:
            names = _theme_names(job.themes, titles)
            described += save(names, THEME_NAMES, job.run.file("theme_names.parquet"))
        logger.info("describe: %d clusters named", len(topics))
        return StageResult(len(topics), digest(described))


def _members(labels: Ints, count: int) -> list[Ids]:
    """Row numbers of each cluster, ascending."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(count + 1))
    return [order[starts[c] : starts[c + 1]] for c in range(count)]


def _theme_names(themes: Themes, titles: list[str]) -> list[ThemeName]:
    """Themes, then topics, named by keywords: no single headline stands for a whole theme."""
    result = []
    for level, labels, of_clusters, parents in (
        ("theme", themes.themes, themes.cluster_themes, np.full(themes.counts[0], -1)),
        ("topic", themes.topics, themes.cluster_topics, themes.parents),
    ):
        members = _members(labels, len(parents))
        keywords = cluster_keywords([" \n".join(titles[row] for row in rows) for rows in members], KEYWORDS)
        clusters = np.bincount(of_clusters[of_clusters >= 0], minlength=len(parents))
        for number, rows in enumerate(members):
            name = " · ".join(keywords[number][:THEME_WORDS]) or titles[rows[0]]
            parent, count = int(parents[number]), int(clusters[number])
            result.append(ThemeName(level, number, parent, name, keywords[number], count, len(rows)))
    return result


def _most_central(embeddings: Embeddings, rows: Ids) -> list[int]:
    """The rows nearest to the mean of the rows' vectors, nearest first."""
    vectors = embeddings.vectors[rows].astype(np.float32)
    similarity = vectors @ vectors.mean(axis=0)
    return [int(row) for row in rows[np.argsort(-similarity, kind="stable")[:EXEMPLARS]]]


def _shorten(title: str) -> str:
    if len(title) <= NAME_CHARS:
        return title
    return title[:NAME_CHARS].rsplit(" ", 1)[0].rstrip(" ,;:-–—") + " …"
