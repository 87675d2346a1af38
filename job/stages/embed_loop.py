"""The loop of the embed stage: one shard is tokenized while another runs through the model and a third is written.

So memory depends on the size of a shard, not on the number of headlines.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from job.backends.embedding.encoder import BatchError, Encoder, Pending, some_rows
from job.backends.embedding.tokenizer import Tokens
from job.runtime import signals
from job.runtime.errors import JobError
from job.runtime.log import FILE_ONLY, logger
from job.runtime.parallel import map_in_order
from job.runtime.progress import Progress
from job.runtime.shards import Shard, Shards

# a shard that is not finished so many seconds after a stop signal is given up: Slurm's usual notice is two minutes
_GRACE_SECONDS = 60.0


@dataclass(frozen=True)
class Target:
    """Where vectors go: `vectors` as float16 if `half`, else float32; lexical weights to `sparse`, where given."""

    vectors: Shards
    half: bool
    sparse: Shards | None = None


def embed_shards(encoder: Encoder, path: Path, shards: list[Shard], target: Target, progress: Progress) -> None:
    """Embed the texts of these shards from the Parquet file at `path` into `target`.

    Raises:
        JobError: a shard failed; the message names it and its rows.
        Resumable: a stop signal came; finished shards are kept.
    """

    def tokenize(shard: Shard) -> Tokens:
        with _naming(shard, "tokenizing"):
            return encoder.tokenize(read_texts(path, shard))

    def write(shard: Shard, pending: Pending) -> None:
        with _naming(shard, "saving"):
            vectors = pending.vectors()
            if target.sparse is not None:
                target.sparse.write(shard, pending.lexical())
            target.vectors.write(shard, vectors)

    def done(rows: int) -> None:
        progress.update(rows)
        signals.check(_GRACE_SECONDS)

    # leaving the block waits for the shard that is being written: it is finished work
    with ThreadPoolExecutor(1) as writer:
        written: Future[None] | None = None
        for shard, tokens in map_in_order(shards, tokenize, 2):
            # its first batch may take longer than a signal is patient
            signals.check(_GRACE_SECONDS)
            with _naming(shard, "embedding"):
                pending = encoder.forward(tokens, target.half, done)
            if written is not None:
                written.result()
            written = writer.submit(write, shard, pending)
            signals.check()
        if written is not None:
            written.result()


def read_texts(path: Path, shard: Shard) -> list[str]:
    """The column `text` of the shard's rows; only the row groups that hold them are read."""
    with pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        first, last = np.searchsorted(starts, [shard.start, shard.stop - 1], side="right") - 1
        table = file.read_row_groups(list(range(first, last + 1)), columns=["text"])
    texts: list[str] = table["text"].slice(shard.start - int(starts[first]), len(shard)).to_pylist()
    return texts


@contextmanager
def _naming(shard: Shard, what: str) -> Iterator[None]:
    """Within this block an unexpected error becomes one that names the shard and its rows."""
    cause: Exception
    try:
        yield
        return
    except BatchError as error:
        rows, why, cause = some_rows(error.rows + shard.start), error.what, error
    except JobError:
        raise
    except Exception as error:
        rows, why, cause = f"{shard.start:,} to {shard.stop - 1:,}", f"{type(error).__name__}: {error}", error
    logger.error("embed: %s shard %05d failed", what, shard.number, exc_info=cause, extra=FILE_ONLY)
    raise JobError(f"embed: {what} shard {shard.number:05d}, rows {rows} of headlines.parquet: {why}") from cause
