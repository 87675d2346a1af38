"""Neighbors: Milvus says who is near, the vectors say how far. One graph for clustering and layout."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from job.backends import exact
from job.backends.exact_knn import ExactKnn
from job.backends.graph_audit import audit_labels
from job.backends.milvus import Milvus
from job.backends.milvus.knn import MilvusKnn
from job.config import SPARE_HITS, Cluster, Neighbors
from job.data import Embeddings, Floats, Ints, KnnGraph
from job.runtime import preempt
from job.runtime.errors import Resumable
from job.runtime.log import logger
from job.runtime.progress import Progress
from job.runtime.rundir import RunDir, digest
from job.runtime.shards import Shard, Shards

SHARD_ROWS = 16_384
_CALIBRATION_ROWS = 200
_TIED_ROWS = 256
# distances closer than this may stand in either order in float32 scores
_NEAR_TIE = 4e-6
Rows = npt.NDArray[np.int64]


class Finder(Protocol):
    """Who finds neighbors: Milvus, or a matrix product."""

    @property
    def rows_at_once(self) -> int: ...

    def find(self, rows: Rows) -> Ints: ...


def neighbors(
    config: Neighbors,
    graph_k: int,
    seed: int,
    milvus: Milvus,
    key: str,
    embeddings: Embeddings,
    run: RunDir,
    *,
    device: str = "cpu",
    filter: str = "",
    living: bool = False,
    clustering: Cluster | None = None,
) -> dict[str, Any]:
    """Write `neighbors.npz`: the `graph_k` nearest of each headline, of which clustering reads `config.k`.

    The effort of an approximate search is found on a sample first, so that the whole is rarely done twice; the recall
    of the whole is then measured on another sample, and shards below `min_recall` are redone with twice the effort.

    Raises:
        Resumable: the collection does not hold what the store stage wrote; its marker is taken back. Or the server
            went away, and stayed away.
    """
    n = len(embeddings)
    # O(n d) x 4 bytes: a distance reads two rows from anywhere
    vectors = np.asarray(embeddings.vectors, np.float32)
    k = min(graph_k, n - 1)
    truth = ExactKnn(vectors, k, device)
    finder: MilvusKnn | ExactKnn
    if config.backend == "exact":
        finder = ExactKnn(vectors, k + SPARE_HITS, device)
    else:
        _see_that_all_is_there(milvus, embeddings, run, living)
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
    shards = Shards(run.file("neighbors"), key, n, SHARD_ROWS)
    _fill(shards, list(shards.missing()), finder)
    graph, completed = _measured(shards, vectors, k, min(config.k, k), truth)
    sample, exact_distances = _sample(config.recall_sample, seed, vectors, truth, k)
    recall = _recall(graph.distances[sample], exact_distances)
    while isinstance(finder, MilvusKnn) and recall is not None and recall < config.min_recall:
        if not finder.try_harder():
            break
        poor = _poor_shards(shards, sample, graph.distances[sample], exact_distances, config.min_recall)
        logger.info("neighbors: recall %.4f: %d shards again with %s", recall, len(poor), finder.effort)
        _fill(shards, poor, finder)
        graph, completed = _measured(shards, vectors, k, min(config.k, k), truth)
        recall = _recall(graph.distances[sample], exact_distances)
    graph.save(run.file("neighbors.npz"))
    shards.remove()
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
        "backend": config.backend if config.backend == "milvus" else f"exact on {device}",
        "search": str(finder.effort) if isinstance(finder, MilvusKnn) else "exact",
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
    return stats


def _see_that_all_is_there(milvus: Milvus, embeddings: Embeddings, run: RunDir, living: bool) -> None:
    if living:
        milvus.adopt()
        milvus.load()
        return
    milvus.prepare(embeddings.dim)
    count = 0
    if milvus.has_index():
        milvus.load()
        count = milvus.count()
    if count != len(embeddings):
        run.forget("store")
        run.file("store_done.txt").unlink(missing_ok=True)
        raise Resumable(
            f"neighbors: collection '{milvus.collection}' at '{milvus.uri}' holds {count:,} rows, the store stage "
            f"wrote {len(embeddings):,}: the same command writes them again"
        )


def _calibrate(config: Neighbors, seed: int, finder: MilvusKnn, truth: Finder, vectors: Floats, k: int) -> None:
    """Raise the effort until a small sample's recall is well above `min_recall`."""
    if finder.effort.name is None or not config.recall_sample or not k:
        return
    rows, distances = _sample(_CALIBRATION_ROWS, seed + 1, vectors, truth, k)
    aim = config.min_recall + 0.2 * (1 - config.min_recall)
    while True:
        parts = [rows[start : start + finder.rows_at_once] for start in range(0, len(rows), finder.rows_at_once)]
        found = np.concatenate([finder.find(part) for part in parts])
        mine = exact.sort_rows(found, exact.pair_distances(vectors, rows, found), k)[1]
        recall = _recall(mine, distances)
        logger.info("neighbors: %s gives recall %.4f on %d rows", finder.effort, recall, len(rows))
        if recall is None or recall >= aim or not finder.try_harder():
            return


def _fill(shards: Shards, wanted: list[Shard], finder: MilvusKnn | ExactKnn) -> None:
    """Find and write the wanted shards; a request belongs to one shard, and the next shard's are sent meanwhile."""
    size = finder.rows_at_once

    def pieces() -> Iterator[Rows]:
        for shard in wanted:
            for start in range(shard.start, shard.stop, size):
                yield np.arange(start, min(start + size, shard.stop))

    answers = finder.find_all(pieces()) if isinstance(finder, MilvusKnn) else map(finder.find, pieces())
    with Progress("neighbors", sum(map(len, wanted)), "headlines") as progress:
        for shard in wanted:
            parts = []
            for _ in range(shard.start, shard.stop, size):
                parts.append(next(answers))
                progress.update(len(parts[-1]))
            shards.write(shard, np.concatenate(parts))
            preempt.check()


def _measured(shards: Shards, vectors: Floats, k: int, columns: int, truth: ExactKnn) -> tuple[KnnGraph, int]:
    """The graph of what was found, with the vectors' own distances, the nearest k kept in order.

    Rows for which an approximate index found fewer than k are searched exactly; also returns how many. So are rows
    whose last candidate is as near as their k-th: more that are equal may have been left out.
    """
    n = len(vectors)
    indices, distances = np.empty((n, k), np.int32), np.empty((n, k), np.float32)

    def put(rows: Rows, found: Ints) -> Rows:
        """Returns the rows whose candidates end in a tie."""
        width = max(k, found.shape[1])
        near, far = exact.sort_rows(found, exact.pair_distances(vectors, rows, found), width)
        indices[rows], distances[rows] = near[:, :k], far[:, :k]
        if not k or k == width or width >= n - 1:
            return rows[:0]
        return rows[(near[:, -1] >= 0) & (far[:, -1] <= far[:, k - 1] + _NEAR_TIE)]

    tied = [put(np.arange(shard.start, shard.stop), shards.read(shard)) for shard in shards.all]
    left, width = np.concatenate(tied), k + SPARE_HITS
    while len(left):
        width = min(4 * width, n - 1)
        wide = ExactKnn(vectors, width, truth.device)
        parts = [left[start : start + _TIED_ROWS] for start in range(0, len(left), _TIED_ROWS)]
        left = np.concatenate([put(part, wide.find(part)) for part in parts])
    short = np.flatnonzero((indices < 0).any(axis=1))
    for start in range(0, len(short), truth.rows_at_once):
        rows = short[start : start + truth.rows_at_once]
        put(rows, truth.find(rows))
    return KnnGraph(indices, distances, columns), len(short)


def _sample(size: int, seed: int, vectors: Floats, truth: Finder, k: int) -> tuple[Rows, Floats]:
    """Some rows, and the distance of each one's exact k-th neighbor, float32 [m]."""
    if not size or not k:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    n = len(vectors)
    rows = np.sort(np.random.default_rng(seed).choice(n, min(size, n), replace=False))
    found = np.concatenate(
        [truth.find(rows[start : start + truth.rows_at_once]) for start in range(0, len(rows), truth.rows_at_once)]
    )
    return rows, exact.pair_distances(vectors, rows, found).max(axis=1)


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
