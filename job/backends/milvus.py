"""Milvus, by `MilvusClient`: a file for Milvus Lite, a server, or Zilliz Cloud, told apart by the uri.

Every call goes through `_calling`, which turns a Milvus or gRPC error into one line with the uri and what to do.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from job.data import Floats, Ids
from job.runtime.device import installed
from job.runtime.errors import BadInput, JobError, Resumable
from job.runtime.log import logger, quiet_libraries
from job.runtime.secrets import without_password

TEXT_BYTES = 65_535
# a server takes messages of up to 64 MiB; smaller ones overlap better
MESSAGE_BYTES = 8 * 2**20
# above this an exact scan of every row for every row takes longer than an index is worth
FLAT_ROWS = 200_000

_CONNECT_SECONDS = 10
_LITE_L2_BYTES = 256 * 2**20
_CALL_SECONDS = 600


class Milvus:
    """One collection of (id INT64, embedding FLOAT_VECTOR, text VARCHAR)."""

    def __init__(self, uri: str, token: str | None, collection: str) -> None:
        """Connect.

        Raises:
            BadInput: nothing answers at the uri, or it refuses the token, or another process holds the file.
        """
        client = _client_class()
        self.uri, self.collection = without_password(uri), collection
        self.lite = is_lite(uri)
        if self.lite:
            Path(uri).expanduser().parent.mkdir(parents=True, exist_ok=True)
            uri = str(Path(uri).expanduser().resolve())
        self._path = uri
        try:
            self._client = client(uri=uri, token=token or "", timeout=_CONNECT_SECONDS)
            server = f"Lite {installed('milvus-lite')}" if self.lite else self._client.get_server_version()
            self.version = f"Milvus {server}"
        except Exception as error:  # pymilvus, gRPC and milvus-lite each raise their own
            raise BadInput(_unreachable(self.uri, self.lite, error)) from None

    def close(self) -> None:
        """Let go of the connection, and of a Lite file's lock."""
        self._client.close()
        if self.lite:
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(self._path)

    @contextmanager
    def _calling(self, what: str) -> Iterator[None]:
        import grpc
        from pymilvus.exceptions import MilvusException

        try:
            yield
        except (MilvusException, grpc.RpcError) as error:
            message = f"store.uri = '{self.uri}', collection '{self.collection}': {what} failed: {_brief(error)}"
            if _is_away(error):
                raise Resumable(
                    f"{message}; what is finished is kept: start the server, then the same command"
                ) from None
            raise JobError(message) from None

    def prepare(self, dim: int) -> None:
        """Make the collection, or see that the one there has our schema.

        Raises:
            BadInput: a collection of another dimension or schema; the message names both.
        """
        from pymilvus import DataType

        with self._calling("making the collection"):
            if not self._client.has_collection(self.collection):
                schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
                schema.add_field("id", DataType.INT64, is_primary=True)
                schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=dim)
                schema.add_field("text", DataType.VARCHAR, max_length=TEXT_BYTES)
                self._client.create_collection(self.collection, schema=schema, consistency_level="Strong")
                return
            there = self._schema_text(self._client.describe_collection(self.collection))
        ours = f"id INT64 primary, embedding FLOAT_VECTOR({dim}), text VARCHAR({TEXT_BYTES})"
        if there != ours:
            raise BadInput(
                f"store.collection = '{self.collection}' at '{self.uri}' is there already, with ({there}); "
                f"this run needs ({ours}): set store.collection to another name"
            )

    @staticmethod
    def _schema_text(description: dict[str, Any]) -> str:
        parts = []
        for field in description["fields"]:
            size = field.get("params", {}).get("dim") or field.get("params", {}).get("max_length")
            primary = " primary" if field.get("is_primary") else ""
            auto = " auto" if field.get("auto_id") else ""
            parts.append(f"{field['name']} {field['type'].name}{f'({size})' if size else ''}{primary}{auto}")
        return ", ".join(parts)

    def load(self) -> None:
        """Make the collection searchable; a Lite index left torn by a kill is built anew."""
        from pymilvus.exceptions import MilvusException

        with self._calling("loading"):
            try:
                self._client.load_collection(self.collection, timeout=_CALL_SECONDS)
            except MilvusException as error:
                if not self.lite:
                    raise
                logger.warning("store: the index does not load (%s): building it anew", _brief(error))
                kept = self._client.describe_index(self.collection, "embedding")
                self._client.drop_index(self.collection, "embedding")
                self._create_index(kept["index_type"], kept["metric_type"])
                self._client.load_collection(self.collection, timeout=_CALL_SECONDS)

    def has_index(self) -> bool:
        """Whether the vectors have an index."""
        with self._calling("listing indexes"):
            return bool(self._client.list_indexes(self.collection))

    def count(self) -> int:
        """Rows in the collection, fresh ones included. It must be loaded."""
        with self._calling("counting rows"):
            rows = self._client.query(
                self.collection,
                filter="",
                output_fields=["count(*)"],
                consistency_level="Strong",
                timeout=_CALL_SECONDS,
            )
            return int(rows[0]["count(*)"])

    def has_rows(self) -> bool:
        """Whether anything was ever written, by the server's own statistics; it need not be loaded."""
        with self._calling("reading statistics"):
            return int(self._client.get_collection_stats(self.collection)["row_count"]) > 0

    def ids(self) -> Ids:
        """All ids in the collection, ascending. It must be loaded."""
        found: list[int] = []
        with self._calling("reading ids"):
            iterator = self._client.query_iterator(
                self.collection, batch_size=10_000, filter="", output_fields=["id"], timeout=_CALL_SECONDS
            )
            while batch := iterator.next():
                found.extend(row["id"] for row in batch)
            iterator.close()
        return np.unique(np.array(found, np.int64))

    def upsert(self, ids: Ids, vectors: Floats, texts: list[str]) -> None:
        """Write rows; a row of the same id is replaced. Texts are cut for Milvus by `fit_text` beforehand."""
        rows = [
            {"id": int(id), "embedding": vector, "text": text}
            for id, vector, text in zip(ids, vectors, texts, strict=True)
        ]
        with self._calling("writing"):
            self._client.upsert(self.collection, rows, timeout=_CALL_SECONDS)

    def delete(self, ids: Ids) -> None:
        """Take rows away by id."""
        with self._calling("deleting"):
            for start in range(0, len(ids), 5_000):
                self._client.delete(self.collection, ids=ids[start : start + 5_000].tolist(), timeout=_CALL_SECONDS)

    def build_index(self, index: str, metric: str, rows: int) -> str:
        """Flush, index the vectors, load; returns the kind of index. An index of another kind is replaced."""
        kind = index if index != "auto" else "FLAT" if self.lite or rows <= FLAT_ROWS else "IVF_FLAT"
        with self._calling("flushing"):
            self._client.flush(self.collection, timeout=_CALL_SECONDS)
        with self._calling(f"building the {kind} index"):
            if self._client.list_indexes(self.collection):
                there = self._client.describe_index(self.collection, "embedding")
                if (there["index_type"], there["metric_type"]) != (kind, metric):
                    self._client.release_collection(self.collection)
                    self._client.drop_index(self.collection, "embedding")
            if not self._client.list_indexes(self.collection):
                self._create_index(kind, metric, rows)
        self.load()
        return kind

    def _create_index(self, kind: str, metric: str, rows: int = 0) -> None:
        settings = {
            "FLAT": {},
            "IVF_FLAT": {"nlist": lists(rows)},
            "HNSW": {"M": 32, "efConstruction": 200},
        }[kind]
        parameters = self._client.prepare_index_params()
        # milvus-lite reads the settings only from the inner "params", a server from either
        parameters.add_index("embedding", index_type=kind, metric_type=metric, params={**settings, "params": settings})
        self._client.create_index(self.collection, parameters, timeout=_CALL_SECONDS)

    def queries_at_once(self, asked: int, metric: str, rows: int, dim: int) -> int:
        """Queries a search: as asked, less where Lite's L2 scan would allocate queries x rows x dim floats."""
        if self.lite and metric == "L2":
            return int(np.clip(_LITE_L2_BYTES // (4 * rows * dim), 1, asked))
        return min(asked, MESSAGE_BYTES // (4 * dim))

    def index_kind(self) -> tuple[str, str]:
        """The index's kind and metric, as the server says."""
        with self._calling("describing the index"):
            there = self._client.describe_index(self.collection, "embedding")
            return str(there["index_type"]), str(there["metric_type"])

    def search(self, queries: Floats, k: int, kind: str, metric: str, rows: int) -> Ids:
        """Ids of each query's k nearest rows, int64 [nq, k], -1 where there are fewer."""
        settings: dict[str, Any] = {}
        if kind == "IVF_FLAT":
            settings = {"nprobe": max(16, lists(rows) // 8)}
        elif kind == "HNSW":
            settings = {"ef": max(2 * k, 128)}
        found = np.full((len(queries), k), -1, np.int64)
        # a list of hits a query is a million small objects: the collector would walk them again and again
        collecting = gc.isenabled()
        gc.disable()
        try:
            with self._calling("searching"):
                answer = self._client.search(
                    self.collection,
                    data=list(queries),
                    anns_field="embedding",
                    limit=k,
                    # asked for nothing, milvus-lite returns the vectors too
                    output_fields=["id"],
                    search_params={"metric_type": metric, "params": settings},
                    consistency_level="Strong",
                    timeout=_CALL_SECONDS,
                )
            for row, hits in enumerate(answer):
                found[row, : len(hits)] = [hit["id"] for hit in hits]
        finally:
            if collecting:
                gc.enable()
        return found


def _client_class() -> Any:
    """pymilvus's client. At its import pymilvus parses MILVUS_URI, also out of `.env`, and refuses a file there."""
    kept = os.environ.get("MILVUS_URI")
    os.environ["MILVUS_URI"] = ""
    try:
        from pymilvus import MilvusClient
    finally:
        if kept is None:
            del os.environ["MILVUS_URI"]
        else:
            os.environ["MILVUS_URI"] = kept
    quiet_libraries()
    return MilvusClient


def is_lite(uri: str) -> bool:
    """Whether a uri names a Milvus Lite file rather than a server."""
    return "://" not in uri


def lists(rows: int) -> int:
    """IVF lists for `rows` rows: 4 sqrt(n), a power of two between 128 and 65,536 (Milvus's own advice)."""
    return int(np.clip(2 ** round(np.log2(4 * max(rows, 1) ** 0.5)), 128, 65_536))


def fit_text(text: str) -> str:
    """The text, cut at a character's end to the bytes that Milvus holds."""
    raw = text.encode()
    return text if len(raw) <= TEXT_BYTES else raw[:TEXT_BYTES].decode(errors="ignore")


def _brief(error: BaseException) -> str:
    message = getattr(error, "message", None) or getattr(error, "details", lambda: "")() or str(error)
    return " ".join(str(message).split())[:300]


def _is_away(error: BaseException) -> bool:
    """Whether the server does not answer, as opposed to answering no."""
    import grpc

    code = getattr(error, "code", None)
    if callable(code):
        return code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return code in (2, 101)


def _unreachable(uri: str, lite: bool, error: BaseException) -> str:
    if lite:
        if "Open local milvus failed" in str(error):
            return (
                f"store.uri = '{uri}': Milvus Lite cannot open it: another process holds it, or it is no Milvus "
                "Lite database; wait for that process, or set store.uri to another file"
            )
        return f"store.uri = '{uri}': Milvus Lite cannot open it ({_brief(error)})"
    cause = error.__cause__
    code = cause.code().name if cause is not None and hasattr(cause, "code") else ""
    if code == "UNAUTHENTICATED" or "auth" in str(error).lower():
        return f"store.uri = '{uri}': the server refuses the token: set MILVUS_TOKEN (user:password, or an API key)"
    return (
        f"store.uri = '{uri}': no Milvus server answers within {_CONNECT_SECONDS} s "
        f"({code or _brief(error)}): start it, check the address, or set store.uri to a file for Milvus Lite"
    )
