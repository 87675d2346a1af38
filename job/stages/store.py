"""Store: every distinct headline into Milvus under its own id, indexed, loaded and counted."""

from typing import Any

import numpy as np

from job.backends.milvus import MESSAGE_BYTES, TEXT_BYTES, Milvus, fit_text
from job.config import Store
from job.data import Embeddings, Headlines, Ids
from job.runtime import preempt
from job.runtime.errors import BadInput, JobError
from job.runtime.log import logger
from job.runtime.progress import Progress
from job.runtime.rundir import RunDir, atomic


def store(config: Store, milvus: Milvus, headlines: Headlines, embeddings: Embeddings, run: RunDir) -> dict[str, Any]:
    """Upsert all headlines, build the index, load, and verify the number of rows.

    The ids that this run ever wrote stand in `store_ids.npy` before they are written, so that headlines which
    left the input are taken out of the collection again, and nobody else's rows are.

    Raises:
        BadInput: the collection has another schema, or holds rows that this run did not write.
    """
    ids = headlines.ids
    milvus.prepare(embeddings.dim)
    stale = _stale(milvus, ids, run)
    texts = headlines.table["text"].to_pylist()
    cut = sum(len(text.encode()) > TEXT_BYTES for text in texts)
    with Progress("store", len(ids), "rows") as progress:
        for start, stop in _batches(texts, embeddings.dim):
            milvus.upsert(
                ids[start:stop],
                embeddings.vectors[start:stop].astype(np.float32),
                [fit_text(text) for text in texts[start:stop]],
            )
            progress.update(stop - start)
            preempt.check()
    kind = milvus.build_index(config.index, config.metric, len(ids))
    if len(stale):
        milvus.delete(stale)
    count = milvus.count()
    if count != len(ids):
        raise JobError(
            f"store: collection '{config.collection}' at '{milvus.uri}' counts {count:,} rows after {len(ids):,} were "
            "written: is another program writing to it? Set store.collection to another name"
        )
    _remember(run, ids)
    logger.info(
        "store: %s rows in '%s' at %s, index %s/%s", f"{count:,}", config.collection, milvus.uri, kind, config.metric
    )
    return {
        "uri": milvus.uri,
        "server": milvus.version,
        "collection": config.collection,
        "rows": count,
        "removed": len(stale),
        "texts_cut": cut,
        "index": kind,
        "index_asked": config.index,
        "metric": config.metric,
    }


def _stale(milvus: Milvus, ids: Ids, run: RunDir) -> Ids:
    """Ids that an earlier input of this run left in the collection; remembers `ids` as this run's own first.

    Raises:
        BadInput: the collection holds ids that are neither in this input nor this run's.
    """
    file = run.file("store_ids.npy")
    mine: Ids = np.load(file) if file.exists() else np.zeros(0, np.int64)
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
            f"(id {foreign[0]} is one): set store.collection to another name, or drop that collection"
        )
    _remember(run, np.union1d(mine, ids))
    return np.setdiff1d(there, ids)


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
