"""Neighbors: Milvus says who is near, the vectors say how far. One graph for clustering and layout."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from job.backends import exact
from job.backends.milvus import Milvus
from job.config import Neighbors
from job.data import Embeddings, Floats, Ids, Ints, KnnGraph
from job.runtime import preempt
from job.runtime.errors import JobError, Resumable
from job.runtime.log import logger
from job.runtime.progress import Progress
from job.runtime.rundir import RunDir, digest
from job.runtime.shards import Shards

SHARD_ROWS = 16_384
# asked for beyond k, so that the order that float32 scores give to near ties does not decide who is in
_SPARE = 8
_EXACT_ROWS = 1_024


def neighbors(
    config: Neighbors, graph_k: int, seed: int, milvus: Milvus, key: str, embeddings: Embeddings, run: RunDir
) -> dict[str, Any]:
    """Write `neighbors.npz`: the `graph_k` nearest of each headline, of which clustering reads `config.k`.

    Raises:
        Resumable: the collection does not hold what the store stage wrote; its marker is taken back.
    """
    n = len(embeddings)
    milvus.prepare(embeddings.dim)
    count = 0
    if milvus.has_index():
        milvus.load()
        count = milvus.count()
    if count != n:
        run.forget("store")
        raise Resumable(
            f"neighbors: collection '{milvus.collection}' at '{milvus.uri}' holds {count:,} rows, the store stage "
            f"wrote {n:,}: the same command writes them again"
        )
    # O(n d) x 4 bytes: a distance reads two rows from anywhere
    vectors = np.asarray(embeddings.vectors, np.float32)
    k = min(graph_k, n - 1)
    shards = Shards(run.file("neighbors"), key, n, SHARD_ROWS)
    missing = sum(map(len, shards.missing()))
    with Progress("neighbors", missing, "headlines") as progress:
        for shard in shards.missing():
            found = np.concatenate(
                list(_ask(config, milvus, embeddings.ids, vectors, shard.start, shard.stop, k, progress))
            )
            shards.write(shard, found)
    graph, completed = _measured(shards, vectors, k, min(config.k, k))
    graph.save(run.file("neighbors.npz"))
    shards.remove()
    recall = _recall(config.recall_sample, seed, vectors, graph)
    logger.info(
        "neighbors: %s headlines x %d, recall %s", f"{n:,}", k, "not measured" if recall is None else f"{recall:.4f}"
    )
    return {
        "rows": n,
        "k": k,
        "k_clustering": graph.columns,
        "recall": recall,
        "recall_sample": min(config.recall_sample, n),
        "rows_completed_exactly": completed,
        "fallbacks": [f"k {k}: there are but {n} headlines"] if k < graph_k else [],
        "output": digest(graph.indices, graph.distances, graph.columns),
    }


def _measured(shards: Shards, vectors: Floats, k: int, columns: int) -> tuple[KnnGraph, int]:
    """The graph of what Milvus found, with the vectors' own distances, the nearest k kept in order.

    Rows for which an approximate index found fewer than k are searched exactly; also returns how many.
    """
    found = shards.load()
    indices = np.empty((len(vectors), k), np.int32)
    distances = np.empty((len(vectors), k), np.float32)
    for shard in shards.all:
        rows = np.arange(shard.start, shard.stop)
        part = found[shard.start : shard.stop]
        indices[rows], distances[rows] = exact.sort_rows(part, exact.pair_distances(vectors, rows, part), k)
    short = np.flatnonzero((indices < 0).any(axis=1))
    for start in range(0, len(short), _EXACT_ROWS):
        rows = short[start : start + _EXACT_ROWS]
        part = exact.nearest(vectors, rows, k)
        indices[rows], distances[rows] = exact.sort_rows(part, exact.pair_distances(vectors, rows, part), k)
    return KnnGraph(indices, distances, columns), len(short)


def _recall(sample: int, seed: int, vectors: Floats, graph: KnnGraph) -> float | None:
    """Share of the graph's neighbors no farther than the exact k-th, on a sample of rows; ties count as found."""
    n, k = graph.indices.shape
    if not sample or not k:
        return None
    rows = np.sort(np.random.default_rng(seed).choice(n, min(sample, n), replace=False))
    truth = exact.pair_distances(vectors, rows, exact.nearest(vectors, rows, k))
    return float((graph.distances[rows] <= truth.max(axis=1, keepdims=True)).mean())


def _ask(
    config: Neighbors, milvus: Milvus, ids: Ids, vectors: Floats, start: int, stop: int, k: int, progress: Progress
) -> Iterator[Ints]:
    """Row numbers of the k + spare nearest by Milvus for rows `start` to `stop`, batches in order."""
    n, dim = vectors.shape
    kind, metric = milvus.index_kind()
    size = milvus.queries_at_once(config.batch, metric, n, dim)
    limit = min(k + 1 + _SPARE, n)

    def batch(first: int) -> Ints:
        last = min(first + size, stop)
        found = milvus.search(vectors[first:last], limit, kind, metric, n)
        return _as_rows(found, ids, np.arange(first, last))

    with ThreadPoolExecutor(config.parallel) as pool:
        for rows in pool.map(batch, range(start, stop, size)):
            progress.update(len(rows))
            preempt.check()
            yield rows


def _as_rows(found: Ids, ids: Ids, rows: Ids) -> Ints:
    """Milvus ids as row numbers, with the row itself and what is missing as -1."""
    position = np.minimum(np.searchsorted(ids, found), len(ids) - 1)
    known = ids[position] == found
    if not (known | (found < 0)).all():
        raise JobError(
            f"neighbors: Milvus answered with id {found[~known & (found >= 0)][0]}, which this run did not write"
        )
    return np.where(known & (position != rows[:, None]), position, -1).astype(np.int32)
