"""Merge: small HDBSCAN clusters and lone headlines, merged by average linkage of their story vectors."""

from typing import Any

import numpy as np

from job.backends.arrays import Device
from job.config import Config
from job.context import Job, Size, Stage, StageResult
from job.data import Floats, Ints
from job.runtime.log import logger
from job.runtime.rundir import digest


class MergeStage(Stage):
    """Write `merges.npz`: the whole tree, down to one cluster per connected component of the neighbor graph.

    Only with `cluster.merge_above`.
    """

    name = "merge"
    # 2: the background is computed from rounded vectors
    version = 2

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

        device: Device = "cuda" if job.graph_code.value == "cuda" else "cpu"
        vectors = _story_vectors(job, device)
        level = background(vectors, job.config.seed, device=device)
        tree = average_linkage(
            vectors,
            initial_clusters(job.fine_clusters.labels),
            job.graph.first(job.graph.columns).indices,
            background=level,
            overwrite_vectors=True,
            device=device,
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
                "device": device,
            },
        )


def _story_vectors(job: Job, device: Device) -> Floats:
    from job.backends.embedding.lexical_shards import load_lexical_weights
    from job.backends.stories.vectors import Shares, story_vectors

    settings = job.config.stories
    shares = Shares(settings.words, settings.time, settings.words_only, settings.hours)
    # lexical weights are this input's; of other rows in the collection they are not known
    own = job.config.embed.sparse and not job.whole_collection
    lexical = load_lexical_weights(job.run.path) if own else None
    headlines = job.headlines
    return story_vectors(job.embeddings.vectors, headlines.column("text"), headlines.times, shares, lexical, device)


def initial_clusters(labels: Ints) -> Ints:
    """The labels with a cluster of its own for each noise headline."""
    lone = np.flatnonzero(labels < 0)
    initial = labels.copy()
    initial[lone] = int(labels.max(initial=-1)) + 1 + np.arange(len(lone))
    return initial
