"""Describe: every cluster's name, keywords and most central headlines."""

from typing import Any

import numpy as np

from job.backends.text.keywords import cluster_keywords
from job.context import Job, Stage, StageResult
from job.data import Embeddings, Ids, Ints
from job.runtime.log import logger
from job.runtime.rundir import digest, digest_file
from job.stages.describe_facts import cluster_facts
from job.topics import THEME_NAMES, TOPICS, ThemeName, Themes, Topic, save

KEYWORDS = 6
EXEMPLARS = 3
NAME_CHARS = 90
SHORT_CHARS = 45
THEME_WORDS = 3


class DescribeStage(Stage):
    """Write `topics.parquet`, one row per cluster, and `theme_names.parquet`, one row per theme and per topic, where
    clusters are merged into stories.

    Figures are those that a reader sees (`Job.assigned`); names come from the cluster's own headlines.

    A cluster is named by its most central title, the one nearest to the mean of its vectors: a sentence that a person
    wrote says more than the keywords.
    """

    name = "describe"
    version = 2

    def key(self, job: Job) -> list[Any]:
        # of the rows, not only of the distinct texts: their copies, times and sources count
        ingest = job.run.marker("ingest")
        rows = digest_file(job.answer_folder / "rows.parquet") if job.whole_collection else ingest and ingest.key
        themes = [job.output("themes")] if job.merges else []
        clusters = [job.clusters_output, job.config.cluster.assign_within, *themes]
        return [job.clustered("ingest"), rows, job.clustered("embed"), *clusters]

    def files(self, job: Job) -> list[str]:
        return ["topics.parquet", *(["theme_names.parquet"] if job.merges else [])]

    def run(self, job: Job) -> StageResult:
        titles = job.headlines.column("title")
        members = _members(job.clusters.labels, job.clusters.count)
        keywords = cluster_keywords([" \n".join(titles[row] for row in rows) for rows in members], KEYWORDS)
        topics = []
        facts, themes = cluster_facts(job.assigned, job.clusters.count, job.rows), job.themes
        for number, rows in enumerate(members):
            exemplars = _most_central(job.embeddings, rows)
            name = _shorten(titles[exemplars[0]])
            topics.append(
                Topic(
                    cluster=number,
                    name=name,
                    short_name=_shorten(name, SHORT_CHARS),
                    keywords=keywords[number],
                    exemplars=exemplars,
                    theme=int(themes.cluster_themes[number]) if themes else None,
                    topic=int(themes.cluster_topics[number]) if themes else None,
                    **facts.of(number),
                )
            )
        about = {"time_bins": facts.bins, "totals": facts.totals}
        described = [*save(topics, TOPICS, job.run.file("topics.parquet"), about), vars(facts.totals)]
        if themes is not None:
            names = _theme_names(themes, titles)
            described += save(names, THEME_NAMES, job.run.file("theme_names.parquet"))
        totals = facts.totals
        logger.info(
            "describe: %s named; %s of %s headlines are noise (%.1f%%)",
            f"{len(topics):,} {'stories' if job.merges else 'clusters'}",
            f"{totals.noise_headlines:,}",
            f"{totals.headlines:,}",
            100 * totals.noise_share,
        )
        stats = {
            "clusters": len(topics),
            "noise_headlines": totals.noise_headlines,
            "noise_rows": totals.noise_rows,
            "noise_share": round(totals.noise_share, 4),
        }
        return StageResult(len(topics), digest(described), stats=stats)


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


def _shorten(title: str, chars: int = NAME_CHARS) -> str:
    if len(title) <= chars:
        return title
    return title[:chars].rsplit(" ", 1)[0].rstrip(" ,;:-–—") + " …"
