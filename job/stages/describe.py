"""Describe: every cluster's name, keywords and most central headlines."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from job.backends.text.keywords import cluster_keywords
from job.data import Clusters, Embeddings, Headlines, Topic
from job.runtime.log import logger
from job.runtime.rundir import RunDir, atomic, digest

KEYWORDS = 6
EXEMPLARS = 3
NAME_CHARS = 90

_SCHEMA = pa.schema(
    [
        ("cluster", pa.int32()),
        ("size", pa.int64()),
        ("name", pa.string()),
        ("keywords", pa.list_(pa.string())),
        ("exemplars", pa.list_(pa.int64())),
    ]
)


def describe(headlines: Headlines, embeddings: Embeddings, clusters: Clusters, run: RunDir) -> dict[str, Any]:
    """Write `topics.parquet`: a row a cluster, exemplars as row numbers.

    A cluster is named by its most central title, the one nearest to the mean of its vectors: a sentence that
    a person wrote says more than the keywords beside it.
    """
    titles = headlines.column("title")
    members = _members(clusters)
    keywords = cluster_keywords([" \n".join(titles[row] for row in rows) for rows in members], KEYWORDS)
    topics = []
    for number, rows in enumerate(members):
        exemplars = _central(embeddings, rows)
        name = _short(titles[exemplars[0]])
        topics.append(Topic(number, len(rows), name, keywords[number], exemplars))
    table = pa.Table.from_pylist([vars(topic) for topic in topics], _SCHEMA)
    with atomic(run.file("topics.parquet")) as temporary:
        pq.write_table(table, temporary)
    logger.info("describe: %d clusters named", len(topics))
    return {"rows": len(topics), "output": digest(table.to_pylist())}


def load_topics(run: RunDir) -> list[Topic]:
    """What `describe` wrote."""
    return [Topic(**row) for row in pq.read_table(run.file("topics.parquet")).to_pylist()]


def _members(clusters: Clusters) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """Row numbers of each cluster, ascending."""
    order = np.argsort(clusters.labels, kind="stable")
    starts = np.searchsorted(clusters.labels[order], np.arange(clusters.count + 1))
    return [order[starts[c] : starts[c + 1]] for c in range(clusters.count)]


def _central(embeddings: Embeddings, rows: np.ndarray[Any, np.dtype[np.int64]]) -> list[int]:
    """The rows nearest to the mean of the rows' vectors, nearest first."""
    vectors = embeddings.vectors[rows].astype(np.float32)
    closeness = vectors @ vectors.mean(axis=0)
    return [int(row) for row in rows[np.argsort(-closeness, kind="stable")[:EXEMPLARS]]]


def _short(title: str) -> str:
    if len(title) <= NAME_CHARS:
        return title
    return title[:NAME_CHARS].rsplit(" ", 1)[0].rstrip(" ,;:-–—") + " …"
