"""Merge: small HDBSCAN clusters and lone headlines, merged by average linkage of their story vectors."""

from typing import TYPE_CHECKING, Any

import numpy as np

from job.config import Config
from job.context import Job, Size, Stage, StageResult
from job.data import Floats, Ints
from job.runtime.log import logger
from job.runtime.rundir import digest

if TYPE_CHECKING:
    from job.backends.stories.vectors import Shares


class MergeStage(Stage):
    """Write `merges.npz`: the whole tree, down to one cluster per connected component of the neighbor graph.

    Only with `cluster.merge_above`.
    """

    name = "merge"

    def key(self, job: Job) -> list[Any]:
        return [
            *(job.output(stage) for stage in ("cluster", "neighbors")),
            *(job.clustered(stage) for stage in ("ingest", "embed")),
            digest(job.headlines.times),
            job.config.stories.key(),
            job.config.embed.sparse,
            job.config.seed,
        ]

    def files(self, job: Job) -> list[str]:
        return ["merges.npz"]

    def applies(self, config: Config) -> bool:
        return config.cluster.merge_above is not None

    def memory(self, size: Size) -> float:
        # vectors, story vectors with 608 more dimensions for words and time, pairs of candidates
        return size.texts + size.vectors + 4 * (size.dim + 608) * size.rows + 48 * size.k * size.rows

    def run(self, job: Job) -> StageResult:
        from job.backends.stories.linkage import average_linkage
        from job.backends.stories.vectors import background

        vectors = _story_vectors(job)
        level = background(vectors, job.config.seed)
        tree = average_linkage(
            vectors,
            initial_clusters(job.fine_clusters.labels),
            job.graph.first(job.graph.columns).indices,
            background=level,
            overwrite_vectors=True,
        )
        tree.save(job.run.file("merges.npz"))
        components = tree.leaf_count - len(tree.merges)
        logger.info("merge: %s clusters and lone headlines, %s components", f"{tree.leaf_count:,}", f"{components:,}")
        return StageResult(
            len(tree.leaves),
            digest(tree.leaves, tree.merges),
            stats={
                "initial_clusters": tree.leaf_count,
                "components": components,
                "dimensions": vectors.shape[1],
                "background": round(float(level.mean()), 4),
            },
        )


def _story_vectors(job: Job) -> Floats:
    from job.backends.stories.vectors import story_vectors

    headlines = job.headlines
    texts, times = headlines.column("text"), headlines.times
    return story_vectors(job.embeddings.vectors, texts, times, shares(job), lexical_weights(job))


def shares(job: Job) -> "Shares":
    """How much each kind of evidence counts in this run."""
    from job.backends.stories.vectors import Shares

    settings = job.config.stories
    return Shares(settings.words, settings.time, settings.words_only, settings.hours)


def uses_lexical_weights(job: Job) -> bool:
    """Whether words are compared by BGE-M3's lexical weights: these are this input's, and not known of other rows in
    the collection."""
    return job.config.embed.sparse and not job.whole_collection


def lexical_weights(job: Job) -> Any:
    """The lexical weights as a SciPy CSR array, None where they are not used."""
    from job.backends.embedding.lexical_shards import load_lexical_weights

    return load_lexical_weights(job.run.path) if uses_lexical_weights(job) else None


def initial_clusters(labels: Ints) -> Ints:
    """The labels with a cluster of its own for each noise headline."""
    lone = np.flatnonzero(labels < 0)
    initial = labels.copy()
    initial[lone] = int(labels.max(initial=-1)) + 1 + np.arange(len(lone))
    return initial
