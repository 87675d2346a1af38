"""The search in Milvus that the neighbors stage makes its graph with, and what it does where the rows were altered."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from job.backends.milvus import LiteError, OtherRowsError
from job.context import Job
from job.data import Floats
from job.rewrites import demand_rewrite, owns_lite
from job.runtime.errors import BadInput, JobError, Resumable
from job.runtime.log import logger

if TYPE_CHECKING:
    from job.backends.knn.exact import ExactSearch
    from job.backends.milvus.index_kinds import SearchEffort
    from job.backends.milvus.search import MilvusSearch

_CALIBRATION_ROWS = 200
# of an IVF_FLAT index, per query: HNSW's build and search together take less time than reading more (100,000 x 384)
_ROWS_READ = 20_000


def open_search(job: Job, vectors: Floats, k: int, exact_search: "ExactSearch") -> "MilvusSearch":
    """The search among the collection's rows, whose effort gives `neighbors.min_recall` on a small sample.

    Raises:
        AlteredRowsError: the collection does not hold what the store stage wrote.
    """
    from job.backends.milvus.search import AlteredRowsError, MilvusSearch, SearchSettings

    if job.whole_collection:
        job.milvus.adopt()
        job.milvus.load()
    else:
        problem = _what_is_wrong(job)
        if problem is not None:
            raise AlteredRowsError(problem)
    config = job.config.neighbors
    search = MilvusSearch(
        job.milvus,
        job.embeddings.ids,
        vectors,
        SearchSettings(
            k=k,
            top_k=job.config.search_k,
            batch=config.batch,
            parallel=config.parallel,
            nprobe=config.nprobe,
            filter=job.config.store.filter,
            shared=job.whole_collection,
        ),
    )
    _calibrate(job, search, exact_search, vectors, k)
    return search


@contextmanager
def rewritten_if_altered(job: Job) -> Iterator[None]:
    """Inside this block, rows that are not what the store stage wrote make it write them again.

    Raises:
        RowsAlteredError, JobError: as `demand_rewrite`.
    """
    from job.backends.milvus.search import AlteredRowsError

    try:
        yield
    except JobError as error:
        ours = owns_lite(job) and isinstance(error, OtherRowsError)
        if job.whole_collection or (isinstance(error, Resumable | BadInput) and not ours):
            raise
        if ours or isinstance(error, LiteError | AlteredRowsError):
            demand_rewrite(job, str(error))
        # the collection may have been dropped, or its index, while it was searched
        problem = _what_is_wrong(job)
        if problem is None:
            raise
        demand_rewrite(job, problem)


def check_exact(job: Job, search: "MilvusSearch | None", recall: float) -> None:
    """Raise `AlteredRowsError` where an index that finds all neighbors has not: then it compares other vectors."""
    from job.backends.milvus.search import AlteredRowsError

    if search is not None and search.is_exact and not job.whole_collection:
        raise AlteredRowsError(f"its {job.milvus.index().kind} index finds {recall:.1%} of the nearest neighbors")


def _what_is_wrong(job: Job) -> str | None:
    """What the collection lacks of what the store stage wrote, and of its index, after it was loaded; None: nothing.

    Raises:
        OtherRowsError: it has another schema.
    """
    milvus, expected = job.milvus, len(job.embeddings)
    wrote = f"the store stage wrote {expected:,}"
    if not milvus.exists():
        return f"it is gone and holds 0 rows, {wrote}"
    milvus.prepare(job.embeddings.dim)
    if not milvus.has_index():
        return "it has no index"
    index, made = milvus.index(), job.run.stats("store")
    built = made.get("index", index.kind), made.get("metric", index.metric)
    if built != (index.kind, index.metric):
        return f"its index is {index.kind}/{index.metric}, the store stage built {'/'.join(built)}"
    milvus.load()
    count = milvus.count()
    return f"it holds {count:,} rows, {wrote}" if count != expected else None


def _calibrate(job: Job, search: "MilvusSearch", exact_search: "ExactSearch", vectors: Floats, k: int) -> None:
    """Raise the effort until a small sample's recall is well above `min_recall`; all ranks take the same sample."""
    from job.backends.knn.distances import pair_distances, sort_rows
    from job.backends.knn.recall import draw_sample

    config = job.config.neighbors
    if search.effort.name is None or not config.recall_sample or not k:
        return
    sample = draw_sample(_CALIBRATION_ROWS, job.config.seed + 1, vectors, exact_search, k)
    aim = config.min_recall + 0.2 * (1 - config.min_recall)
    size = search.rows_at_once
    while True:
        requests = [sample.rows[start : start + size] for start in range(0, len(sample), size)]
        found = np.concatenate([search.find(rows) for rows in requests])
        recall = sample.recall(sort_rows(found, pair_distances(vectors, sample.rows, found), k)[1])
        logger.info("neighbors: %s gives recall %.4f on %d rows", search.effort, recall, len(sample))
        if recall is None or recall >= aim or not search.try_harder():
            break
    # the index of a whole collection is not this run's to choose
    advice = None if job.whole_collection else advised_index(search.index.kind, search.effort, len(vectors))
    if advice:
        logger.warning("neighbors: %s", advice)


def advised_index(kind: str, effort: "SearchEffort", rows: int) -> str | None:
    """What to say where another index than this one would be faster; None: nothing."""
    if kind != "IVF_FLAT":
        return None
    read = rows * effort.value // effort.largest
    if read <= _ROWS_READ:
        return None
    return (
        f"each query reads some {read:,} of {rows:,} rows ({effort} of {effort.largest}), since neighbors are spread "
        "over many lists: store.index=HNSW, in the same run_dir, should take less time"
    )
