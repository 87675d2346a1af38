"""Embed: every distinct headline's text to a unit vector, in shards on disk."""

from typing import Any

import numpy as np

from job.backends.encoder import FlagEncoder
from job.backends.models import Model
from job.config import Embed
from job.data import Embeddings, Headlines
from job.runtime.device import Choice
from job.runtime.log import logger
from job.runtime.progress import Progress
from job.runtime.rundir import RunDir, digest
from job.runtime.shards import Shards


def embed(
    config: Embed, model: Model, device: Choice, precision: Choice, key: str, headlines: Headlines, run: RunDir
) -> dict[str, Any]:
    """Write `embeddings/*.npy`; shards that are there with their checksums are not made again.

    Half-precision models give float16 shards, float32 ones float32 (both normalised in float32).
    """
    shards = _shards(config, digest(key, precision.value), len(headlines), run)
    dtype = _dtype(precision)
    missing = list(shards.missing())
    made = sum(map(len, missing))
    if missing:
        encoder = FlagEncoder(model, device.value, precision.value, config.max_length, config.token_budget)
        texts = headlines.table["text"]
        with Progress("embed", made, "headlines") as progress:
            for shard in shards.missing():
                vectors = encoder.encode(texts.slice(shard.start, len(shard)).to_pylist(), progress.update)
                shards.write(shard, vectors.astype(dtype))
    dim = int(np.load(run.file("embeddings") / "00000.npy", mmap_mode="r").shape[1])
    logger.info(
        "embed: %s headlines, %d dimensions, %s on %s", f"{len(headlines):,}", dim, precision.value, device.value
    )
    return {
        "model": model.name,
        "model_digest": model.identity,
        "pooling": model.pooling,
        "device": device.value,
        "device_reason": device.reason,
        "precision": precision.value,
        "precision_reason": precision.reason,
        "dimensions": dim,
        "dtype": np.dtype(dtype).name,
        "shards": len(shards.all),
        "rows": made,
        "output": digest(dim, np.dtype(dtype).name, shards.digest_parts()),
    }


def load_embeddings(config: Embed, headlines: Headlines, run: RunDir) -> Embeddings:
    """The vectors of a finished embed stage, in memory: n x d x 2 or 4 bytes."""
    return Embeddings(headlines.ids, _shards(config, "", len(headlines), run).load())


def _shards(config: Embed, key: str, rows: int, run: RunDir) -> Shards:
    return Shards(run.file("embeddings"), key, rows, config.shard_rows)


def _dtype(precision: Choice) -> type[np.float32] | type[np.float16]:
    return np.float32 if precision.value == "fp32" else np.float16
