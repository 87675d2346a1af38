"""Requests and answers as NumPy arrays: no Python object per row, per component or per hit.

pymilvus packs rows one by one and makes one object per hit, which takes most of the client's time. Here the vectors
go into the protobuf message as bytes, and ids and scores come out of it as arrays. This uses private names of
pymilvus; `arrays_supported` checks at the start that they exist, and without them the public calls are used.
"""

import gc
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from job.backends.milvus.connection import CALL_SECONDS, Connection
from job.backends.milvus.schema import Fields
from job.data import Floats, Ids
from job.runtime.log import logger

_INT64, _VARCHAR, _JSON, _FLOAT_VECTOR = 5, 21, 23, 101


def arrays_supported(connection: Connection) -> bool:
    """Whether this pymilvus has the private names that this module needs."""
    try:
        from pymilvus.client.prepare import Prepare
        from pymilvus.client.utils import check_status
        from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

        stub = connection.client._get_connection()._stub
        needed = (stub.Search, stub.Upsert, Prepare.search_requests_with_expr, check_status)
        message = schema_pb2.FloatArray.FromString(_packed(np.ones(3, np.float32)))
        return (
            all(map(callable, needed))
            and list(message.data) == [1.0, 1.0, 1.0]
            and hasattr(common_pb2, "PlaceholderGroup")
            and hasattr(milvus_pb2, "UpsertRequest")
        )
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        logger.warning("milvus: this version of pymilvus is unknown (%s): using its slower public calls", error)
        return False


@dataclass(frozen=True)
class RowBatch:
    """Rows to write: ids int64 [m], vectors float32 [m, d], m texts, and m dicts of extra values or none."""

    ids: Ids
    vectors: Floats
    texts: list[str]
    extra: Sequence[dict[str, Any]] = ()

    def as_dicts(self, fields: Fields) -> list[dict[str, Any]]:
        """The rows for pymilvus's public call."""
        extra = self.extra or [{} for _ in self.ids]
        return [
            {**more, fields.id: int(id), fields.vector: vector, fields.text: text}
            for id, vector, text, more in zip(self.ids, self.vectors, self.texts, extra, strict=True)
        ]


def upsert(connection: Connection, name: str, fields: Fields, timestamp: int, rows: RowBatch) -> None:
    """Write rows column by column; a row with the same id is replaced. `timestamp`: of the collection's schema."""
    from pymilvus.client.utils import check_status
    from pymilvus.grpc_gen import milvus_pb2

    request = milvus_pb2.UpsertRequest(
        collection_name=name, db_name=connection.db_name, num_rows=len(rows.ids), schema_timestamp=timestamp
    )
    column = request.fields_data.add(field_name=fields.id, type=_INT64)
    column.scalars.long_data.data.extend(rows.ids.tolist())
    column = request.fields_data.add(field_name=fields.vector, type=_FLOAT_VECTOR)
    column.vectors.dim = rows.vectors.shape[1]
    column.vectors.float_vector.ParseFromString(_packed(rows.vectors))
    column = request.fields_data.add(field_name=fields.text, type=_VARCHAR)
    column.scalars.string_data.data.extend(rows.texts)
    if fields.extra:
        column = request.fields_data.add(field_name="$meta", type=_JSON, is_dynamic=True)
        column.scalars.json_data.data.extend(json.dumps(one, ensure_ascii=False).encode() for one in rows.extra)
    stub = connection.client._get_connection()._stub
    check_status(stub.Upsert(request, timeout=CALL_SECONDS, metadata=_metadata(connection)).status)


def search(
    connection: Connection, name: str, fields: Fields, queries: Floats, k: int, options: dict[str, Any]
) -> tuple[Ids, Floats]:
    """Ids int64 [nq, k] and the index's scores float32 [nq, k]; -1 and nan where there are fewer hits.

    `options`: pymilvus's search_params and filter.
    """
    from pymilvus.client.prepare import Prepare
    from pymilvus.client.utils import check_status
    from pymilvus.grpc_gen import common_pb2

    queries = np.ascontiguousarray(queries, dtype="<f4")
    request = Prepare.search_requests_with_expr(
        name,
        fields.vector,
        options["search_params"],
        k,
        expr=options["filter"],
        data=[queries[0].tolist()],
        # without output fields milvus-lite returns the vectors too
        output_fields=[fields.id],
        consistency_level="Strong",
        use_default_consistency=False,
    )
    value = common_pb2.PlaceholderValue(tag="$0", type=_FLOAT_VECTOR, values=[row.tobytes() for row in queries])
    request.placeholder_group = common_pb2.PlaceholderGroup(placeholders=[value]).SerializeToString()
    request.nq, request.db_name = len(queries), connection.db_name
    stub = connection.client._get_connection()._stub
    answer = stub.Search(request, timeout=CALL_SECONDS, metadata=_metadata(connection))
    check_status(answer.status)
    return unpack(answer.results, len(queries), k)


def unpack(results: Any, nq: int, k: int) -> tuple[Ids, Floats]:
    """Ids and scores of a SearchResultData message, as `search` returns them."""
    counts = np.fromiter(results.topks, np.int64, nq)
    ids, scores = np.full((nq, k), -1, np.int64), np.full((nq, k), np.nan, np.float32)
    is_hit = np.arange(k) < counts[:, None]
    ids[is_hit] = np.array(results.ids.int_id.data, np.int64)
    scores[is_hit] = np.array(results.scores, np.float32)
    return ids, scores


def search_public(
    connection: Connection, name: str, fields: Fields, queries: Floats, k: int, options: dict[str, Any]
) -> tuple[Ids, Floats]:
    """The same as `search`, by pymilvus's public call."""
    ids, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), np.nan, np.float32)
    # one list of hits per query makes a million small objects, which the garbage collector would visit repeatedly
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        answer = connection.client.search(
            name,
            data=list(queries),
            anns_field=fields.vector,
            limit=k,
            output_fields=[fields.id],
            consistency_level="Strong",
            timeout=CALL_SECONDS,
            **options,
        )
        for row, hits in enumerate(answer):
            ids[row, : len(hits)] = [hit[fields.id] for hit in hits]
            scores[row, : len(hits)] = [hit["distance"] for hit in hits]
    finally:
        if was_enabled:
            gc.enable()
    return ids, scores


def _metadata(connection: Connection) -> Any:
    """The metadata that pymilvus sends with every request, among it the database's name."""
    client = connection.client
    if not hasattr(client, "_generate_call_context"):
        return None
    return client._generate_call_context().to_grpc_metadata()


def _packed(vectors: Floats) -> bytes:
    """A FloatArray message: field 1, length-delimited, then the little-endian floats (protobuf's packed encoding)."""
    raw = np.ascontiguousarray(vectors, "<f4").tobytes()
    length, left = bytearray(b"\n"), len(raw)
    while left > 127:
        length.append(left & 127 | 128)
        left >>= 7
    length.append(left)
    return bytes(length) + raw
