"""Reads one collection: its schema, its index, its rows and vectors, and its answers to searches."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from job.backends.milvus import messages
from job.backends.milvus.connection import CALL_SECONDS, Connection
from job.backends.milvus.errors import one_line
from job.backends.milvus.index_kinds import Index, SearchEffort
from job.backends.milvus.schema import SPARSE, CollectionSchema, Fields, read_schema
from job.data import Floats, Ids
from job.runtime import signals
from job.runtime.log import logger

# of the queries in one request: below the server's 64 MiB per message, and large enough for full speed
_QUERY_BYTES = 16 * 2**20
_SERVER_QUERIES, _LITE_QUERIES = 4_096, 1_024
_LITE_L2_BYTES = 256 * 2**20
_IDS_AT_ONCE = 1_000


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

    def close(self) -> None:
        """Close the connection, and release a Lite file's lock."""
        self.connection.close()

    def _call(self, operation: str, action: Callable[[], Any]) -> Any:
        return self.connection.call(f"{operation} in collection '{self.collection}'", action)

    @cached_property
    def _uses_arrays(self) -> bool:
        return messages.arrays_supported(self.connection)

    @cached_property
    def schema(self) -> CollectionSchema:
        """The collection's schema, read once."""
        description = self._call("reading the schema", lambda: self._client.describe_collection(self.collection))
        return read_schema(description, self.fields)

    def exists(self) -> bool:
        return bool(self._call("looking it up", lambda: self._client.has_collection(self.collection)))

    @property
    def has_sparse(self) -> bool:
        """Whether this collection has a field for the lexical weights."""
        return bool(self.fields.sparse) and self.schema.types.get(self.fields.sparse) == SPARSE

    def has_index(self) -> bool:
        """Whether the vectors have an index."""
        return bool(self._indexes_on(self.fields.vector))

    def _indexes_on(self, field: str) -> list[str]:
        list_indexes = self._client.list_indexes
        names: list[str] = self._call("listing indexes", lambda: list_indexes(self.collection, field_name=field))
        return names

    def _describe_index(self, field: str) -> Any:
        """A dict of the index's settings, state and rows; None where the field has none."""
        return self._call("describing the index", lambda: self._client.describe_index(self.collection, field))

    def index(self) -> Index:
        """The index of the vectors, as the server describes it."""
        description = self._describe_index(self.fields.vector)
        inner = description.get("params") if isinstance(description.get("params"), dict) else {}
        kind, metric = str(description["index_type"]), str(description["metric_type"])
        return Index(kind, metric, {**description, **inner}, "it already exists")

    def count(self, filter: str = "") -> int:
        """All rows, or those that `filter` selects, fresh ones included. The collection must be loaded."""

        def query() -> list[dict[str, Any]]:
            answer: list[dict[str, Any]] = self._client.query(
                self.collection,
                filter=filter,
                output_fields=["count(*)"],
                consistency_level="Strong",
                timeout=CALL_SECONDS,
            )
            return answer

        return int(self._call("counting rows", query)[0]["count(*)"])

    def has_rows(self) -> bool:
        """Whether any row was ever written, by the server's statistics. The collection need not be loaded."""
        stats = self._call("reading statistics", lambda: self._client.get_collection_stats(self.collection))
        return int(stats["row_count"]) > 0

    def rows(self, columns: list[str], filter: str = "", batch: int = 10_000) -> Iterator[list[dict[str, Any]]]:
        """Batches of rows with these columns, ascending by id. The collection must be loaded.

        If the server becomes unavailable, the iterator waits for it and continues after the last id that it returned.
        """
        last: int | None = None
        while True:
            after_last = "" if last is None else f"{self.fields.id} > {last}"
            both = f"({filter}) and {after_last}" if filter and after_last else filter or after_last

            def open_iterator(both: str = both) -> tuple[Any, list[dict[str, Any]]]:
                iterator = self._client.query_iterator(
                    self.collection, batch_size=batch, filter=both, output_fields=columns, timeout=CALL_SECONDS
                )
                return iterator, iterator.next()

            iterator, found = self._call("reading rows", open_iterator)
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
        found: dict[int, Floats] = {}
        for start in range(0, len(ids), _IDS_AT_ONCE):
            some = ids[start : start + _IDS_AT_ONCE].tolist()

            def query(some: list[int] = some) -> list[dict[str, Any]]:
                rows: list[dict[str, Any]] = self._client.query(
                    self.collection,
                    filter=f"{self.fields.id} in {some}",
                    output_fields=[self.fields.id, self.fields.vector],
                    consistency_level="Strong",
                    timeout=CALL_SECONDS,
                )
                return rows

            for row in self._call("reading vectors", query):
                found[int(row[self.fields.id])] = np.asarray(row[self.fields.vector], np.float32)
        return found

    def queries_at_once(self, asked: int | None, metric: str, rows: int, dim: int) -> int:
        """Queries per request: `asked`, or as many as are fast, limited by the message size and by Lite's L2 search.

        Lite's L2 search allocates queries x rows x dim floats.
        """
        size = asked or (_LITE_QUERIES if self.lite else _SERVER_QUERIES)
        if self.lite and metric == "L2":
            return int(np.clip(_LITE_L2_BYTES // (4 * rows * dim), 1, size))
        return max(1, min(size, _QUERY_BYTES // (4 * dim)))

    def search(
        self, queries: Floats, k: int, metric: str, effort: SearchEffort, filter: str = ""
    ) -> tuple[Ids, Floats]:
        """Ids int64 [nq, k] of each query's nearest rows and the index's scores float32 [nq, k]; -1 and nan where
        there are fewer."""
        options = {"search_params": {"metric_type": metric, "params": effort.params}, "filter": filter}
        send = messages.search if self._uses_arrays else messages.search_public

        def search() -> tuple[Ids, Floats]:
            return send(self.connection, self.collection, self.fields, queries, k, options)

        found: tuple[Ids, Floats] = self._call("searching", search)
        return found
