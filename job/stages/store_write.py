"""Writing the headlines into a collection: prepare it, upsert in batches, index, verify."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from job.backends.embedding.lexical_shards import load_lexical_weights
from job.backends.milvus import TEXT_BYTES, Milvus, OtherRowsError, fit_text
from job.backends.milvus.index_choice import IndexRequest, choose
from job.backends.milvus.index_kinds import Index
from job.backends.milvus.messages import RowBatch
from job.backends.milvus.search import AlteredRowsError
from job.context import Job, StageResult
from job.data import Embeddings, Ids
from job.runtime import signals
from job.runtime.files import digest
from job.runtime.journal import Journal
from job.runtime.log import logger
from job.runtime.parallel import map_in_order
from job.runtime.progress import Progress
from job.stages.store_extra import extra_values
from job.stages.store_ids import FILE, JOURNAL, load_written_ids, save_written_ids

# a server takes messages of up to 64 MiB; smaller ones overlap better
MESSAGE_BYTES = 8 * 2**20
_SAMPLE = 256
# rows that another run wrote are compared with this run's vectors of the same headlines; another precision or length
# changes a cosine by some hundredths, another model makes it near 0
_COMPARED, _SAME_MODEL = 1_000, 0.8
# Milvus takes no empty sparse vector: this stands for one, in the start token's place, which no text's weights use
_NO_WEIGHTS = {0: 1e-6}


def write_headlines(job: Job, key: str) -> StageResult:
    """Upsert this input's headlines, build the index, load, and verify the number of rows and a sample of the vectors.

    `key`: of the journal of acknowledged batches; a journal with another key is not continued.

    Raises:
        OtherRowsError: the collection has another schema, or holds rows that this run did not write.
        AlteredRowsError: the collection does not hold what was written.
        LiteError: Milvus Lite's files are damaged.
        Resumable: the server went away, and stayed away for `store.patience` seconds.
    """
    milvus, config, headlines = job.milvus, job.config.store, job.input_headlines
    stale = _prepare(job)
    rows = _Rows(
        headlines.ids,
        headlines.column("text"),
        job.input_embeddings,
        extra_values(config.extra_fields, job.run),
        load_lexical_weights(job.run.path) if job.config.embed.sparse else None,
    )
    batches = _batches(rows)
    with (
        Journal(job.run.file(JOURNAL), f"{key} {milvus.collection} {digest(batches)}") as journal,
        ThreadPoolExecutor(1) as background,
    ):
        # finding out whether a server builds GPU indexes takes up to 40 s: rows are written meanwhile
        index = background.submit(index_to_build, job, len(headlines))
        kept = len(journal.done)

        def attempt() -> str | None:
            _upsert(job, rows, batches, journal)
            milvus.build_index(index.result())
            if len(stale):
                milvus.delete(stale)
            return _verify(milvus, rows, exact_count=not job.whole_collection)

        problem = attempt()
        if problem is not None and kept:
            logger.warning("store: %s: all rows are written again", problem)
            journal.clear()
            problem = attempt()
    if problem is not None:
        raise AlteredRowsError(
            f"store: collection '{config.collection}' at '{milvus.uri}': {problem}: is another program writing to it? "
            "Set store.collection to another name"
        )
    if not job.whole_collection:
        save_written_ids(job.run, job.config, milvus.schema.identity, headlines.ids)
    return _result(job, rows, index.result(), {"batches": len(batches), "batches_kept": kept, "removed": len(stale)})


def index_to_build(job: Job, rows: int) -> Index:
    """The index to build over `rows` rows; a collection that others use too keeps the one it has."""
    config, milvus = job.config.store, job.milvus
    if job.whole_collection and milvus.has_index():
        return milvus.index()
    return choose(
        milvus.connection,
        IndexRequest(
            config.index, config.metric, rows, job.config.index_top_k, config.nlist, config.cache_dataset_on_device
        ),
    )


@dataclass(frozen=True)
class _Rows:
    """What is written. `extra`: a dict per headline, or empty. `lexical`: CSR array [n, vocabulary], or None."""

    ids: Ids
    texts: list[str]
    embeddings: Embeddings
    extra: list[dict[str, Any]]
    lexical: Any

    def batch(self, start: int, stop: int, sparse_field: str | None) -> RowBatch:
        """Rows `start` to `stop`, with their lexical weights where the collection has a field for them."""
        extra = self.extra[start:stop]
        if self.lexical is not None and sparse_field is not None:
            weights = _weights(self.lexical[start:stop])
            if not extra:
                extra = [{} for _ in weights]
            extra = [{**values, sparse_field: own} for values, own in zip(extra, weights, strict=True)]
        vectors = self.embeddings.vectors[start:stop].astype(np.float32)
        return RowBatch(self.ids[start:stop], vectors, [fit_text(text) for text in self.texts[start:stop]], extra)


def _prepare(job: Job) -> Ids:
    """Make the collection, or check the one that is there; the ids in it that this input no longer has.

    Raises:
        OtherRowsError: the collection holds ids that are neither in this input nor this run's, or another model's
            vectors of headlines in this input.
    """
    milvus, ids, dim = job.milvus, job.input_headlines.ids, job.input_embeddings.dim
    if job.whole_collection:
        milvus.adopt(dim, writes=True)
        if milvus.has_index():
            milvus.load()
            _check_same_model(job, ids)
        return np.zeros(0, np.int64)
    milvus.prepare(dim)
    kept = load_written_ids(job.run, job.config, milvus.schema.identity)
    ours: Ids = np.zeros(0, np.int64) if kept is None else kept
    there: Ids = np.zeros(0, np.int64)
    where = f"store.collection = '{milvus.collection}' at '{milvus.uri}'"
    if milvus.has_index():
        milvus.load()
        there = milvus.ids()
    elif not len(ours) and milvus.has_rows():
        raise OtherRowsError(
            f"{where} holds rows of another program that is still writing (it has no index yet)",
            ": set store.collection to another name, or drop that collection",
        )
    foreign = np.setdiff1d(there, np.union1d(ours, ids))
    if len(foreign):
        whose, advice = "of another run", ""
        if kept is None:
            whose = f"that are not in the input, and '{job.run.file(FILE)}', the list of this run's, is lost or damaged"
        elif not len(ours) and job.run.file(FILE).exists():
            whose = "that this run has not written there"
        if whose != "of another run":
            advice = "if they are this run's own, drop that collection, and the same command writes it again; else "
        raise OtherRowsError(
            f"{where} holds {len(foreign):,} rows {whose} (id {foreign[0]} is one)",
            f": {advice}set store.collection to another name, drop that collection, or cluster everything in it with "
            "store.scope=collection",
        )
    _check_same_model(job, np.setdiff1d(np.intersect1d(there, ids), ours))
    save_written_ids(job.run, job.config, milvus.schema.identity, np.union1d(ours, ids))
    # without an index, what an interrupted run wrote cannot be read yet; to remove what is not there does no harm
    return np.setdiff1d(there if milvus.has_index() else ours, ids)


def _check_same_model(job: Job, ids: Ids) -> None:
    """Compare the stored vectors of a sample of these ids, where there are any, with this run's.

    Raises:
        OtherRowsError: they are another model's, which this run would replace.
    """
    milvus, own = job.milvus, job.input_embeddings
    sample = np.random.default_rng(0).choice(ids, min(_COMPARED, len(ids)), replace=False)
    stored = milvus.vectors(np.sort(sample))
    if not stored:
        return
    theirs = np.stack(list(stored.values())).astype(np.float64)
    mine = own.vectors[np.searchsorted(own.ids, list(stored))].astype(np.float64)
    lengths = np.linalg.norm(theirs, axis=1) * np.linalg.norm(mine, axis=1)
    cosine = float(np.mean((theirs * mine).sum(axis=1) / np.maximum(lengths, 1e-12)))
    if cosine < _SAME_MODEL:
        raise OtherRowsError(
            f"store.collection = '{milvus.collection}' at '{milvus.uri}' holds headlines of this input with vectors of "
            f"another model (mean cosine {cosine:.2f} with this run's, of {len(stored)})",
            ": set store.collection to another name, or drop that collection",
        )


def _upsert(job: Job, rows: _Rows, batches: list[tuple[int, int]], journal: Journal) -> None:
    """Write the batches that are not acknowledged yet, `store.parallel` of them at once."""
    milvus = job.milvus
    sparse_field = milvus.fields.sparse if milvus.has_sparse else None
    pending = [number for number in range(len(batches)) if number not in journal.done]

    def made() -> Iterator[tuple[int, RowBatch]]:
        for number in pending:
            yield number, rows.batch(*batches[number], sparse_field)

    total = sum(batches[number][1] - batches[number][0] for number in pending)
    with Progress("store", total, "rows") as progress:
        # Milvus Lite writes on one thread
        parallel = 1 if milvus.lite else job.config.store.parallel
        for (number, batch), _ in map_in_order(made(), lambda item: milvus.upsert(item[1]), parallel):
            journal.add(number)
            progress.update(len(batch.ids))
            signals.check()


def _verify(milvus: Milvus, rows: _Rows, exact_count: bool) -> str | None:
    """What is wrong with the number of rows, or with a sample of their vectors; None where nothing is."""
    ids, count = rows.ids, milvus.count()
    if exact_count and count != len(ids):
        return f"it counts {count:,} rows after {len(ids):,} were written"
    sample = np.sort(np.random.default_rng(0).choice(len(ids), min(_SAMPLE, len(ids)), replace=False))
    stored = milvus.vectors(ids[sample])
    missing = len(sample) - len(stored)
    if missing:
        return f"{missing} of a sample of {len(sample)} rows are not there"
    sent = rows.embeddings.vectors[sample].astype(np.float32)
    differing = sum(not np.array_equal(stored[int(id)], vector) for id, vector in zip(ids[sample], sent, strict=True))
    return f"{differing} of a sample of {len(sample)} vectors are not the ones written" if differing else None


def _result(job: Job, rows: _Rows, index: Index, counts: dict[str, int]) -> StageResult:
    milvus, config = job.milvus, job.config.store
    built = milvus.index()
    fallbacks = []
    if rows.lexical is not None and not milvus.has_sparse:
        why = "the collection has no such field"
        if not milvus.connection.has_sparse:
            why = f"{milvus.version} has no sparse vectors"
        fallbacks = [f"embed.sparse: the weights are only in run_dir/sparse: {why}"]
        logger.warning("store: %s", fallbacks[0])
    logger.info(
        "store: %s rows in '%s' at %s, index %s/%s (%s)",
        f"{len(rows.ids):,}",
        config.collection,
        milvus.uri,
        built.kind,
        built.metric,
        index.reason,
    )
    return StageResult(
        len(rows.ids),
        fallbacks=fallbacks,
        stats={
            "uri": milvus.uri,
            "server": milvus.version,
            "collection": config.collection,
            "scope": config.scope,
            **counts,
            "texts_cut": sum(len(text.encode()) > TEXT_BYTES for text in rows.texts),
            "index": built.kind,
            "index_asked": config.index,
            "index_reason": index.reason,
            "index_params": index.build,
            "metric": built.metric,
            **({"sparse": milvus.fields.sparse} if rows.lexical is not None and milvus.has_sparse else {}),
        },
    )


def _weights(lexical: Any) -> list[dict[int, float]]:
    """Each row of a CSR array as {token: weight}."""
    tokens, weights = lexical.indices, lexical.data
    rows = (slice(start, stop) for start, stop in pairwise(lexical.indptr.tolist()))
    return [dict(zip(tokens[row].tolist(), weights[row].tolist(), strict=True)) or _NO_WEIGHTS for row in rows]


def _batches(rows: _Rows) -> list[tuple[int, int]]:
    """Row ranges whose messages stay below `MESSAGE_BYTES`; what a single row has beyond it, Milvus refuses."""
    batches = []
    start = size = 0
    weights = None if rows.lexical is None else np.diff(rows.lexical.indptr)
    for row, text in enumerate(rows.texts):
        row_bytes = 4 * rows.embeddings.dim + min(4 * len(text), TEXT_BYTES) + 32
        if rows.extra:
            row_bytes += len(json.dumps(rows.extra[row], ensure_ascii=False).encode())
        if weights is not None:
            row_bytes += 8 * int(weights[row]) + 16
        if size and size + row_bytes > MESSAGE_BYTES:
            batches.append((start, row))
            start, size = row, 0
        size += row_bytes
    batches.append((start, len(rows.texts)))
    return batches
