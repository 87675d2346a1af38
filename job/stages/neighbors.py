"""Neighbors: Milvus says who is near, the vectors say how far. One graph for clustering and layout.

The rows of the graph are made in shards, which ranks share; rank 0 assembles them and measures their recall.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from job.backends.milvus.index_kinds import SEGMENT_ROWS
from job.context import CLUSTERED, Job, Stage, StageResult
from job.data import Floats, Ids, Ints, KnnGraph
from job.rewrites import settle
from job.runtime import signals
from job.runtime.device import cpu_has_amx
from job.runtime.files import digest
from job.runtime.log import logger
from job.runtime.needs import GIB, Need, Size
from job.runtime.parallel import map_in_order
from job.runtime.progress import Progress
from job.runtime.ranks import ONE_PROCESS, Ranks
from job.runtime.shards import Shard, Shards, remove_shards
from job.stages.neighbors_search import check_exact, open_search, rewritten_if_altered

if TYPE_CHECKING:
    from job.backends.knn.exact import ExactSearch
    from job.backends.knn.recall import RecallSample
    from job.backends.milvus.search import MilvusSearch

# in the stage's stats
MADE_OF = "made_of"
_SMALLEST_SHARD, _LARGEST_SHARD = 4_096, 16_384


class NeighborsStage(Stage):
    """Write `neighbors.npz`: the nearest `Config.graph_k` of each headline, of which clustering reads `neighbors.k`.

    The effort of an approximate search is first raised on a small sample, so that the whole is rarely searched twice.
    The recall of the whole is then measured on another sample, and shards below `neighbors.min_recall` are searched
    again with more effort.
    """

    name = "neighbors"
    version = 3

    def key(self, job: Job) -> list[Any]:
        config = job.config
        audited = [config.cluster.key()] if config.neighbors.audit == "full" else []
        return [job.output("store"), config.graph_k, config.neighbors.key(), audited]

    def files(self, job: Job) -> list[str]:
        return ["neighbors.npz"]

    def is_shared(self, job: Job) -> bool:
        # a Lite file belongs to one process, and only rank 0 has read the whole collection
        asks_lite = job.config.neighbors.backend == "milvus" and job.uses_lite
        return not asks_lite and not job.whole_collection

    def missing(self, job: Job) -> list[str]:
        shards = self._shards(job)
        return shards.describe(shards.missing(), job.ranks)

    def need(self, job: Job, size: Size) -> Need:
        n, pairs = size.headlines, float(size.headlines) ** 2
        if job.config.neighbors.backend == "exact":
            # with AMX: products of bfloat16, whose candidates take less time too
            candidates, product = (5e-10, 1.3e-12) if cpu_has_amx() else (2.6e-9, 8.3e-12)
            loops, products = 0.4 + 3.2e-5 * n + candidates * pairs, product * pairs * size.dim
        elif job.uses_lite:
            loops, products = 0.45 + 1.02e-3 * n, 2.8e-11 * pairs * size.dim
        else:
            # a query is a search of each segment
            loops, products = 1 + 6e-4 * n * max(1.0, n / SEGMENT_ROWS), 0.0
        return Need(
            memory=size.held_with_milvus + size.floats + size.graph,
            # two blocks of scores, and their best
            gpu=6 * GIB,
            disk=size.graph,
            scratch=size.graph,
            loops=loops,
            products=products,
            remedy="lower neighbors.k and project.n_neighbors",
        )

    def run(self, job: Job) -> StageResult | None:
        """Raises Resumable: the collection does not hold what the store stage wrote, which then writes it again; or
        the server went away, and stayed away."""
        ranks = job.ranks if self.is_shared(job) else ONE_PROCESS
        shards = self._shards(job)
        to_make = shards.to_make(ranks)
        if ranks.rank and not to_make:
            return None
        if ranks.rank and self.up_to_date(job) is not None:
            # rank 0 had all shards already, and has removed them
            self.clean_up(job)
            return None
        graph = _Graph(job, shards)
        with rewritten_if_altered(job):
            graph.make(to_make)
        missing = shards.describe(shards.missing(), ranks)
        if ranks.rank or missing:
            still = f"; still missing: {'; '.join(missing)}" if missing else ""
            logger.info("neighbors: %s: its share is done%s", ranks, still)
            return None
        graph.assemble()
        with rewritten_if_altered(job):
            graph.reach_recall()
        graph.graph.save(job.run.file("neighbors.npz"))
        settle(job.run)
        return _result(job, graph, ranks)

    def clean_up(self, job: Job) -> None:
        remove_shards(job.run.file("neighbors"))
        if job.uses_lite:
            # no later stage asks Milvus, and Lite holds the vectors in this process
            job.close()

    def _shards(self, job: Job) -> Shards:
        """The shards of all ranks: arrays of `knn.rows.row_type`."""
        rows = len(job.headlines)
        size = job.config.neighbors.shard_rows or min(max(rows // 64, _SMALLEST_SHARD), _LARGEST_SHARD)
        return Shards(job.run.file("neighbors"), self.digest(job), rows, size)


class _Search(Protocol):
    """`rows_at_once`: queries per request; `find_all`: for each array of row numbers, candidates int32 [m, any]."""

    @property
    def rows_at_once(self) -> int: ...

    def find_all(self, requests: Iterable[Ids]) -> Iterator[Ints]: ...


class _Graph:
    """The graph while it is made: what is searched with, the shards, then the assembled graph and its recall."""

    graph: KnnGraph
    # rows that were searched exactly because an approximate index found fewer than k neighbors
    completed: int
    recall: float | None
    sample: "RecallSample"

    def __init__(self, job: Job, shards: Shards) -> None:
        from job.backends.gpu import select_gpu
        from job.backends.knn.exact import ExactSearch

        if job.device.value == "cuda":
            select_gpu(job.ranks.local)
        self.job, self.shards = job, shards
        # n x d x 4 bytes: a distance reads two rows from anywhere
        self.vectors: Floats = np.asarray(job.embeddings.vectors, np.float32)
        self.k = min(job.config.graph_k, len(self.vectors) - 1)
        self.exact_search = ExactSearch(self.vectors, job.device.value)

    @cached_property
    def milvus_search(self) -> "MilvusSearch | None":
        """None with `neighbors.backend: exact`. Milvus is not connected to before it is needed."""
        if self.job.config.neighbors.backend == "exact":
            return None
        return open_search(self.job, self.vectors, self.k, self.exact_search)

    def make(self, shards: list[Shard]) -> None:
        """Search, measure and write these shards. A request belongs to one shard; the requests of the next shard are
        sent while one is measured."""
        from job.backends.knn.rows import graph_rows

        if not shards:
            return
        search: _Search = self.milvus_search or _ExactCandidates(self.exact_search, self.job.config.search_k)
        size = search.rows_at_once

        def requests() -> Iterator[Ids]:
            for shard in shards:
                for start in range(shard.start, shard.stop, size):
                    yield np.arange(start, min(start + size, shard.stop))

        answers = search.find_all(requests())
        with Progress("neighbors", sum(map(len, shards)), "headlines") as progress:
            for shard in shards:
                found = []
                for _ in range(shard.start, shard.stop, size):
                    found.append(next(answers))
                    progress.update(len(found[-1]))
                rows = np.arange(shard.start, shard.stop)
                candidates = np.concatenate(found)
                self.shards.write(shard, graph_rows(self.vectors, rows, candidates, self.k, self.exact_search))
                signals.check()

    def assemble(self) -> None:
        """Put the shards together."""
        n, k = len(self.vectors), self.k
        indices, distances = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
        self.completed = 0
        for shard in self.shards.all:
            rows = self.shards.read(shard)
            indices[shard.start : shard.stop], distances[shard.start : shard.stop] = rows["index"], rows["distance"]
            self.completed += int(rows["completed"].sum())
        self.graph = KnnGraph(indices, distances, min(self.job.config.neighbors.k, k))

    def reach_recall(self) -> None:
        """Measure the recall, and search again with more effort where it is below `neighbors.min_recall`."""
        from job.backends.knn.recall import draw_sample

        config, seed = self.job.config.neighbors, self.job.config.seed
        self.sample = draw_sample(config.recall_sample, seed, self.vectors, self.exact_search, self.k)
        self.recall = self.sample.recall(self.graph.distances[self.sample.rows])
        while self.recall is not None and self.recall < config.min_recall:
            search = self.milvus_search
            if search is None or not search.try_harder():
                check_exact(self.job, search, self.recall)
                break
            poor = self._shards_below(config.min_recall)
            logger.info("neighbors: recall %.4f: %d shards again with %s", self.recall, len(poor), search.effort)
            self.make(poor)
            self.assemble()
            self.recall = self.sample.recall(self.graph.distances[self.sample.rows])

    def _shards_below(self, min_recall: float) -> list[Shard]:
        distances = self.graph.distances[self.sample.rows]
        poor = []
        for shard in self.shards.all:
            part, sample = self.sample.within(shard.start, shard.stop)
            recall = sample.recall(distances[part])
            if recall is not None and recall < min_recall:
                poor.append(shard)
        return poor


class _ExactCandidates:
    """Exact search in the shape of `MilvusSearch`, with `hits` candidates per row."""

    def __init__(self, search: "ExactSearch", hits: int) -> None:
        self._search, self._hits = search, hits
        self.rows_at_once = search.rows_at_once

    def find_all(self, requests: Iterable[Ids]) -> Iterator[Ints]:
        if self._search.device == "cpu":
            return map(self._find, requests)
        # the GPU searches the next rows while the host computes the distances of these
        return (found for _, found in map_in_order(requests, self._find, 2))

    def _find(self, rows: Ids) -> Ints:
        return self._search.find(rows, self._hits)


def made_of(job: Job) -> dict[str, str]:
    """The digests of the headlines and of the vectors whose graph it is."""
    return {"headlines": job.clustered("ingest"), "vectors": job.clustered("embed")}


def _result(job: Job, made: _Graph, ranks: Ranks) -> StageResult:
    config, graph, n, k, recall = job.config.neighbors, made.graph, len(made.vectors), made.k, made.recall
    warnings, fallbacks, stats = [], [], {}
    if recall is not None and recall < config.min_recall:
        warnings = [
            f"recall {recall:.4f} of the neighbor graph is below neighbors.min_recall = {config.min_recall}: "
            "try store.index=FLAT or neighbors.backend=exact"
        ]
    if k < job.config.graph_k:
        fallbacks = [f"neighbors.k: {k} instead of {job.config.graph_k}: there are only {n} headlines"]
    if config.audit == "full" and k:
        from job.backends.knn.audit import audit_labels

        stats["audit"] = audit_labels(graph, made.vectors, job.config.cluster, job.config.seed, made.exact_search)
        logger.info("neighbors: the exact graph gives the same labels with ARI %.4f", stats["audit"]["ari"])
    near = graph.first(graph.columns)
    measured = "not measured" if recall is None else f"{recall:.4f}"
    logger.info("neighbors: %s headlines x %d, recall %s", f"{n:,}", k, measured)
    # all shards may have been there
    search = made.__dict__.get("milvus_search")
    effort = "exact" if config.backend == "exact" else "as before" if search is None else str(search.effort)
    return StageResult(
        n,
        digest(graph.indices, graph.distances, graph.columns),
        fallbacks,
        warnings,
        {
            "k": k,
            "k_clustering": graph.columns,
            CLUSTERED: digest(near.indices, near.distances),
            MADE_OF: made_of(job),
            "backend": config.backend if config.backend == "milvus" else f"exact on {job.device.value}",
            "search": effort,
            "ranks": ranks.world,
            "recall": recall,
            "recall_sample": len(made.sample),
            "rows_completed_exactly": made.completed,
            **stats,
        },
    )
