"""Neighbors: Milvus says who is near, the vectors say how far. One graph for clustering and layout.

Rows of the graph are made in shards, which ranks share; the first rank puts them together and measures their recall.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from job.backends.knn.audit import audit_labels
from job.backends.knn.distances import pair_distances, sort_rows
from job.backends.knn.exact import ExactKnn
from job.backends.knn.rows import GraphRows, Rows, graph_rows
from job.backends.milvus import Milvus
from job.backends.milvus.search import MilvusKnn
from job.config import SPARE_HITS, Cluster, Neighbors
from job.data import Embeddings, Floats, Ints, KnnGraph
from job.runtime import signals
from job.runtime.errors import Resumable
from job.runtime.log import logger
from job.runtime.progress import Progress
from job.runtime.ranks import ALONE, Ranks
from job.runtime.rundir import RunDir, digest
from job.runtime.shards import Shard, Shards

_LEAST_SHARD, _LARGEST_SHARD = 4_096, 16_384
_CALIBRATION_ROWS = 200


def shards_of(config: Neighbors, key: str, rows: int, run: RunDir) -> Shards:
    """The pieces of the stage's work, of all ranks: arrays of `graph_rows.row_type`."""
    size = config.shard_rows or min(max(rows // 64, _LEAST_SHARD), _LARGEST_SHARD)
    return Shards(run.file("neighbors"), key, rows, size)


def neighbors(
    config: Neighbors,
    graph_k: int,
    seed: int,
    milvus: Milvus | None,
    key: str,
    embeddings: Embeddings,
    run: RunDir,
    *,
    device: str = "cpu",
    filter: str = "",
    living: bool = False,
    clustering: Cluster | None = None,
    ranks: Ranks = ALONE,
) -> dict[str, Any] | None:
    """Write `neighbors.npz`: the `graph_k` nearest of each headline, of which clustering reads `config.k`.

    `milvus`: None for `backend: exact`, which asks nobody. The effort of an approximate search is found on a sample
    first, so that the whole is rarely done twice; the recall of the whole is then measured on another sample, and
    shards below `min_recall` are redone with twice the effort. None: this rank's share is done, and either others'
    are not or it is not for this one to put them together.

    Raises:
        Resumable: the collection does not hold what the store stage wrote; its marker is taken back. Or the server
            went away, and stayed away.
    """
    n = len(embeddings)
    # O(n d) x 4 bytes: a distance reads two rows from anywhere
    vectors = np.asarray(embeddings.vectors, np.float32)
    k = min(graph_k, n - 1)
    truth = ExactKnn(vectors, device)
    shards = shards_of(config, key, n, run)
    left = shards.left(ranks)
    if ranks.rank and not left:
        return None
    finder = None
    if milvus is not None:
        _see_that_all_is_there(milvus, embeddings, run, living, ranks)
        finder = MilvusKnn(
            milvus,
            embeddings.ids,
            vectors,
            k,
            k + SPARE_HITS,
            config.batch,
            config.parallel,
            config.nprobe,
            filter,
            living,
        )
        _calibrate(config, seed, finder, truth, vectors, k)

    def measure(rows: Rows, found: Ints) -> GraphRows:
        return graph_rows(vectors, rows, found, k, truth)

    def make(wanted: list[Shard]) -> None:
        _fill(shards, wanted, finder or _Exact(truth, k), measure)

    make(left)
    others = shards.in_words(shards.unmarked(), ranks)
    if ranks.rank or others:
        logger.info(
            "neighbors: %s: its share is done%s", ranks, f"; still to come: {'; '.join(others)}" if others else ""
        )
        return None
    sample, exact_distances = _sample(config.recall_sample, seed, vectors, truth, k)
    graph, completed = _together(shards, n, k, config.k)
    recall = _recall(graph.distances[sample], exact_distances)
    while finder is not None and recall is not None and recall < config.min_recall and finder.try_harder():
        poor = _poor_shards(shards, sample, graph.distances[sample], exact_distances, config.min_recall)
        logger.info("neighbors: recall %.4f: %d shards again with %s", recall, len(poor), finder.effort)
        make(poor)
        graph, completed = _together(shards, n, k, config.k)
        recall = _recall(graph.distances[sample], exact_distances)
    graph.save(run.file("neighbors.npz"))
    warnings = []
    if recall is not None and recall < config.min_recall:
        warnings.append(
            f"recall {recall:.4f} of the neighbor graph is below neighbors.min_recall = {config.min_recall}: "
            "try store.index=FLAT or neighbors.backend=exact"
        )
        logger.warning("neighbors: %s", warnings[0])
    stats: dict[str, Any] = {
        "rows": n,
        "k": k,
        "k_clustering": graph.columns,
        "backend": config.backend if finder is not None else f"exact on {device}",
        "search": str(finder.effort) if finder is not None else "exact",
        "ranks": ranks.world,
        "recall": recall,
        "recall_sample": len(sample),
        "rows_completed_exactly": completed,
        "fallbacks": [f"k {k}: there are but {n} headlines"] if k < graph_k else [],
        "warnings": warnings,
        "output": digest(graph.indices, graph.distances, graph.columns),
    }
    if config.audit == "full" and clustering is not None and k:
        stats["audit"] = audit_labels(graph, vectors, clustering, seed, truth)
        logger.info("neighbors: the exact graph gives the same labels with ARI %.4f", stats["audit"]["ari"])
    logger.info(
        "neighbors: %s headlines x %d, recall %s", f"{n:,}", k, "not measured" if recall is None else f"{recall:.4f}"
    )
    shards.remove()
    return stats


class _Exact:
    """`ExactKnn` as a finder beside `MilvusKnn`."""

    def __init__(self, knn: ExactKnn, k: int) -> None:
        self._knn, self._k = knn, k + SPARE_HITS
        self.rows_at_once = knn.rows_at_once

    def find_all(self, pieces: Iterator[Rows]) -> Iterator[Ints]:
        return (self._knn.find(rows, self._k) for rows in pieces)


def _see_that_all_is_there(milvus: Milvus, embeddings: Embeddings, run: RunDir, living: bool, ranks: Ranks) -> None:
    if living:
        milvus.adopt()
        milvus.load()
        return
    count = 0
    if milvus.exists():
        milvus.prepare(embeddings.dim)
        if milvus.has_index():
            milvus.load()
            count = milvus.count()
    if count != len(embeddings):
        if ranks.rank == 0:
            run.forget("store")
            run.file("store_done.txt").unlink(missing_ok=True)
        raise Resumable(
            f"neighbors: collection '{milvus.collection}' at '{milvus.uri}' holds {count:,} rows, the store stage "
            f"wrote {len(embeddings):,}: the same command writes them again"
        )


def _calibrate(config: Neighbors, seed: int, finder: MilvusKnn, truth: ExactKnn, vectors: Floats, k: int) -> None:
    """Raise the effort until a small sample's recall is well above `min_recall`; every rank takes the same sample."""
    if finder.effort.name is None or not config.recall_sample or not k:
        return
    rows, distances = _sample(_CALIBRATION_ROWS, seed + 1, vectors, truth, k)
    aim = config.min_recall + 0.2 * (1 - config.min_recall)
    while True:
        parts = [rows[start : start + finder.rows_at_once] for start in range(0, len(rows), finder.rows_at_once)]
        found = np.concatenate([finder.find(part) for part in parts])
        mine = sort_rows(found, pair_distances(vectors, rows, found), k)[1]
        recall = _recall(mine, distances)
        logger.info("neighbors: %s gives recall %.4f on %d rows", finder.effort, recall, len(rows))
        if recall is None or recall >= aim or not finder.try_harder():
            return


def _fill(
    shards: Shards, wanted: list[Shard], finder: MilvusKnn | _Exact, measure: Callable[[Rows, Ints], GraphRows]
) -> None:
    """Find, measure and write the wanted shards; a request belongs to one shard, and the next shard's are sent
    meanwhile."""
    size = finder.rows_at_once

    def pieces() -> Iterator[Rows]:
        for shard in wanted:
            for start in range(shard.start, shard.stop, size):
                yield np.arange(start, min(start + size, shard.stop))

    answers = finder.find_all(pieces())
    with Progress("neighbors", sum(map(len, wanted)), "headlines") as progress:
        for shard in wanted:
            parts = []
            for _ in range(shard.start, shard.stop, size):
                parts.append(next(answers))
                progress.update(len(parts[-1]))
            shards.write(shard, measure(np.arange(shard.start, shard.stop), np.concatenate(parts)))
            signals.check()


def _together(shards: Shards, n: int, k: int, columns: int) -> tuple[KnnGraph, int]:
    """The graph of all shards, and how many of its rows were completed exactly."""
    indices, distances = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
    completed = 0
    for shard in shards.all:
        part = shards.read(shard)
        indices[shard.start : shard.stop], distances[shard.start : shard.stop] = part["index"], part["distance"]
        completed += int(part["completed"].sum())
    return KnnGraph(indices, distances, min(columns, k)), completed


def _sample(size: int, seed: int, vectors: Floats, truth: ExactKnn, k: int) -> tuple[Rows, Floats]:
    """Some rows, and the distance of each one's exact k-th neighbor, float32 [m]."""
    if not size or not k:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    n = len(vectors)
    rows = np.sort(np.random.default_rng(seed).choice(n, min(size, n), replace=False))
    return rows, pair_distances(vectors, rows, truth.find(rows, k)).max(axis=1)


def _recall(distances: Floats, exact_distances: Floats) -> float | None:
    """Share of found neighbors [m, k] no farther than the exact k-th; ties count as found."""
    if not distances.size:
        return None
    return float((distances <= exact_distances[:, None]).mean())


def _poor_shards(shards: Shards, sample: Rows, distances: Floats, truth: Floats, wanted: float) -> list[Shard]:
    """The shards whose part of the sample is below `wanted`."""
    poor = []
    for shard in shards.all:
        inside = (sample >= shard.start) & (sample < shard.stop)
        recall = _recall(distances[inside], truth[inside])
        if recall is not None and recall < wanted:
            poor.append(shard)
    return poor
