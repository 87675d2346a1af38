"""Describe: every cluster's name, keywords and most central headlines."""

from typing import Any

import numpy as np
import pyarrow.parquet as pq

from job.backends.text.keywords import cluster_keywords
from job.context import Job, Stage, StageResult
from job.data import Clusters, Embeddings, Ids, Topic, topics_table
from job.runtime.log import logger
from job.runtime.rundir import atomic, digest

KEYWORDS = 6
EXEMPLARS = 3
NAME_CHARS = 90


class DescribeStage(Stage):
    """Write `topics.parquet`: one row per cluster, exemplars as row numbers.

    A cluster is named by its most central title, the one nearest to the mean of its vectors: a sentence that a person
    wrote says more than the keywords.
    """

    name = "describe"

    def key(self, job: Job) -> list[Any]:
        return [job.clustered("ingest"), job.clustered("embed"), job.clusters_output]

    def files(self, job: Job) -> list[str]:
        return ["topics.parquet"]

    def run(self, job: Job) -> StageResult:
        titles = job.headlines.column("title")
        members = _members(job.clusters)
        keywords = cluster_keywords([" \n".join(titles[row] for row in rows) for rows in members], KEYWORDS)
        topics = []
        for number, rows in enumerate(members):
            exemplars = _most_central(job.embeddings, rows)
            topics.append(Topic(number, len(rows), _shorten(titles[exemplars[0]]), keywords[number], exemplars))
        table = topics_table(topics)
        with atomic(job.run.file("topics.parquet")) as temporary:
            pq.write_table(table, temporary)
        logger.info("describe: %d clusters named", len(topics))
        return StageResult(len(topics), digest(table.to_pylist()))


def _members(clusters: Clusters) -> list[Ids]:
    """Row numbers of each cluster, ascending."""
    order = np.argsort(clusters.labels, kind="stable")
    starts = np.searchsorted(clusters.labels[order], np.arange(clusters.count + 1))
    return [order[starts[c] : starts[c + 1]] for c in range(clusters.count)]


def _most_central(embeddings: Embeddings, rows: Ids) -> list[int]:
    """The rows nearest to the mean of the rows' vectors, nearest first."""
    vectors = embeddings.vectors[rows].astype(np.float32)
    similarity = vectors @ vectors.mean(axis=0)
    return [int(row) for row in rows[np.argsort(-similarity, kind="stable")[:EXEMPLARS]]]


def _shorten(title: str) -> str:
    if len(title) <= NAME_CHARS:
        return title
    return title[:NAME_CHARS].rsplit(" ", 1)[0].rstrip(" ,;:-–—") + " …"
