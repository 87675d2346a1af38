"""Store: every distinct headline into Milvus under its own id, indexed, loaded, counted and compared."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from job.backends.milvus import TEXT_BYTES, Milvus, fit_text
from job.backends.milvus.bulk import BulkImport
from job.backends.milvus.bulk_files import Columns
from job.backends.milvus.index_choice import choose
from job.backends.milvus.index_kinds import Index
from job.backends.milvus.messages import Rows
from job.config import SPARE_HITS, Config, Store
from job.data import Embeddings, Headlines, Ids
from job.runtime import signals
from job.runtime.errors import BadInput, JobError
from job.runtime.journal import Journal
from job.runtime.log import logger
from job.runtime.parallel import in_flight
from job.runtime.progress import Progress
from job.runtime.rundir import RunDir, atomic
from job.stages.store_collection import read_population

# a server takes messages of up to 64 MiB; smaller ones overlap better
MESSAGE_BYTES = 8 * 2**20
# of a file to import, in batches: 512 MiB, a server's own segment
FILE_BATCHES = 64
_SAMPLE = 256


def store(
    config: Store,
    milvus: Milvus,
    headlines: Headlines,
    embeddings: Embeddings,
    run: RunDir,
    *,
    key: str = "",
    top_k: int = 50 + SPARE_HITS,
    extra: list[dict[str, Any]] | None = None,
    lexical: Any = None,
) -> dict[str, Any]:
    """Write all headlines, build the index, load, and verify the number of rows and a sample of their vectors.

    They are upserted; with `store.write: bulk` imported where that can be (`job.backends.milvus.bulk`).

    The ids that this run ever wrote stand in `store_ids.npy` before they are written, so that headlines which
    left the input are taken out of the collection again, and nobody else's rows are; with `store.scope:
    collection` nothing is ever taken out. `store_done.txt` says which batches Milvus has acknowledged: they are
    not written again. `extra`: a dict a headline, for `store.extra_fields`. `lexical`: CSR array [n, vocabulary]
    of weights, kept where the collection has a field for them.

    Raises:
        BadInput: the collection has another schema, or holds rows that this run did not write.
        Resumable: the server went away, and stayed away for `store.patience` seconds.
    """
    living = config.scope == "collection"
    ids = headlines.ids
    bulk = BulkImport(milvus, run.file("store_bulk.json"), key, config.parallel, lambda: np.union1d(_written(run), ids))
    no_bulk = _begin_bulk(bulk, config, milvus, embeddings.dim, lexical)
    if living:
        milvus.adopt(embeddings.dim, writes=True)
    else:
        milvus.prepare(embeddings.dim)
    stale = np.zeros(0, np.int64) if living else _stale(milvus, ids, run)
    texts = headlines.table["text"].to_pylist()
    batches = _batches(texts, embeddings.dim)
    done = Journal(run.file("store_done.txt"), f"{key} {milvus.uri} {milvus.collection}")
    with done as journal, ThreadPoolExecutor(1) as aside:
        # whether a server builds GPU indexes may take 40 s to find out: meanwhile it is written to
        chosen = aside.submit(_index, config, milvus, len(ids), top_k)
        if bulk.dropped:
            journal.clear()
        skipped = len(journal.done)
        if no_bulk is None:
            files = [batches[start : start + FILE_BATCHES] for start in range(0, len(batches), FILE_BATCHES)]
            no_bulk = bulk.run(Columns(ids, embeddings.vectors, headlines.table["text"], extra), files)
            if no_bulk is None:
                for number in range(len(batches)):
                    journal.add(number)
            else:
                journal.clear()
                milvus.prepare(embeddings.dim)
        imported = no_bulk is None
        for last_try in (not (skipped or imported), True):
            _write(milvus, batches, journal, headlines, texts, embeddings, extra, lexical, config.parallel)
            index = chosen.result()
            milvus.build_index(index)
            if len(stale):
                milvus.delete(stale)
            if imported:
                bulk.await_rows(len(ids))
            wrong = _verify(milvus, ids, embeddings, living)
            if wrong is None or last_try:
                break
            logger.warning("store: %s: all rows are written again", wrong)
            if imported:
                no_bulk, imported = wrong, False
                bulk.abandon()
                milvus.prepare(embeddings.dim)
            journal.clear()
    if wrong is not None:
        raise JobError(
            f"store: collection '{config.collection}' at '{milvus.uri}': {wrong}: is another program writing to it? "
            "Set store.collection to another name"
        )
    bulk.finish()
    if not living:
        _remember(run, ids)
    built = milvus.index()
    fallbacks = _fallbacks(no_bulk if skipped < len(batches) else None, _no_sparse(milvus, lexical))
    logger.info(
        "store: %s rows in '%s' at %s, index %s/%s (%s)",
        f"{len(ids):,}",
        config.collection,
        milvus.uri,
        built.kind,
        built.metric,
        index.reason,
    )
    return {
        "uri": milvus.uri,
        "server": milvus.version,
        "collection": config.collection,
        "rows": len(ids),
        "batches": len(batches),
        "batches_kept": skipped,
        "written": "bulk" if imported else "upsert",
        "removed": len(stale),
        "texts_cut": sum(len(text.encode()) > TEXT_BYTES for text in texts),
        "index": built.kind,
        "index_asked": config.index,
        "index_reason": index.reason,
        "index_params": index.build,
        "metric": built.metric,
        **({"sparse": milvus.fields.sparse} if lexical is not None and milvus.has_sparse else {}),
        **({"fallbacks": fallbacks} if fallbacks else {}),
    }


def _fallbacks(no_bulk: str | None, no_sparse: str | None) -> list[str]:
    """What was asked for and not had, with the reasons."""
    found = [f"store.write = bulk: the rows were upserted: {no_bulk}"] * bool(no_bulk)
    found += [f"embed.sparse: the weights are in run_dir/sparse alone: {no_sparse}"] * bool(no_sparse)
    for one in found:
        logger.warning("store: %s", one)
    return found


def _begin_bulk(bulk: BulkImport, config: Store, milvus: Milvus, dim: int, lexical: Any) -> str | None:
    """Why the rows are not imported, "" where that was not asked for; None where they can be."""
    why: str | None = ""
    if config.write == "bulk" and config.bulk_uri is not None:
        why = "lexical weights (embed.sparse) cannot be imported"
        if lexical is None or not milvus.fields.sparse:
            why = bulk.begin(config.bulk_uri, config.bulk_endpoint, dim)
    if why is not None:
        # the last run may have been cut short while it imported
        bulk.abandon()
    return why


def _no_sparse(milvus: Milvus, lexical: Any) -> str | None:
    """Why the weights are not in the collection; None where they are, or where there are none."""
    if lexical is None or milvus.has_sparse:
        return None
    if milvus.connection.has_sparse:
        return "the collection has no such field"
    return f"{milvus.version} has no sparse vectors"


def survey(config: Config, milvus: Milvus, headlines: Headlines, run: RunDir) -> dict[str, Any]:
    """Read back everything in the collection that `store.filter` selects, also what this machine never saw.

    Raises:
        BadInput: no such collection, a field is missing, nothing is selected, or its vectors cannot be compared.
    """
    settings = config.store
    milvus.adopt()
    if not milvus.has_index():
        if settings.index == "auto":
            raise BadInput(
                f"store.collection = '{milvus.collection}' at '{milvus.uri}' has no index on "
                f"'{settings.vector_field}', so it cannot be searched: store.index=FLAT (or IVF_FLAT) makes one"
            )
        milvus.build_index(_index(settings, milvus, 0, config.graph_k + SPARE_HITS))
    milvus.load()
    found = read_population(milvus, settings.filter, headlines, run, config.input.title, config.input.description)
    index = milvus.index()
    if not found.unit and index.metric != "COSINE" and config.neighbors.backend == "milvus":
        raise BadInput(
            f"store.collection = '{milvus.collection}': its vectors are not of length 1, and its index compares them "
            f"by {index.metric}, which ranks them otherwise than their directions: set neighbors.backend=exact"
        )
    logger.info("store: %s rows of '%s' to cluster", f"{found.rows:,}", milvus.collection)
    return {
        "uri": milvus.uri,
        "server": milvus.version,
        "collection": settings.collection,
        "scope": "collection",
        "filter": settings.filter,
        "rows": found.rows,
        "rows_of_others": found.others,
        "index": index.kind,
        "metric": index.metric,
        "warnings": [f"{found.unusable:,} rows have no usable vector and are left out"] if found.unusable else [],
        "output": found.digest,
    }


def _index(config: Store, milvus: Milvus, rows: int, top_k: int) -> Index:
    """The index to build; one that is there stays as it is in a collection that others use too."""
    if config.scope == "collection" and milvus.has_index():
        return milvus.index()
    return choose(
        milvus.connection, config.index, config.metric, rows, top_k, config.nlist, config.cache_dataset_on_device
    )


def _write(
    milvus: Milvus,
    batches: list[tuple[int, int]],
    journal: Journal,
    headlines: Headlines,
    texts: list[str],
    embeddings: Embeddings,
    extra: list[dict[str, Any]] | None,
    lexical: Any,
    parallel: int,
) -> None:
    """Upsert the batches that are not in yet, `parallel` in flight."""

    def rows() -> Iterator[tuple[int, Rows]]:
        for number, (start, stop) in enumerate(batches):
            if number not in journal.done:
                vectors = embeddings.vectors[start:stop].astype(np.float32)
                fitting = [fit_text(text) for text in texts[start:stop]]
                more = extra[start:stop] if extra else []
                if lexical is not None and milvus.has_sparse:
                    weights = _weights(lexical[start:stop])
                    blank: list[dict[str, Any]] = [{}] * len(weights)
                    more = [
                        {**one, milvus.fields.sparse: mine} for one, mine in zip(more or blank, weights, strict=True)
                    ]
                yield number, Rows(headlines.ids[start:stop], vectors, fitting, more)

    total = sum(stop - start for number, (start, stop) in enumerate(batches) if number not in journal.done)
    with Progress("store", total, "rows") as progress:
        # Milvus Lite writes on one thread
        acknowledged = in_flight(rows(), lambda item: milvus.upsert(item[1]), 1 if milvus.lite else parallel)
        for (number, written), _ in acknowledged:
            journal.add(number)
            progress.update(len(written.ids))
            signals.check()


def _weights(lexical: Any) -> list[dict[int, float]]:
    """Each row of a CSR array as {token: weight}. Milvus takes no empty one: it gets the start token, which no text's
    weights name, at next to nothing."""
    rows = (slice(*ends) for ends in pairwise(lexical.indptr.tolist()))
    tokens, weights = lexical.indices, lexical.data
    return [dict(zip(tokens[r].tolist(), weights[r].tolist(), strict=True)) or {0: 1e-6} for r in rows]


def _verify(milvus: Milvus, ids: Ids, embeddings: Embeddings, living: bool) -> str | None:
    """What is wrong with the number of rows or with a sample of their vectors; None where nothing is."""
    count = milvus.count()
    if not living and count != len(ids):
        return f"it counts {count:,} rows after {len(ids):,} were written"
    sample = np.sort(np.random.default_rng(0).choice(len(ids), min(_SAMPLE, len(ids)), replace=False))
    stored = milvus.vectors(ids[sample])
    missing = len(sample) - len(stored)
    if missing:
        return f"{missing} of a sample of {len(sample)} rows are not there"
    sent = embeddings.vectors[sample].astype(np.float32)
    differing = sum(not np.array_equal(stored[int(id)], vector) for id, vector in zip(ids[sample], sent, strict=True))
    return f"{differing} of a sample of {len(sample)} vectors are not the ones written" if differing else None


def _stale(milvus: Milvus, ids: Ids, run: RunDir) -> Ids:
    """Ids that an earlier input of this run left in the collection; remembers `ids` as this run's own first.

    Raises:
        BadInput: the collection holds ids that are neither in this input nor this run's.
    """
    mine = _written(run)
    there: Ids = np.zeros(0, np.int64)
    if milvus.has_index():
        milvus.load()
        there = milvus.ids()
    elif not len(mine) and milvus.has_rows():
        raise BadInput(
            f"store.collection = '{milvus.collection}' at '{milvus.uri}' holds rows of another program that is not "
            "done with it (it has no index yet): set store.collection to another name, or drop that collection"
        )
    foreign = np.setdiff1d(there, np.union1d(mine, ids))
    if len(foreign):
        raise BadInput(
            f"store.collection = '{milvus.collection}' at '{milvus.uri}' holds {len(foreign):,} rows of another run "
            f"(id {foreign[0]} is one): set store.collection to another name, drop that collection, or cluster all "
            "that is in it with store.scope=collection"
        )
    _remember(run, np.union1d(mine, ids))
    return np.setdiff1d(there, ids)


def _written(run: RunDir) -> Ids:
    """The ids that this run may have written."""
    file = run.file("store_ids.npy")
    found: Ids = np.load(file) if file.exists() else np.zeros(0, np.int64)
    return found


def _remember(run: RunDir, ids: Ids) -> None:
    with atomic(run.file("store_ids.npy")) as temporary:
        np.save(temporary, ids)


def _batches(texts: list[str], dim: int) -> list[tuple[int, int]]:
    """Row ranges whose messages stay below `MESSAGE_BYTES`; a single row may exceed nothing, its text is cut."""
    batches = []
    start = size = 0
    for row, text in enumerate(texts):
        bytes_here = 4 * dim + min(4 * len(text), TEXT_BYTES) + 32
        if size and size + bytes_here > MESSAGE_BYTES:
            batches.append((start, row))
            start, size = row, 0
        size += bytes_here
    batches.append((start, len(texts)))
    return batches
