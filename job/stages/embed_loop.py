"""The loop of the embed stage: one shard is tokenized while another runs through the model and a third is written.

So memory depends on the size of a shard, not on the number of headlines.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from job.backends.embedding.encoder import BatchError, Encoder, Pending, some_rows
from job.backends.embedding.tokenizer import Tokens
from job.data import Ids, Vectors
from job.runtime import signals
from job.runtime.errors import JobError
from job.runtime.log import FILE_ONLY, logger
from job.runtime.parallel import map_in_order
from job.runtime.progress import Progress
from job.runtime.shards import Shard, Shards
from job.stages.embed_known import KnownVectors, look_up

# a shard that is not finished so many seconds after a stop signal is given up: Slurm's usual notice is two minutes
_GRACE_SECONDS = 60.0


@dataclass(frozen=True)
class Target:
    """Where vectors go: `vectors` as float16 if `half`, else float32; lexical weights to `sparse`, where given."""

    vectors: Shards
    half: bool
    sparse: Shards | None = None


@dataclass(frozen=True)
class _Part:
    """What is to be computed of a shard: the `tokens` of the texts in `rows`, int64 [m], counted from its first row.

    `known` [n, d]: the vectors of the others, in their places; None where there are no others.
    """

    rows: Ids
    tokens: Tokens
    known: Vectors | None

    def complete(self, vectors: Vectors) -> Vectors:
        """The vectors of all rows, from those of `rows`."""
        if self.known is None:
            return vectors
        self.known[self.rows] = vectors
        return self.known


def embed_shards(
    encoder: Encoder,
    path: Path,
    shards: list[Shard],
    target: Target,
    progress: Progress,
    known: Sequence[KnownVectors] = (),
) -> None:
    """Embed the texts of these shards from the Parquet file at `path` into `target`, except those whose vectors are
    `known`: the markers of the vectors' shards have how many these were, as `reused`.

    Raises:
        JobError: a shard failed; the message names it and its rows.
        Resumable: a stop signal came; finished shards are kept.
    """

    def prepare(shard: Shard) -> _Part:
        with _naming(shard, "tokenizing"):
            ids, texts = read_texts(path, shard)
            rows, vectors = look_up(known, ids)
            return _Part(rows, encoder.tokenize([texts[row] for row in rows]), vectors)

    def write(shard: Shard, part: _Part, pending: Pending) -> None:
        with _naming(shard, "saving", part.rows):
            vectors = part.complete(pending.vectors())
            if target.sparse is not None:
                target.sparse.write(shard, pending.lexical())
            target.vectors.write(shard, vectors, reused=len(shard) - len(part.rows))

    def done(rows: int) -> None:
        progress.update(rows)
        signals.check(_GRACE_SECONDS)

    # leaving the block waits for the shard that is being written: it is finished work
    with ThreadPoolExecutor(1) as writer:
        written: Future[None] | None = None
        for shard, part in map_in_order(shards, prepare, 2):
            # its first batch may take longer than a signal is patient
            signals.check(_GRACE_SECONDS)
            progress.update(len(shard) - len(part.rows))
            with _naming(shard, "embedding", part.rows):
                pending = encoder.forward(part.tokens, target.half, done)
            if written is not None:
                written.result()
            written = writer.submit(write, shard, part, pending)
            signals.check()
        if written is not None:
            written.result()


def read_texts(path: Path, shard: Shard) -> tuple[Ids, list[str]]:
    """The ids and texts of the shard's rows; only the row groups that hold them are read."""
    with pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        first, last = np.searchsorted(starts, [shard.start, shard.stop - 1], side="right") - 1
        table = file.read_row_groups(list(range(first, last + 1)), columns=["id", "text"])
    table = table.slice(shard.start - int(starts[first]), len(shard))
    return table["id"].to_numpy(), table["text"].to_pylist()


@contextmanager
def _naming(shard: Shard, what: str, computed: Ids | None = None) -> Iterator[None]:
    """Within this block an unexpected error becomes one that names the shard and its rows. `computed`: the rows of the
    shard that the encoder was given."""
    cause: Exception
    try:
        yield
        return
    except BatchError as error:
        at = error.rows if computed is None else computed[error.rows]
        rows, why, cause = some_rows(at + shard.start), error.what, error
    except JobError:
        raise
    except Exception as error:
        rows, why, cause = f"{shard.start:,} to {shard.stop - 1:,}", f"{type(error).__name__}: {error}", error
    logger.error("embed: %s shard %05d failed", what, shard.number, exc_info=cause, extra=FILE_ONLY)
    raise JobError(f"embed: {what} shard {shard.number:05d}, rows {rows} of headlines.parquet: {why}") from cause
