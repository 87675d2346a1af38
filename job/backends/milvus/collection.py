"""What the stages use: write, index, search and read one collection."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from job.backends.milvus import messages
from job.backends.milvus.connection import CALL_SECONDS, Connection, brief
from job.backends.milvus.index_kinds import Effort, Index
from job.backends.milvus.schema import (
    SPARSE,
    Fields,
    Layout,
    our_schema,
    our_text,
    read_layout,
    sparse_alone,
    unfilled,
    unfit,
)
from job.data import Floats, Ids
from job.runtime.errors import BadInput, JobError
from job.runtime.log import logger

# of queries in one request: below the server's 64 MiB a message, and enough to fill it
QUERY_BYTES = 16 * 2**20
_SERVER_QUERIES, _LITE_QUERIES = 4_096, 1_024
_LITE_L2_BYTES = 256 * 2**20
_IDS_AT_ONCE = 1_000


class Milvus:
    """One collection of (id INT64, embedding FLOAT_VECTOR, text VARCHAR), under whatever names."""

    def __init__(
        self, uri: str, token: str | None, collection: str, fields: Fields | None = None, **connection: Any
    ) -> None:
        """Connect; `connection`: further arguments of `Connection`, and its errors."""
        self.connection = Connection(uri, token, **connection)
        self.uri, self.version, self.lite = self.connection.uri, self.connection.version, self.connection.lite
        fields = fields or Fields()
        self.collection, self.fields = collection, fields if self.connection.has_sparse else replace(fields, sparse="")
        self._client = self.connection.client

    def close(self) -> None:
        """Let go of the connection, and of a Lite file's lock."""
        self.connection.close()

    def _call(self, what: str, action: Callable[[], Any]) -> Any:
        return self.connection.call(f"{what} in collection '{self.collection}'", action)

    @cached_property
    def _fast(self) -> bool:
        return messages.usable(self.connection)

    @cached_property
    def layout(self) -> Layout:
        """The collection's schema, as it was first seen."""
        there = self._call("reading the schema", lambda: self._client.describe_collection(self.collection))
        return read_layout(there, self.fields)

    def exists(self) -> bool:
        return bool(self._call("looking it up", lambda: self._client.has_collection(self.collection)))

    def prepare(self, dim: int) -> None:
        """Make the collection, or see that the one there has our schema.

        Raises:
            BadInput: a collection of another dimension or schema; the message names both.
        """
        if not self.exists():
            schema = our_schema(self._client, self.fields, dim)
            self._call(
                "making the collection",
                lambda: self._client.create_collection(self.collection, schema=schema, consistency_level="Strong"),
            )
        ours = our_text(self.fields, dim)
        if self.layout.text != ours:
            way = f"; {said}" if (said := sparse_alone(self.layout, self.fields, dim)) else ":"
            raise BadInput(
                f"store.collection = '{self.collection}' at '{self.uri}' is there already, with ({self.layout.text}); "
                f"this run needs ({ours}){way} set store.collection to another name"
            )

    def adopt(self, dim: int | None = None, writes: bool = False) -> None:
        """See that a collection of whatever origin can be clustered; with `writes`, that this run's rows fit too.

        With `dim` a collection that is not there is made.

        Raises:
            BadInput: it is not there, lacks a field, or cannot take this run's rows.
        """
        where = f"store.collection = '{self.collection}' at '{self.uri}'"
        if not self.exists():
            if dim is not None:
                self.prepare(dim)
            elif not writes:
                raise BadInput(f"{where}: no such collection; name the one to cluster, or give input.path")
            return
        why = unfit(self.layout, self.fields)
        if why is None and writes and self.layout.auto_id:
            why = "it makes its own ids (auto_id), so no row can be put there twice without being there twice: "
            why += "cluster it without an input, or set store.collection to another name"
        if why is None and dim not in (None, self.layout.dim):
            why = f"its vectors have {self.layout.dim} dimensions, embed.model gives {dim}"
        if why is None and writes:
            why = unfilled(self.layout, self.fields)
        if why is not None:
            raise BadInput(f"{where}: {why}")

    def drop(self) -> None:
        """Take the collection away, with all that is in it."""
        self._call("dropping", lambda: self._client.drop_collection(self.collection, timeout=CALL_SECONDS))
        self.__dict__.pop("layout", None)

    def load(self) -> None:
        """Make the collection searchable; a Lite index left torn by a kill is built anew."""

        def load() -> None:
            self._client.load_collection(self.collection, timeout=CALL_SECONDS)

        try:
            self._call("loading", load)
        except JobError as error:
            if not self.lite:
                raise
            logger.warning("store: the index does not load (%s): building it anew", brief(error))
            kept = self.index()
            self._client.drop_index(self.collection, self.fields.vector)
            self._create_index(Index(kept.kind, kept.metric, {}, ""))
            self._call("loading", load)

    def has_index(self) -> bool:
        """Whether the vectors have an index."""
        return bool(self._indexes_on(self.fields.vector))

    def _indexes_on(self, field: str) -> list[str]:
        list_them = self._client.list_indexes
        found: list[str] = self._call("listing indexes", lambda: list_them(self.collection, field_name=field))
        return found

    def count(self, filter: str = "") -> int:
        """Rows in the collection, or those that `filter` selects, fresh ones included. It must be loaded."""

        def count() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = self._client.query(
                self.collection,
                filter=filter,
                output_fields=["count(*)"],
                consistency_level="Strong",
                timeout=CALL_SECONDS,
            )
            return found

        return int(self._call("counting rows", count)[0]["count(*)"])

    def has_rows(self) -> bool:
        """Whether anything was ever written, by the server's own statistics; it need not be loaded."""
        stats = self._call("reading statistics", lambda: self._client.get_collection_stats(self.collection))
        return int(stats["row_count"]) > 0

    def rows(self, columns: list[str], filter: str = "", batch: int = 10_000) -> Iterator[list[dict[str, Any]]]:
        """Batches of rows with these columns, ascending by id. It must be loaded.

        A server that goes away is waited for; the iterator goes on behind the last id that it gave.
        """
        last: int | None = None
        while True:
            beyond = "" if last is None else f"{self.fields.id} > {last}"
            both = f"({filter}) and {beyond}" if filter and beyond else filter or beyond

            def first(both: str = both) -> tuple[Any, list[dict[str, Any]]]:
                iterator = self._client.query_iterator(
                    self.collection, batch_size=batch, filter=both, output_fields=columns, timeout=CALL_SECONDS
                )
                return iterator, iterator.next()

            iterator, found = self._call("reading rows", first)
            while found:
                yield found
                last = found[-1][self.fields.id]
                try:
                    found = iterator.next()
                except Exception as error:  # a broken iterator is opened anew; what is wrong shows there
                    logger.warning("milvus: reading broke off (%s): going on behind id %d", brief(error), last)
                    break
            else:
                iterator.close()
                return

    def ids(self) -> Ids:
        """All ids in the collection, ascending. It must be loaded."""
        found = [[row[self.fields.id] for row in batch] for batch in self.rows([self.fields.id])]
        return np.unique(np.array([id for batch in found for id in batch], np.int64))

    def vectors(self, ids: Ids) -> dict[int, Floats]:
        """The stored vectors of these ids; what is not there is left out. It must be loaded."""
        found: dict[int, Floats] = {}
        for start in range(0, len(ids), _IDS_AT_ONCE):
            some = ids[start : start + _IDS_AT_ONCE].tolist()

            def get(some: list[int] = some) -> list[dict[str, Any]]:
                rows: list[dict[str, Any]] = self._client.query(
                    self.collection,
                    filter=f"{self.fields.id} in {some}",
                    output_fields=[self.fields.id, self.fields.vector],
                    consistency_level="Strong",
                    timeout=CALL_SECONDS,
                )
                return rows

            for row in self._call("reading vectors", get):
                found[int(row[self.fields.id])] = np.asarray(row[self.fields.vector], np.float32)
        return found

    def upsert(self, rows: messages.Rows) -> None:
        """Write rows; a row of the same id is replaced. Texts are cut for Milvus by `fit_text` beforehand."""
        ours = {self.fields.id, self.fields.vector, self.fields.text}
        fast = self._fast and set(self.layout.types) == ours and self.layout.dynamic == bool(self.fields.extra)

        def write() -> None:
            if fast:
                messages.upsert(self.connection, self.collection, self.fields, self.layout.timestamp, rows)
            else:
                self._client.upsert(self.collection, rows.as_dicts(self.fields), timeout=CALL_SECONDS)

        self._call("writing", write)

    def delete(self, ids: Ids) -> None:
        """Take rows away by id."""
        for start in range(0, len(ids), 5_000):
            some = ids[start : start + 5_000].tolist()

            def delete(some: list[int] = some) -> None:
                self._client.delete(self.collection, ids=some, timeout=CALL_SECONDS)

            self._call("deleting", delete)

    def flush(self) -> None:
        """Make what was written sealed segments: unflushed rows are searched many times slower."""
        self._call("flushing", lambda: self._client.flush(self.collection, timeout=CALL_SECONDS))

    def build_index(self, index: Index) -> None:
        """Flush, index the vectors, load. An index of another kind or metric is replaced."""
        self.flush()
        if self.has_index():
            there = self.index()
            if (there.kind, there.metric) != (index.kind, index.metric):
                self._call("releasing", lambda: self._client.release_collection(self.collection))
                self._call("dropping the index", lambda: self._client.drop_index(self.collection, self.fields.vector))
        # first, so that a run killed between the two can load what it finds
        if self.has_sparse:
            self._index_sparse()
        if not self.has_index():
            self._create_index(index)
        self.load()

    @property
    def has_sparse(self) -> bool:
        """Whether this collection keeps lexical weights."""
        return bool(self.fields.sparse) and self.layout.types.get(self.fields.sparse) == SPARSE

    def _index_sparse(self) -> None:
        name = self.fields.sparse
        if not self._indexes_on(name):
            self._create(name, "SPARSE_INVERTED_INDEX", "IP", {})

    def _create_index(self, index: Index) -> None:
        # milvus-lite reads the settings only from the inner "params", a server from either
        self._create(self.fields.vector, index.kind, index.metric, {**index.build, "params": index.build})

    def _create(self, field: str, kind: str, metric: str, settings: dict[str, Any]) -> None:
        parameters = self._client.prepare_index_params()
        parameters.add_index(field, index_type=kind, metric_type=metric, params=settings)

        def create() -> None:
            # pymilvus looks every half second whether it is built: Lite has built it when it answers
            self._client.create_index(self.collection, parameters, timeout=CALL_SECONDS, sync=not self.lite)

        self._call(f"building the {kind} index", create)

    def index(self) -> Index:
        """The index, as the server says."""
        there = self._call(
            "describing the index", lambda: self._client.describe_index(self.collection, self.fields.vector)
        )
        inner = there.get("params") if isinstance(there.get("params"), dict) else {}
        return Index(str(there["index_type"]), str(there["metric_type"]), {**there, **inner}, "it is there")

    def queries_at_once(self, asked: int | None, metric: str, rows: int, dim: int) -> int:
        """Queries a search: as asked or as many as pay, bounded by the message and by Lite's L2 scan.

        That scan allocates queries x rows x dim floats.
        """
        size = asked or (_LITE_QUERIES if self.lite else _SERVER_QUERIES)
        if self.lite and metric == "L2":
            return int(np.clip(_LITE_L2_BYTES // (4 * rows * dim), 1, size))
        return max(1, min(size, QUERY_BYTES // (4 * dim)))

    def search(self, queries: Floats, k: int, metric: str, effort: Effort, filter: str = "") -> tuple[Ids, Floats]:
        """Ids int64 [nq, k] of each query's nearest rows, -1 where there are fewer, and the index's scores."""
        how = {"search_params": {"metric_type": metric, "params": effort.params}, "filter": filter}
        way = messages.search if self._fast else messages.search_public

        def search() -> tuple[Ids, Floats]:
            return way(self.connection, self.collection, self.fields, queries, k, how)

        found: tuple[Ids, Floats] = self._call("searching", search)
        return found
