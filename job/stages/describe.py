"""Describe: every cluster's name, keywords and most central headlines."""

from typing import Any

import numpy as np

from job.backends.text.keywords import cluster_keywords
from job.backends.text.names import apart, name_clusters
from job.backends.text.phrases import phrase_name
from job.backends.text.title_terms import TitleTerms, title_terms
from job.context import Job, Stage, StageResult
from job.data import Ids, Ints
from job.runtime.files import digest, digest_file
from job.runtime.log import logger
from job.runtime.needs import GIB, Need, Size
from job.stages.describe_facts import cluster_facts
from job.stages.describe_llm import LlmNames, llm_names
from job.topics import THEME_NAMES, TOPICS, ThemeName, Themes, Topic, save

KEYWORDS = 6
THEME_WORDS = 3


class DescribeStage(Stage):
    """Write `topics.parquet`, one row per cluster, and `theme_names.parquet`, one row per theme and per topic, where
    clusters are merged into stories.

    Figures are those that a reader sees (`Job.assigned`); names come from the cluster's own headlines.

    A cluster is named by its most central title that is not cut off; see `job.backends.text.names`.
    """

    name = "describe"
    version = 9

    def key(self, job: Job) -> list[Any]:
        # of the rows, not only of the distinct texts: their copies, times and sources count
        ingest = job.run.marker("ingest")
        rows = digest_file(job.answer_folder / "rows.parquet") if job.whole_collection else ingest and ingest.key
        themes = [job.output("themes")] if job.merges else []
        clusters = [job.clusters_output, job.config.cluster.assign_within, *themes]
        llm = [job.config.describe.llm.key()] if job.config.describe.llm.endpoint else []
        return [job.clustered("ingest"), rows, job.clustered("embed"), *clusters, *llm]

    def files(self, job: Job) -> list[str]:
        return ["topics.parquet", *(["theme_names.parquet"] if job.merges else [])]

    def need(self, job: Job, size: Size) -> Need:
        return Need(
            memory=size.held + 0.08 * GIB + size.graph + 0.4 * size.floats,
            disk=4 * size.headlines,
            loops=0.15 + 1.8e-5 * size.headlines + 5e-8 * size.text,
            remedy="lower neighbors.k",
        )

    def is_volatile(self, job: Job) -> bool:
        # stories that a language model gave no answer for are asked for again
        marker = job.run.marker(self.name)
        return bool(job.config.describe.llm.endpoint and marker and marker.stats.get("llm_again"))

    def run(self, job: Job) -> StageResult:
        titles, themes = job.titles, job.themes
        terms = title_terms(titles)
        found, keywords = _names(job, titles, terms)
        names = found.names
        # copies of earlier days are not in the collection, and would make today's rows look like growth
        times = job.headlines.times if job.whole_collection else None
        facts = cluster_facts(job.assigned, job.clusters.count, job.rows, times)
        topics = [
            Topic(
                cluster=number,
                keywords=keywords[number],
                theme=int(themes.cluster_themes[number]) if themes else None,
                topic=int(themes.cluster_topics[number]) if themes else None,
                **vars(name),
                **facts.of(number),
            )
            for number, name in enumerate(names)
        ]
        about = {"time_bins": facts.bins, "totals": facts.totals}
        described = [*save(topics, TOPICS, job.run.file("topics.parquet"), about), vars(facts.totals)]
        if themes is not None:
            described += save(_theme_names(themes, titles, terms), THEME_NAMES, job.run.file("theme_names.parquet"))
        totals = facts.totals
        logger.info(
            "describe: %s named; %s of %s headlines are noise (%.1f%%)",
            f"{len(topics):,} {'stories' if job.merges else 'clusters'}",
            f"{totals.noise_headlines:,}",
            f"{totals.headlines:,}",
            100 * totals.noise_share,
        )
        stats: dict[str, Any] = {
            "clusters": len(topics),
            "noise_headlines": totals.noise_headlines,
            "noise_rows": totals.noise_rows,
            "noise_share": round(totals.noise_share, 4),
        }
        if job.config.describe.llm.endpoint:
            stats |= {"llm": found.stats, "llm_again": found.again}
        return StageResult(len(topics), digest(described), found.fallbacks, stats=stats)


def _members(labels: Ints, count: int) -> list[Ids]:
    """Row numbers of each cluster, ascending."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(count + 1))
    return [order[starts[c] : starts[c + 1]] for c in range(count)]


def _names(job: Job, titles: list[str], terms: TitleTerms) -> tuple[LlmNames, list[list[str]]]:
    """The name and the keywords of each cluster, from its own headlines."""
    members = _members(job.clusters.labels, job.clusters.count)
    keywords = cluster_keywords(terms, job.clusters.labels, job.clusters.count, KEYWORDS)
    sources = job.rows.first_sources(len(titles))
    names = name_clusters(titles, job.embeddings.vectors, members, keywords, sources)
    if job.config.describe.llm.endpoint:
        return llm_names(job, titles, members, names), keywords
    return LlmNames(names), keywords


def _theme_names(themes: Themes, titles: list[str], terms: TitleTerms) -> list[ThemeName]:
    """Themes, then topics, named by keywords: no single headline stands for a whole theme."""
    result = []
    for level, labels, of_clusters, parents in (
        ("theme", themes.themes, themes.cluster_themes, np.full(themes.counts[0], -1)),
        ("topic", themes.topics, themes.cluster_topics, themes.parents),
    ):
        members = [[titles[row] for row in rows] for rows in _members(labels, len(parents))]
        keywords = cluster_keywords(terms, labels, len(parents), KEYWORDS)
        names = [phrase_name(own, words, THEME_WORDS) for own, words in zip(members, keywords, strict=True)]
        names = [name or own[0] for name, own in zip(names, members, strict=True)]
        clusters = np.bincount(of_clusters[of_clusters >= 0], minlength=len(parents))
        for number, name in enumerate(apart(names, keywords)):
            parent, count = int(parents[number]), int(clusters[number])
            result.append(ThemeName(level, number, parent, name, keywords[number], count, len(members[number])))
    return result
