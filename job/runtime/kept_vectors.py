"""The vectors of a run's earlier headlines, kept in its folder until those of its new headlines are there."""

import base64
import shutil
from typing import Any

import numpy as np
import numpy.typing as npt

from job.runtime.files import read_sealed
from job.runtime.log import logger
from job.runtime.rundir import RunDir

# in the run folder: what is kept, with its marker, in the same places as in the run folder itself
BEFORE = "embeddings_before"
# the ids of the headlines that have vectors, int64 [n], ascending
IDS = "embedded_ids.npy"
FINGERPRINT = "embed_fingerprint.json"
# in the stats of the embed stage: the digest of the headlines' ids; of what else their vectors depend on
HEADLINES, SETTINGS = "headlines_digest", "settings_digest"
_UNFINISHED = f"{BEFORE}.new"


def load_fingerprint(run: RunDir) -> tuple[dict[str, Any], npt.NDArray[np.float32]] | None:
    """The run's fingerprint of its model (`job.stages.embed_fingerprint`): its fields, and the vectors float32
    [texts, d]. None where there is none that can be read."""
    try:
        fields = read_sealed(run.file(FINGERPRINT))
        vectors = np.frombuffer(base64.b64decode(fields["vectors_float32"], validate=True), "<f4")
        return fields, vectors.reshape(len(fields["tokens"]), -1)
    except (KeyError, TypeError, ValueError):
        return None


def keep_vectors(run: RunDir, headlines: str) -> None:
    """Keep the vectors of a finished embed stage, if they are of others than these `headlines` (their digest), by hard
    links; what was kept before goes.

    A kill within it leaves nothing that looks kept. Where the file system has no hard links, nothing is kept.
    """
    marker = run.marker("embed")
    if marker is None or marker.stats.get(HEADLINES, headlines) == headlines or run.problems(marker):
        return
    kept, unfinished = run.file(BEFORE), run.file(_UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        for name in (*marker.files, FINGERPRINT):
            target = unfinished / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(run.file(name))
        (unfinished / "markers").mkdir()
        marker.save(unfinished / "markers" / "embed.json")
        shutil.rmtree(kept, ignore_errors=True)
        unfinished.rename(kept)
    except OSError as error:
        logger.info("embed: all headlines will be embedded again: the vectors that are there cannot be kept: %s", error)
        shutil.rmtree(unfinished, ignore_errors=True)


def remove_kept(run: RunDir) -> None:
    """Remove what `keep_vectors` kept."""
    for name in (BEFORE, _UNFINISHED):
        shutil.rmtree(run.file(name), ignore_errors=True)
