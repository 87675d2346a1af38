"""The loop of the embed stage: texts are read, tokenized, run through the model, and written, all at once.

Each of the four has a thread of its own, with short queues between them. So memory depends on the size of a shard, not
on the number of headlines.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from job.backends.embedding.encoder import BatchError, Encoder, Pending, some_rows
from job.backends.embedding.tokenizer import Tokens
from job.runtime import signals
from job.runtime.errors import JobError
from job.runtime.log import FILE_ONLY, logger
from job.runtime.progress import Progress
from job.runtime.shards import Shard, Shards
from job.runtime.threads import Threads

_READ_ROWS = 8_192
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

    def tokenize(texts: Iterator[tuple[Shard, list[str]]]) -> Iterator[tuple[Shard, Tokens]]:
        for shard, some in texts:
            with _naming(shard, "tokenizing"):
                tokens = encoder.tokenize(some)
            yield shard, tokens

    def write(item: tuple[Shard, Pending]) -> None:
        shard, pending = item
        with _naming(shard, "saving"):
            vectors = pending.vectors()
            if target.sparse is not None:
                target.sparse.write(shard, pending.lexical())
            target.vectors.write(shard, vectors)

    def done(rows: int) -> None:
        progress.update(rows)
        signals.check(_GRACE_SECONDS)

    with Threads() as threads:
        writer = threads.sink(write, 1)
        texts = threads.prefetch(_texts(path, shards), 1)
        for shard, tokens in threads.prefetch(tokenize(texts), 1):
            with _naming(shard, "embedding"):
                pending = encoder.forward(tokens, target.half, done)
            writer.put((shard, pending))
            signals.check()


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


def _texts(path: Path, shards: list[Shard]) -> Iterator[tuple[Shard, list[str]]]:
    """Each shard's texts; the file is read once, from front to back, in small blocks."""
    waiting, found = deque(shards), list[str]()
    for start, texts in _chunks(path, shards):
        stop = start + len(texts)
        while waiting:
            shard = waiting[0]
            first, last = max(shard.start, start), min(shard.stop, stop)
            if first < last:
                found += texts.slice(first - start, last - first).to_pylist()
            if shard.stop > stop:
                break
            waiting.popleft()
            yield shard, found
            found = []


def _chunks(path: Path, shards: list[Shard]) -> Iterator[tuple[int, Any]]:
    """First row numbers and Arrow arrays of texts, without the row groups that no shard needs."""
    with pq.ParquetFile(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            if any(shard.start < stop and start < shard.stop for shard in shards):
                for batch in file.iter_batches(_READ_ROWS, row_groups=[group], columns=["text"]):
                    yield start, batch.column(0)
                    start += len(batch)
            start = stop
