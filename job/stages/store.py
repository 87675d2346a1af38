"""Store: every distinct headline into Milvus under its own id, then indexed, loaded, counted and compared."""

from pathlib import Path
from typing import Any

from job.backends.milvus import is_lite
from job.backends.milvus.index_kinds import why_unavailable
from job.config import Config
from job.context import COLLECTION, Job, Size, Stage, StageResult
from job.runtime.errors import BadInput
from job.runtime.log import logger
from job.runtime.secrets import without_password


class StoreStage(Stage):
    """Write this input's headlines, and with `store.scope: collection` read back everything in the collection.

    The ids that this run ever wrote stand in `store_ids.npy` before they are written: headlines that left the input are
    deleted from the collection, and nobody else's rows are. With `store.scope: collection` nothing is ever deleted.
    `store_done.txt` lists the batches that Milvus has acknowledged: they are not written again.
    """

    name = "store"

    def key(self, job: Job) -> list[Any]:
        return [
            job.output("ingest"),
            job.output("embed"),
            without_password(job.config.store_uri),
            job.config.store.key(),
            job.config.embed.sparse,
        ]

    def files(self, job: Job) -> list[str]:
        database = [str(Path(job.config.store_uri).expanduser().resolve())] if job.uses_lite else []
        read_back = ("headlines.parquet", "vectors.npy", "rows.parquet", "input.parquet")
        return database + ([f"{COLLECTION}/{name}" for name in read_back] if job.whole_collection else [])

    def check(self, job: Job) -> None:
        check_index(job.config)
        if job.ranks.rank:
            return
        if job.whole_collection:
            job.milvus.adopt(writes=job.has_input)
        if job.run.marker("neighbors") is None and not job.uses_lite:
            store, milvus = job.config.store, job.milvus
            if store.index != "auto" and job.run.marker("store") is None:
                from job.backends.milvus.index_choice import require

                require(milvus.connection, store.index, store.metric, job.config.search_k)

    def is_volatile(self, job: Job) -> bool:
        # other programs write to the collection too
        return job.whole_collection

    def memory(self, size: Size) -> float:
        return 2 * size.texts + size.vectors

    def run(self, job: Job) -> StageResult:
        from job.stages.store_write import write_headlines

        written = write_headlines(job, self.digest(job)) if job.has_input else StageResult(0)
        return _read_back(job, written) if job.whole_collection else written


def check_index(config: Config) -> None:
    """Raise `BadInput` where Milvus's known limits do not allow the index that is asked for. Asks no server."""
    uri, store = config.store_uri, config.store
    if config.neighbors.backend == "milvus" and store.index != "auto":
        why = why_unavailable(store.index, store.metric, config.search_k, is_lite(uri), "zillizcloud" in uri)
        if why is not None:
            raise BadInput(why)


def _read_back(job: Job, written: StageResult) -> StageResult:
    """Read back everything in the collection that `store.filter` selects, also what other programs wrote.

    Raises:
        BadInput: no such collection, a field is missing, nothing is selected, or its vectors cannot be compared.
    """
    from job.stages.store_collection import read_collection

    milvus, settings = job.milvus, job.config.store
    milvus.adopt()
    _build_missing_index(job)
    milvus.load()
    found = read_collection(job)
    index = milvus.index()
    if not found.unit_length and index.metric != "COSINE" and job.config.neighbors.backend == "milvus":
        raise BadInput(
            f"store.collection = '{milvus.collection}': its vectors are not of length 1, and its index compares them "
            f"by {index.metric}, which ranks them differently than by direction: set neighbors.backend=exact"
        )
    logger.info("store: %s rows of '%s' to cluster", f"{found.rows:,}", milvus.collection)
    stats = {
        **written.stats,
        "uri": milvus.uri,
        "server": milvus.version,
        "collection": settings.collection,
        "filter": settings.filter,
        "rows_of_others": found.others,
        "index": index.kind,
        "metric": index.metric,
    }
    warnings = []
    if found.unusable:
        warnings = [f"{found.unusable:,} rows have no usable vector and are left out"]
    return StageResult(found.rows, found.digest, written.fallbacks, warnings, stats)


def _build_missing_index(job: Job) -> None:
    from job.stages.store_write import index_to_build

    milvus, settings = job.milvus, job.config.store
    if milvus.has_index():
        return
    if settings.index == "auto":
        raise BadInput(
            f"store.collection = '{milvus.collection}' at '{milvus.uri}' has no index on "
            f"'{settings.vector_field}', so it cannot be searched: store.index=FLAT (or IVF_FLAT) makes one"
        )
    milvus.build_index(index_to_build(job, 0))
