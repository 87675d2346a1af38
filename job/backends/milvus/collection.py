"""`Milvus`, what the stages use: creates, writes, indexes and loads one collection, and reads it (`reader`)."""

import shutil
import time
from pathlib import Path
from typing import Any

from job.backends.milvus import messages
from job.backends.milvus.connection import CALL_SECONDS, pause
from job.backends.milvus.errors import LiteError, one_line
from job.backends.milvus.index_kinds import Index
from job.backends.milvus.reader import CollectionReader
from job.backends.milvus.schema import make_schema, schema_text, sparse_field_advice, why_not_fillable, why_not_readable
from job.data import Ids
from job.runtime.errors import BadInput, JobError
from job.runtime.log import logger
from job.runtime.progress import LINE_EVERY

_DELETED_AT_ONCE = 5_000
# rows count as indexed when their whole segment is, of some 250,000 rows: that takes minutes on a few cores
_SEGMENT_SECONDS = 3_600.0
_FIRST_LOOK, _LONGEST_LOOK = 0.1, 2.0


class OtherRowsError(BadInput):
    """The collection is not this run's: it has another schema, or rows of others. `what`: without the advice."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what}{advice}")
        self.what = what


class Milvus(CollectionReader):
    """One collection, to read and to write."""

    def prepare(self, dim: int) -> None:
        """Create the collection, or check that the existing one has our schema.

        Raises:
            OtherRowsError: it has another dimension or schema; the message shows both.
        """
        if not self.exists():
            self._clear_half_made()
            # of one that was dropped
            self.__dict__.pop("schema", None)
            schema = make_schema(self._client, self.fields, dim)
            settings = {"schema": schema, "consistency_level": "Strong", "timeout": CALL_SECONDS}
            self._call("creating the collection", lambda: self._client.create_collection(self.collection, **settings))
        ours = schema_text(self.fields, dim)
        if self.schema.text != ours:
            advice = sparse_field_advice(self.schema, self.fields, dim)
            separator = f"; {advice}" if advice else ":"
            raise OtherRowsError(
                f"store.collection = '{self.collection}' at '{self.uri}' already exists with the schema "
                f"({self.schema.text}); this run needs ({ours})",
                f"{separator} set store.collection to another name",
            )

    def _clear_half_made(self) -> None:
        """Remove what a process left that was killed while Milvus Lite created the collection: a folder without a
        schema, which Lite neither lists nor creates again."""
        folder = Path(self.uri) / "collections" / self.collection
        if (
            self.lite
            and folder.is_dir()
            and not (folder / "schema.json").exists()
            and not any(folder.rglob("*.parquet"))
        ):
            logger.warning("store: removing the half-made collection %s", folder)
            shutil.rmtree(folder)

    def adopt(self, dim: int | None = None, writes: bool = False) -> None:
        """Check that any program's collection can be clustered and, with `writes`, that this run can write to it.

        With `dim`, a missing collection is created.

        Raises:
            BadInput: the collection is missing, lacks a field, or cannot take this run's rows.
        """
        where = f"store.collection = '{self.collection}' at '{self.uri}'"
        if not self.exists():
            if dim is not None:
                self.prepare(dim)
            elif not writes:
                raise BadInput(f"{where}: no such collection; set the one to cluster, or give input.path")
            return
        why = why_not_readable(self.schema, self.fields)
        if why is None and writes and self.schema.auto_id:
            why = (
                "it generates its own ids (auto_id), so a row that is written twice would be stored twice: cluster it "
                "without an input, or set store.collection to another name"
            )
        if why is None and dim is not None and dim != self.schema.dim:
            why = f"its vectors have {self.schema.dim} dimensions, those of embed.model have {dim}"
        if why is None and writes:
            why = why_not_fillable(self.schema, self.fields)
        if why is not None:
            raise BadInput(f"{where}: {why}")

    def load(self) -> None:
        """Make the collection searchable; a Lite index that a killed process left damaged is rebuilt."""

        def load() -> None:
            self._client.load_collection(self.collection, timeout=CALL_SECONDS)

        try:
            self._call("loading", load)
        except LiteError as error:
            logger.warning("store: the index does not load (%s): rebuilding it", one_line(error))
            damaged = self.index()
            self._drop_index()
            self._create_index(Index(damaged.kind, damaged.metric, {}, ""))
            self._call("loading", load)

    def upsert(self, rows: messages.RowBatch) -> None:
        """Write rows; a row with the same id is replaced. The texts must have been cut by `fit_text`."""
        ours = {self.fields.id, self.fields.vector, self.fields.text}
        has_our_fields = set(self.schema.types) == ours and self.schema.dynamic == bool(self.fields.extra)
        as_arrays = self._uses_arrays and has_our_fields

        def write() -> None:
            if as_arrays:
                messages.upsert(self.connection, self.collection, self.fields, self.schema.timestamp, rows)
            else:
                self._client.upsert(self.collection, rows.as_dicts(self.fields), timeout=CALL_SECONDS)

        self._call("writing", write)

    def delete(self, ids: Ids) -> None:
        """Delete the rows with these ids."""
        for start in range(0, len(ids), _DELETED_AT_ONCE):
            some = ids[start : start + _DELETED_AT_ONCE].tolist()

            def delete(some: list[int] = some) -> None:
                self._client.delete(self.collection, ids=some, timeout=CALL_SECONDS)

            self._call("deleting", delete)

    def flush(self) -> None:
        """Seal the segments that were written: searching unflushed rows takes many times longer."""
        self._call("flushing", lambda: self._client.flush(self.collection, timeout=CALL_SECONDS))

    def build_index(self, index: Index) -> None:
        """Flush, index the vectors, load. An index of another kind or metric is replaced."""
        self.flush()
        if self.has_index():
            existing = self.index()
            if (existing.kind, existing.metric) != (index.kind, index.metric):
                self._call("releasing", lambda: self._client.release_collection(self.collection, **self._about))
                self._drop_index()
        # before the vectors, so that a collection whose vectors have an index can always be loaded
        if self.has_sparse and not self._indexes_on(self.fields.sparse):
            self._create(self.fields.sparse, "SPARSE_INVERTED_INDEX", "IP", {})
        if not self.has_index():
            self._create_index(index)
        if not self.lite:
            if self.has_sparse:
                self._wait_until_indexed(self.fields.sparse)
            self._wait_until_indexed(self.fields.vector)
        self.load()

    def _drop_index(self) -> None:
        drop, field = self._client.drop_index, self.fields.vector
        self._call("dropping the index", lambda: drop(self.collection, field, **self._about))

    def _create_index(self, index: Index) -> None:
        # milvus-lite reads the settings only from the inner "params", a server from either
        self._create(self.fields.vector, index.kind, index.metric, {**index.build, "params": index.build})

    def _create(self, field: str, kind: str, metric: str, settings: dict[str, Any]) -> None:
        parameters = self._client.prepare_index_params()
        parameters.add_index(field, index_type=kind, metric_type=metric, params=settings)

        def create() -> None:
            # Lite builds it within the call; for a server pymilvus would wait without a word, and not longer than this
            self._client.create_index(self.collection, parameters, timeout=CALL_SECONDS, sync=False)

        self._call(f"building the {kind} index", create)

    def _wait_until_indexed(self, field: str) -> None:
        """Wait until the server has built the index of a field, for as long as it makes progress.

        Raises:
            JobError: it cannot build it, or has indexed no row for an hour.
            Resumable: a stop signal came; the server goes on, and the same command waits for it again.
        """
        start = last_line = last_rows = time.monotonic()
        rows, wait = 0, _FIRST_LOOK
        while True:
            # a server may leave the state out; without an index, which another program dropped, loading fails
            found = self._describe_index(field) or {}
            state, now = found.get("state", "Finished"), time.monotonic()
            if state == "Finished":
                return
            if found["indexed_rows"] != rows:
                rows, last_rows = found["indexed_rows"], now
            so_far = f"{rows:,} of {found['total_rows']:,} rows after {now - start:,.0f} s"
            if state == "Failed" or now - last_rows > _SEGMENT_SECONDS:
                why = "failed" if state == "Failed" else f"has made no progress for {_SEGMENT_SECONDS:,.0f} s"
                raise JobError(
                    f"store.uri = '{self.uri}': building the {found['index_type']} index in collection "
                    f"'{self.collection}' {why}, at {so_far}: the server's log says why; or try another store.index"
                )
            if now - last_line >= LINE_EVERY:
                last_line = now
                logger.info("store: the server builds the %s index: %s", found["index_type"], so_far)
            pause(wait)
            wait = min(2 * wait, _LONGEST_LOOK)
