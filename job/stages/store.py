"""Store: every distinct headline into Milvus under its own id, then indexed, loaded, counted and compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from job.backends.milvus import LiteError, OtherRowsError, check_place, is_lite, lite_files
from job.backends.milvus.index_kinds import why_unavailable
from job.config import Config
from job.context import COLLECTION, Job, Stage, StageResult
from job.rewrites import discard_lite, owns_lite, rewrites
from job.runtime.errors import BadInput
from job.runtime.log import logger
from job.runtime.markers import Marker
from job.runtime.needs import GIB, Need, Size
from job.runtime.secrets import without_secrets
from job.stages.store_extra import check_extra_fields, extra_digest
from job.stages.store_ids import FILE as IDS_FILE
from job.stages.store_ids import JOURNAL, address, is_list_whole


class StoreStage(Stage):
    """Write this input's headlines, and with `store.scope: collection` read back everything in the collection.

    The ids that this run ever wrote stand in `store_ids.bin` before they are written: headlines that left the input are
    deleted from the collection, and nobody else's rows are. With `store.scope: collection` nothing is ever deleted.
    `store_done.txt` lists the batches that Milvus has acknowledged: they are not written again. A damaged Milvus Lite
    database that is the run's own is made again from the run folder.
    """

    name = "store"
    version = 2
    writes_outside = True

    def key(self, job: Job) -> list[Any]:
        config, fields = job.config, job.config.store.extra_fields
        key = [
            job.output("ingest"),
            job.output("embed"),
            address(config.store.uri),
            config.store.key(),
            config.embed.sparse,
        ]
        if fields and job.has_input:
            key.append(job.once("extra fields", lambda: extra_digest(fields, job.run)))
        again = rewrites(job.run)
        return [*key, {"rewrites": again}] if again else key

    def files(self, job: Job) -> list[str]:
        # its own by its name in the run folder, which may be moved
        database = [address(job.config.store.uri) or Path(job.config.store_uri).name] if job.uses_lite else []
        read_back = ("headlines.parquet", "vectors.npy", "rows.parquet", "input.parquet")
        return database + ([f"{COLLECTION}/{name}" for name in read_back] if job.whole_collection else [])

    def check_offline(self, config: Config) -> str:
        check_index(config)
        check_place(config.store_uri, config.store.tls_ca)
        check_extra_fields(config)
        uri, store = config.store_uri, config.store
        place = f"Milvus Lite in '{lite_files.place(uri)}'" if is_lite(uri) else f"Milvus at {without_secrets(uri)}"
        extra = f", with the columns {', '.join(store.extra_fields)}" if store.extra_fields else ""
        return f"{place}, collection '{store.collection}', index {store.index}{extra}"

    def check(self, job: Job) -> None:
        super().check(job)
        if job.ranks.rank:
            return
        if job.whole_collection:
            with _advised(job):
                job.milvus.adopt(writes=job.has_input)
        if job.run.marker("neighbors") is None and not job.uses_lite:
            # this connects: a server that does not answer is known before anything is embedded
            milvus = job.milvus
            store = job.config.store
            if store.index != "auto" and job.run.marker("store") is None:
                from job.backends.milvus.index_choice import require

                require(milvus.connection, store.index, store.metric, job.config.index_top_k)

    def up_to_date(self, job: Job) -> Marker | None:
        marker = super().up_to_date(job)
        if marker is not None and job.has_input and not job.whole_collection and not is_list_whole(job.run):
            said = "store: '%s' is lost or damaged: writing it again"
            job.once(said, lambda: logger.warning(said, job.run.file(IDS_FILE)))
            return None
        return marker

    def is_volatile(self, job: Job) -> bool:
        # other programs write to the collection too
        return job.whole_collection

    def need(self, job: Job, size: Size) -> Need:
        # while a collection that was read back is put in order, its vectors are there twice
        scratch = 2 * size.floats if job.whole_collection else 0
        if not job.uses_lite:
            return Need(
                memory=size.held_with_milvus + 2 * size.text + size.vectors,
                disk=8 * size.headlines,
                scratch=scratch,
                loops=1 + 4e-4 * size.headlines,
                remedy="run it on a machine with more memory",
            )
        return Need(
            memory=0.7 * GIB + min(13 * size.floats, GIB + 3.2 * size.floats),
            disk=1.5 * size.floats + 0.8 * size.text + 8 * size.headlines,
            scratch=scratch,
            loops=0.32 + 4.2e-5 * size.headlines + 9e-8 * size.floats,
            remedy="set store.uri to a Milvus server, which holds the vectors itself",
        )

    def run(self, job: Job) -> StageResult:
        with _advised(job):
            result = self._write(job) if job.has_input else StageResult(0)
            if job.whole_collection:
                result = self._read_all_back(job, result)
        return replace(result, stats={**result.stats, "rewrites": rewrites(job.run)})

    def _read_all_back(self, job: Job, written: StageResult) -> StageResult:
        """As `_read_back`; rows of this input that are not there, since another program removed them, are written
        again once."""
        from job.backends.milvus.search import AlteredRowsError

        try:
            return _read_back(job, written)
        except AlteredRowsError as error:
            logger.warning("%s: all rows are written again", error)
        job.run.file(JOURNAL).unlink(missing_ok=True)
        return _read_back(job, self._write(job))

    def _write(self, job: Job) -> StageResult:
        from job.backends.milvus.search import AlteredRowsError
        from job.stages.store_write import write_headlines

        try:
            return write_headlines(job, self.digest(job))
        except (LiteError, OtherRowsError, AlteredRowsError) as error:
            if not owns_lite(job):
                raise
            discard_lite(job, error.what if isinstance(error, OtherRowsError) else str(error))
        return write_headlines(job, self.digest(job))


@contextmanager
def _advised(job: Job) -> Iterator[None]:
    """Say what to do where Milvus Lite fails with a database that this run may not remove."""
    try:
        yield
    except LiteError as error:
        if owns_lite(job):
            raise
        raise LiteError(
            f"{error}. If the database is damaged, put back a copy of it, or move it away: the same command then makes "
            "it anew from this input. Nothing was removed, since it may hold rows of others"
        ) from None


def check_index(config: Config) -> None:
    """Raise `BadInput` where Milvus's known limits do not allow the index that is asked for. Asks no server."""
    uri, store = config.store_uri, config.store
    if store.index != "auto":
        why = why_unavailable(store.index, store.metric, config.index_top_k, is_lite(uri), "zillizcloud" in uri)
        if why is not None:
            raise BadInput(why)


def _read_back(job: Job, written: StageResult) -> StageResult:
    """Read back everything in the collection that `store.filter` selects, also what other programs wrote.

    Raises:
        BadInput: no such collection, a field is missing, nothing is selected, or its vectors cannot be compared.
        AlteredRowsError: it lacks rows of this input.
    """
    from job.backends.milvus.index_choice import index_advice
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
    advice = None
    if job.config.neighbors.backend == "milvus":
        advice = index_advice(milvus.connection, settings.index, index, found.rows)
    warnings = [advice] if advice else []
    if found.unusable:
        warnings.append(f"{found.unusable:,} rows have no usable vector and are left out")
    wanted = job.config.input.time
    if found.untimed and (wanted if wanted != "auto" else job.run.stats("ingest").get("time")):
        warnings.append(
            f"{found.untimed:,} rows of the collection that are not of this input have no publication time: it is kept "
            "for the next runs where store.extra_fields has the column of input.time"
        )
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
