"""Reads one collection: its schema, its index, its rows and vectors, and its answers to searches."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from job.backends.milvus import messages
from job.backends.milvus.connection import CALL_SECONDS, QUICK_SECONDS, Connection
from job.backends.milvus.errors import is_about_filter, is_not_loaded, is_too_large, one_line
from job.backends.milvus.index_kinds import Index, SearchEffort
from job.backends.milvus.schema import SPARSE, CollectionSchema, Fields, read_schema
from job.data import Floats, Ids
from job.runtime import signals
from job.runtime.errors import BadInput, JobError
from job.runtime.log import logger

# of the queries or of the hits in one message: below the server's 64 MiB, and large enough for full speed
_MESSAGE_BYTES = 16 * 2**20
# id, score and output field of a hit
_HIT_BYTES = 24
_SERVER_QUERIES, _LITE_QUERIES = 4_096, 1_024
_LITE_L2_BYTES = 256 * 2**20
# in a request for rows by their ids: a server takes some 0.4 s for each, however few it has
_IDS_AT_ONCE, _VECTORS_AT_ONCE = 10_000, 1_000


class CollectionReader:
    """One collection of (id INT64, embedding FLOAT_VECTOR, text VARCHAR), whatever the names of the fields."""

    def __init__(
        self, uri: str, token: str | None, collection: str, fields: Fields | None = None, **connection: Any
    ) -> None:
        """Connect; `connection`: further arguments of `Connection`, whose errors are raised here too."""
        self.connection = Connection(uri, token, **connection)
        self.uri, self.version, self.lite = self.connection.uri, self.connection.version, self.connection.lite
        fields = fields or Fields()
        self.collection, self.fields = collection, fields if self.connection.has_sparse else replace(fields, sparse="")
        self._client = self.connection.client
        self._was_released = False
        # Lite reads its files when it is first asked
        self._about = {"timeout": CALL_SECONDS if self.lite else QUICK_SECONDS}

    def close(self) -> None:
        """Close the connection, and release a Lite file's lock."""
        self.connection.close()

    def _call(self, operation: str, action: Callable[[], Any]) -> Any:
        return self.connection.call(f"{operation} in collection '{self.collection}'", action)

    def _call_loaded(self, operation: str, action: Callable[[], Any]) -> Any:
        """As `_call`, of a call that needs the collection loaded: where another program has released it, it is loaded
        again."""

        def attempt() -> Any:
            try:
                return action()
            except Exception as error:  # pymilvus and gRPC raise unrelated types
                if not is_not_loaded(error):
                    raise
                if not self._was_released:
                    logger.warning("milvus: another program released '%s': loading it again", self.collection)
                    self._was_released = True
                self._client.load_collection(self.collection, timeout=CALL_SECONDS)
                return action()

        return self._call(operation, attempt)

    @cached_property
    def _uses_arrays(self) -> bool:
        return messages.arrays_supported(self.connection)

    @cached_property
    def schema(self) -> CollectionSchema:
        """The collection's schema, read once."""
        describe = self._client.describe_collection
        description = self._call("reading the schema", lambda: describe(self.collection, **self._about))
        return read_schema(description, self.fields)

    def exists(self) -> bool:
        return bool(self._call("looking it up", lambda: self._client.has_collection(self.collection, **self._about)))

    @property
    def has_sparse(self) -> bool:
        """Whether this collection has a field for the lexical weights."""
        return bool(self.fields.sparse) and self.schema.types.get(self.fields.sparse) == SPARSE

    def has_index(self) -> bool:
        """Whether the vectors have an index."""
        return bool(self._indexes_on(self.fields.vector))

    def _indexes_on(self, field: str) -> list[str]:
        list_indexes = self._client.list_indexes
        names: list[str] = self._call(
            "listing indexes", lambda: list_indexes(self.collection, field_name=field, **self._about)
        )
        return names

    def _describe_index(self, field: str) -> Any:
        """A dict of the index's settings, state and rows; None where the field has none."""
        describe = self._client.describe_index
        return self._call("describing the index", lambda: describe(self.collection, field, **self._about))

    def index(self) -> Index:
        """The index of the vectors, as the server describes it."""
        description = self._describe_index(self.fields.vector)
        inner = description.get("params") if isinstance(description.get("params"), dict) else {}
        kind, metric = str(description["index_type"]), str(description["metric_type"])
        return Index(kind, metric, {**description, **inner}, "it already exists")

    def count(self, filter: str = "") -> int:
        """All rows, or those that `filter` selects, fresh ones included. The collection must be loaded.

        Raises:
            BadInput: Milvus does not understand the filter.
        """
        from pymilvus.exceptions import MilvusException

        def query() -> list[dict[str, Any]]:
            try:
                answer: list[dict[str, Any]] = self._client.query(
                    self.collection,
                    filter=filter,
                    output_fields=["count(*)"],
                    consistency_level="Strong",
                    timeout=CALL_SECONDS,
                )
            except MilvusException as error:
                if filter and is_about_filter(error):
                    raise BadInput(
                        f"store.filter = '{filter}': {self.version} does not understand it: "
                        f'{one_line(error).rpartition("=> ")[2]}; texts stand in quotes, as in source == "BBC"'
                    ) from None
                raise
            return answer

        return int(self._call_loaded("counting rows", query)[0]["count(*)"])

    def has_rows(self) -> bool:
        """Whether any row was ever written. The collection need not be loaded."""
        return self.rows_written() > 0

    def rows_written(self) -> int:
        """How many rows there are by the server's statistics, with some that were removed. The collection need not be
        loaded."""
        read = self._client.get_collection_stats
        stats = self._call("reading statistics", lambda: read(self.collection, **self._about))
        return int(stats["row_count"])

    def rows(self, columns: list[str], filter: str = "", batch: int = 10_000) -> Iterator[list[dict[str, Any]]]:
        """Batches of rows with these columns, ascending by id. The collection must be loaded.

        If the server becomes unavailable, the iterator waits for it and continues after the last id that it returned.
        Where a batch is too large for a message, the further ones have half its rows.
        """
        last: int | None = None
        while True:
            after_last = "" if last is None else f"{self.fields.id} > {last}"
            both = f"({filter}) and {after_last}" if filter and after_last else filter or after_last

            def open_iterator(both: str = both, batch: int = batch) -> tuple[Any, list[dict[str, Any]]]:
                iterator = self._client.query_iterator(
                    self.collection, batch_size=batch, filter=both, output_fields=columns, timeout=CALL_SECONDS
                )
                return iterator, iterator.next()

            try:
                iterator, found = self._call_loaded("reading rows", open_iterator)
            except JobError as error:
                if batch == 1 or not is_too_large(error):
                    raise
                batch //= 2
                logger.info("milvus: %d rows are too large for one message: reading %d at once", 2 * batch, batch)
                continue
            while found:
                yield found
                last = found[-1][self.fields.id]
                try:
                    found = iterator.next()
                except Exception as error:  # opening a new iterator raises what is wrong, or waits for the server
                    signals.check()
                    logger.warning("milvus: reading stopped (%s): continuing after id %d", one_line(error), last)
                    break
            else:
                iterator.close()
                return

    def ids(self) -> Ids:
        """All ids in the collection, ascending. The collection must be loaded."""
        found = [[row[self.fields.id] for row in batch] for batch in self.rows([self.fields.id])]
        return np.unique(np.array([id for batch in found for id in batch], np.int64))

    def vectors(self, ids: Ids) -> dict[int, Floats]:
        """The stored vectors of these ids; ids that do not exist are left out. The collection must be loaded."""
        size = max(1, min(_VECTORS_AT_ONCE, _MESSAGE_BYTES // (4 * max(1, self.schema.dim))))
        return {
            int(row[self.fields.id]): np.asarray(row[self.fields.vector], np.float32)
            for row in self._rows_of(ids, [self.fields.id, self.fields.vector], size)
        }

    def existing(self, ids: Ids) -> Ids:
        """Those of these ids that are in the collection, ascending. The collection must be loaded."""
        found = [int(row[self.fields.id]) for row in self._rows_of(ids, [self.fields.id], _IDS_AT_ONCE)]
        return np.unique(np.array(found, np.int64))

    def _rows_of(self, ids: Ids, columns: list[str], size: int) -> Iterator[dict[str, Any]]:
        """The rows of these ids, `size` of them per request; ids that do not exist are left out."""
        for start in range(0, len(ids), size):
            some = ids[start : start + size].tolist()

            def query(some: list[int] = some) -> list[dict[str, Any]]:
                rows: list[dict[str, Any]] = self._client.query(
                    self.collection,
                    filter=f"{self.fields.id} in {some}",
                    output_fields=columns,
                    consistency_level="Strong",
                    timeout=CALL_SECONDS,
                )
                return rows

            yield from self._call_loaded("reading rows by id", query)

    def queries_at_once(self, asked: int | None, metric: str, rows: int, dim: int, hits: int) -> int:
        """Queries per request, each with so many hits: `asked`, or as many as are fast, limited by the message size and
        by Lite's L2 search.

        Lite's L2 search allocates queries x rows x dim floats.
        """
        size = asked or (_LITE_QUERIES if self.lite else _SERVER_QUERIES)
        if self.lite and metric == "L2":
            size = int(np.clip(_LITE_L2_BYTES // (4 * rows * dim), 1, size))
        return max(1, min(size, _MESSAGE_BYTES // max(4 * dim, _HIT_BYTES * hits)))

    def search(
        self, queries: Floats, k: int, metric: str, effort: SearchEffort, filter: str = ""
    ) -> tuple[Ids, Floats]:
        """Ids int64 [nq, k] of each query's nearest rows and the index's scores float32 [nq, k]; -1 and nan where
        there are fewer."""
        options = {"search_params": {"metric_type": metric, "params": effort.params}, "filter": filter}
        send = messages.search if self._uses_arrays else messages.search_public

        def search() -> tuple[Ids, Floats]:
            return send(self.connection, self.collection, self.fields, queries, k, options)

        found: tuple[Ids, Floats] = self._call_loaded("searching", search)
        return found
