"""Vectors that are there already: of the headlines that an earlier run, with the same model and settings, had too."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from job.backends.embedding.encoder import FlagEncoder
from job.context import Job
from job.data import Ids, Vectors
from job.runtime.kept_vectors import BEFORE, IDS, SETTINGS
from job.runtime.log import logger
from job.runtime.rundir import RunDir
from job.runtime.shards import array_files
from job.stages.embed_fingerprint import differs_from_run


@dataclass(frozen=True)
class KnownVectors:
    """The vectors of one run, read from its files when asked for. `ids` int64 [n], ascending; `shards`: arrays
    float16 or float32 [m, d], n rows in all."""

    ids: Ids
    shards: list[Vectors]

    def find(self, ids: Ids) -> Ids:
        """The rows of these headlines, int64 [len(ids)]; -1: not there."""
        rows = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[rows] == ids, rows, -1)

    def take(self, rows: Ids) -> Vectors:
        """The vectors of these rows, [len(rows), d]."""
        starts = np.concatenate([[0], np.cumsum([len(shard) for shard in self.shards])])
        taken = np.empty((len(rows), self.shards[0].shape[1]), self.shards[0].dtype)
        owner = np.searchsorted(starts, rows, side="right") - 1
        for number in np.unique(owner):
            mine = owner == number
            taken[mine] = self.shards[number][rows[mine] - starts[number]]
        return taken


def look_up(sources: Sequence[KnownVectors], ids: Ids) -> tuple[Ids, Vectors | None]:
    """Which of these headlines have no vector yet, int64 [m], and the vectors [len(ids), d] of the others in their
    places; None where there are none."""
    missing, vectors = np.arange(len(ids)), None
    for source in sources:
        rows = source.find(ids[missing])
        found = rows >= 0
        if found.any():
            taken = source.take(rows[found])
            if vectors is None:
                vectors = np.empty((len(ids), taken.shape[1]), taken.dtype)
            vectors[missing[found]] = taken
            missing = missing[~found]
    return missing, vectors


def known_vectors(job: Job, encoder: FlagEncoder, settings: str) -> tuple[list[KnownVectors], list[str]]:
    """What earlier runs have: this run folder's vectors before its headlines changed; those of `embed.reuse`, or else
    of `cluster.previous`. And in words, which are logged too, why the run that `embed.reuse` names has nothing, if so.
    Nothing where lexical weights are wanted too."""
    if job.config.embed.sparse:
        return [], []
    named = job.config.embed.reuse
    places = [job.run.file(BEFORE), named or job.config.cluster.previous]
    found, unusable = [], []
    for place in places:
        if place is None or (place != named and not place.is_dir()):
            continue
        known = _vectors_of(RunDir(place), job, encoder, settings)
        if isinstance(known, KnownVectors):
            found.append(known)
        elif place == named:
            unusable.append(f"embed.reuse = '{place}': its vectors are not used: {known}")
            # at once: it may be a mistake, and to embed all headlines may take hours
            logger.warning("embed: %s", unusable[-1])
        else:
            logger.info("embed: the vectors in '%s' are not used: %s", place, known)
    return found, unusable


def _vectors_of(run: RunDir, job: Job, encoder: FlagEncoder, settings: str) -> KnownVectors | str:
    """The run's vectors, or why they cannot be used."""
    marker = run.marker("embed")
    if marker is None:
        return "there is no finished run with vectors"
    if SETTINGS not in marker.stats or IDS not in marker.files:
        return "an older version made them, which kept no ids with them: give that run once more"
    if marker.stats[SETTINGS] != settings:
        return "another model, precision or length of texts made them"
    problems = run.problems(marker)
    if problems:
        name, what = next(iter(problems.items()))
        return f"'{run.file(name)}' {what}"
    different = differs_from_run(run, encoder, job.model)
    if different is not None:
        return f"this machine's model differs: {different} that made them"
    shards = [np.load(path, mmap_mode="r") for path in array_files(run.file("embeddings"))]
    return KnownVectors(np.load(run.file(IDS)), shards)
