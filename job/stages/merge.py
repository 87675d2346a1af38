"""Merge: headlines merged by average linkage of their story vectors, over the neighbor graph."""

from typing import TYPE_CHECKING, Any

import numpy as np

from job.backends.arrays import Device
from job.config import Config
from job.context import CLUSTERED, Job, Stage, StageResult
from job.data import Floats
from job.runtime.errors import BadInput
from job.runtime.files import digest
from job.runtime.kept_vectors import load_fingerprint
from job.runtime.log import logger
from job.runtime.needs import NO_STORIES, Need, Size

if TYPE_CHECKING:
    from job.backends.stories.vectors import Shares


class MergeStage(Stage):
    """Write `merges.npz`, the whole tree down to one cluster per connected component of the neighbor graph, and
    `levels.npz`, how well each level of the tree parts stories.

    Only with `cluster.merge_above`.
    """

    name = "merge"
    needs = "cluster.merge_above"
    version = 4

    def key(self, job: Job) -> list[Any]:
        return [
            job.output("neighbors", CLUSTERED),
            *(job.clustered(stage) for stage in ("ingest", "embed")),
            digest(job.headlines.times),
            job.config.cluster.k,
            job.config.stories.key(),
            digest(background(job)),
            job.config.embed.sparse,
        ]

    def files(self, job: Job) -> list[str]:
        return ["merges.npz", "levels.npz"]

    def applies(self, config: Config) -> bool:
        return config.cluster.merge_above is not None

    def need(self, job: Job, size: Size) -> Need:
        # story vectors have 256 more dimensions for the words
        vectors = 4 * (size.dim + 256) * size.headlines
        return Need(
            memory=size.held + size.graph + 1.5 * vectors,
            gpu=vectors,
            disk=36 * size.headlines,
            loops=0.09 + 3.1e-7 * size.text + 1.25e-8 * vectors,
            remedy=NO_STORIES,
        )

    def run(self, job: Job) -> StageResult:
        from job.backends.stories.level import score_levels
        from job.backends.stories.linkage import average_linkage

        near = job.near_to_cluster
        each_by_itself = np.arange(len(near), dtype=np.int32)
        vectors = _story_vectors(job)
        dimensions = vectors.shape[1]
        device: Device = "cuda" if job.graph_code.value == "cuda" else "cpu"
        tree = average_linkage(vectors, each_by_itself, near.indices, overwrite_vectors=True, device=device)
        tree.save(job.run.file("merges.npz"))
        # made again: keeping a copy would double the memory
        del vectors
        levels = score_levels(tree, _story_vectors(job), job.near.indices, overwrite_vectors=True)
        levels.save(job.run.file("levels.npz"))
        components = tree.leaf_count - len(tree.merges)
        logger.info("merge: %s components, best level %.3f", f"{components:,}", levels.best)
        return StageResult(
            len(tree.leaves),
            digest(tree.merges, levels.scores),
            stats={
                "components": components,
                "dimensions": dimensions,
                "best_level": round(levels.best, 4),
                "device": device,
            },
        )


def _story_vectors(job: Job) -> Floats:
    from job.backends.stories.vectors import story_vectors

    headlines = job.headlines
    texts, times = headlines.table["text"], headlines.times
    lexical, model = lexical_weights(job), background(job)
    return story_vectors(job.embeddings.vectors, texts, times, shares(job), lexical, background=model)


def shares(job: Job) -> "Shares":
    """How much each kind of evidence counts in this run."""
    from job.backends.stories.vectors import Shares

    settings = job.config.stories
    return Shares(settings.words, settings.time, settings.hours)


def background(job: Job) -> Floats | None:
    """The mean vector float32 [d] of the texts of the model's fingerprint (`job.stages.embed_fingerprint`), which are
    about nothing in common; None where there is no fingerprint, as of vectors that others have embedded."""
    found = load_fingerprint(job.run)
    if found is None:
        return None
    mean: Floats = found[1].mean(axis=0)
    return mean if len(mean) == job.run.stats("embed").get("dimensions") else None


def uses_lexical_weights(job: Job) -> bool:
    """Whether words are compared by BGE-M3's lexical weights: these are this input's, and not known of other rows in
    the collection."""
    return job.config.embed.sparse and not job.whole_collection


def lexical_weights(job: Job) -> Any:
    """The lexical weights as a SciPy CSR array, None where they are not used.

    Raises:
        BadInput: they are used, and are gone or incomplete.
    """
    from job.backends.embedding.lexical_shards import load_lexical_weights

    if not uses_lexical_weights(job):
        return None
    found = load_lexical_weights(job.run.path)
    if found is None:
        raise BadInput(f"'{job.run.file('sparse')}' has no lexical weights: `run` again makes them")
    return found
