"""Embed: every distinct headline's text to a unit vector, in shards on disk.

Four things happen at once: texts are read, tokenized, run through the model, and written, each by a thread of its
own with short queues between them. So memory depends on the size of a shard, not on how many headlines there are.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from job.backends.embedding.encoder import BatchError, Encoder, FlagEncoder, Pending, some_rows
from job.backends.embedding.models import Model
from job.backends.embedding.tokenizer import Tokens
from job.config import Embed
from job.data import Embeddings, Ids
from job.runtime import signals
from job.runtime.device import Choice
from job.runtime.errors import JobError
from job.runtime.log import FILE_ONLY, logger
from job.runtime.progress import Progress
from job.runtime.ranks import Ranks
from job.runtime.rundir import RunDir, digest
from job.runtime.shards import Shard, Shards
from job.runtime.threads import Threads
from job.stages.embed_fingerprint import check_probe, read_probe

# a kill costs a shard: seconds on a GPU, where few rows a length would also mean small batches; minutes on a CPU
SHARD_ROWS = {"cuda": 100_000, "cpu": 10_000}
_READ_ROWS = 8_192
# a shard that is not at its end so long after a stop signal is given up: Slurm's usual notice is two minutes
_GRACE_SECONDS = 60.0


@dataclass(frozen=True)
class Part:
    """A rank's part of the stage: where the model runs, and the shards of all ranks."""

    config: Embed
    model: Model
    device: Choice
    precision: Choice
    ranks: Ranks
    run: RunDir
    key: str

    @property
    def rows(self) -> int:
        return int(pq.read_metadata(self.run.file("headlines.parquet")).num_rows)

    def shards(self, folder: str = "embeddings") -> Shards:
        size = self.config.shard_rows or SHARD_ROWS[self.device.value]
        return Shards(self.run.file(folder), digest(self.key, self.precision.value), self.rows, size)

    @property
    def sparse(self) -> Shards | None:
        """The shards of lexical weights: arrays of `lexical.ENTRY`, rows counted from the shard's first."""
        return self.shards("sparse") if self.config.sparse else None


def embed(part: Part) -> dict[str, Any] | None:
    """Write `embeddings/*.npy`, this rank's share of them; those that are there with their checksums stay.

    Half-precision models give float16 shards, float32 ones float32 (both normalised in float32). None: this
    rank's share is done, that of others is not.
    """
    shards, sparse = part.shards(), part.sparse
    half = part.precision.value != "fp32"
    before = read_probe(shards, part.run)
    left = shards.left(part.ranks)
    if sparse is not None:
        left = sorted({*left, *sparse.left(part.ranks)}, key=lambda shard: shard.number)
    else:
        part.shards("sparse").remove()
    made = sum(map(len, left))
    fallbacks, device_peak = [], None
    if left:
        config = part.config
        encoder = FlagEncoder(
            part.model,
            part.device.value,
            part.precision.value,
            config.max_length,
            config.token_budget,
            part.ranks.local,
            config.sparse,
        )
        asked = encoder.budget
        check_probe(before, encoder, part.model, shards, part.run)
        with Progress("embed", made, "headlines") as progress:
            embed_shards(encoder, part.run.file("headlines.parquet"), left, shards, half, progress, sparse)
        device_peak = encoder.release()
        if encoder.budget < asked:
            fallbacks.append(f"embed.token_budget {asked} -> {encoder.budget}: out of GPU memory")
    others = missing_shards(part)
    if others:
        logger.info("embed: %s: its share is done; still to come: %s", part.ranks, "; ".join(others))
        return None
    dim = int(np.load(part.run.file("embeddings") / "00000.npy", mmap_mode="r").shape[1])
    logger.info(
        "embed: %s headlines, %d dimensions, %s on %s",
        f"{part.rows:,}",
        dim,
        part.precision.value,
        part.device.value,
    )
    dtype = np.dtype(np.float16 if half else np.float32).name
    return {
        "model": part.model.name,
        "model_digest": part.model.identity,
        "pooling": part.model.pooling,
        "device": part.device.value,
        "device_reason": part.device.reason,
        "precision": part.precision.value,
        "precision_reason": part.precision.reason,
        "dimensions": dim,
        "dtype": dtype,
        "shards": len(shards.all),
        "ranks": part.ranks.world,
        "sparse": part.config.sparse,
        **({} if device_peak is None else {"device_peak_mb": device_peak}),
        "rows": made,
        "fallbacks": fallbacks,
        "output": digest(dim, dtype, shards.digest_parts(), sparse.digest_parts() if sparse else []),
    }


def missing_shards(part: Part) -> list[str]:
    """The shards still to be made, in words, by the rank whose they are."""
    unmarked = {*part.shards().unmarked(), *(part.sparse.unmarked() if part.sparse else [])}
    return part.shards().in_words(unmarked, part.ranks)


def embed_shards(
    encoder: Encoder,
    path: Path,
    left: list[Shard],
    to: Shards,
    half: bool,
    progress: Progress,
    sparse: Shards | None = None,
) -> None:
    """Embed the texts of `left` from the Parquet file at `path` into `to`: float16 if `half`, else float32.

    Their lexical weights go into `sparse`, where it is given and the encoder makes them.

    Raises:
        JobError: a shard failed; the message names it and its rows.
        Resumable: a stop signal came; finished shards are kept.
    """

    def tokenize(texts: Iterator[tuple[Shard, list[str]]]) -> Iterator[tuple[Shard, Tokens]]:
        for shard, some in texts:
            with _named(shard, "tokenizing"):
                tokens = encoder.tokenize(some)
            yield shard, tokens

    def write(item: tuple[Shard, Pending]) -> None:
        shard, pending = item
        with _named(shard, "saving"):
            vectors = pending.vectors()
            if sparse is not None:
                sparse.write(shard, pending.lexical())
            to.write(shard, vectors)

    def done(rows: int) -> None:
        progress.update(rows)
        signals.check(_GRACE_SECONDS)

    with Threads() as threads:
        writer = threads.sink(write, 1)
        texts = threads.ahead(_texts(path, left), 1)
        for shard, tokens in threads.ahead(tokenize(texts), 1):
            with _named(shard, "embedding"):
                pending = encoder.forward(tokens, half, done)
            writer.put((shard, pending))
            signals.check()


@contextmanager
def _named(shard: Shard, what: str) -> Iterator[None]:
    """Within this block an error that nobody foresaw becomes one that names the shard and its rows."""
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
    """Each shard's texts; the file is read once, front to back, a little at a time."""
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
    """Row numbers and Arrow arrays of the texts, without the row groups that no shard needs."""
    with pq.ParquetFile(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            if any(shard.start < stop and start < shard.stop for shard in shards):
                for batch in file.iter_batches(_READ_ROWS, row_groups=[group], columns=["text"]):
                    yield start, batch.column(0)
                    start += len(batch)
            start = stop


def load_embeddings(ids: Ids, run: RunDir) -> Embeddings:
    """The vectors of a finished embed stage, in memory: n x d x 2 or 4 bytes."""
    shards = [np.load(path, mmap_mode="r") for path in sorted(run.file("embeddings").glob("[0-9]*.npy"))]
    return Embeddings(ids, np.asarray(shards[0]) if len(shards) == 1 else np.concatenate(shards))


def load_sparse(run: RunDir) -> Any:
    """A finished stage's lexical weights as a SciPy CSR array, float32 [n, vocabulary]; None where none were made."""
    from scipy.sparse import csr_array

    paths = sorted(run.file("sparse").glob("[0-9]*.npy"))
    if not paths:
        return None
    sizes = [len(np.load(path, mmap_mode="r")) for path in sorted(run.file("embeddings").glob("[0-9]*.npy"))]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    parts = [np.load(path) for path in paths]
    rows = np.concatenate([part["row"].astype(np.int64) + start for part, start in zip(parts, starts, strict=False)])
    tokens = np.concatenate([part["token"] for part in parts])
    counts = np.bincount(rows, minlength=int(starts[-1]))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    shape = (int(starts[-1]), int(tokens.max(initial=-1)) + 1)
    return csr_array((np.concatenate([part["weight"] for part in parts]), tokens, offsets), shape=shape)
