"""Whether a server builds GPU indexes: found out on a scratch collection, never on the user's data.

A server without a GPU accepts GPU_IVF_FLAT, calls it finished below 1,024 rows and never finishes above; so the
scratch collection has more, and the wait an end. It is removed again; what a killed run left goes after an hour.
"""

import contextlib
import time
import uuid

import numpy as np

from job.backends.milvus.connection import Connection, brief
from job.backends.milvus.index_kinds import build_params
from job.runtime.device import Choice
from job.runtime.log import logger

_PREFIX = "job_probe_"
_ROWS, _DIM = 1_100, 32
# an integer: with a float, or none, pymilvus waits for ever
SECONDS = 30
_LEFTOVER_SECONDS = 3600


def probe(connection: Connection, kind: str) -> Choice:
    """`yes` or `no`, with the reason. Takes some seconds where the answer is yes, about 40 where it is no."""
    if connection.lite:
        return Choice("no", "Milvus Lite has no GPU indexes")
    if connection.zilliz:
        return Choice("no", "Zilliz Cloud chooses its index itself (AUTOINDEX)")
    remove_leftovers(connection)
    logger.info("milvus: trying %s on a scratch collection, for up to %d s", kind, SECONDS)
    name = f"{_PREFIX}{int(time.time())}_{uuid.uuid4().hex[:8]}"
    try:
        connection.call("trying a GPU index", lambda: _build(connection, name, kind))
    except _RefusedError as error:
        return Choice("no", str(error))
    finally:
        with contextlib.suppress(Exception):
            connection.client.drop_collection(name)
    return Choice("yes", f"the server built {kind} over {_ROWS:,} rows of a scratch collection")


class _RefusedError(Exception):
    pass


def _build(connection: Connection, name: str, kind: str) -> None:
    from pymilvus import DataType
    from pymilvus.exceptions import MilvusException

    client = connection.client
    client.drop_collection(name)
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=_DIM)
    client.create_collection(name, schema=schema)
    vectors = np.random.default_rng(0).normal(size=(_ROWS, _DIM)).astype(np.float32)
    client.insert(name, [{"id": row, "v": vector} for row, vector in enumerate(vectors)])
    client.flush(name)
    settings = build_params(kind, _ROWS, 16, False)
    parameters = client.prepare_index_params()
    parameters.add_index("v", index_type=kind, metric_type="L2", params={**settings, "params": settings})
    try:
        client.create_index(name, parameters, timeout=SECONDS)
    except MilvusException as error:
        if "timeout" in str(error):
            reason = f"the server accepts {kind} but has not built it over {_ROWS:,} rows within {SECONDS} s, "
            raise _RefusedError(reason + "as one without a GPU does") from None
        raise _RefusedError(f"the server refuses {kind}: {brief(error)}") from None


def remove_leftovers(connection: Connection) -> int:
    """Drop scratch collections of more than an hour ago; returns how many."""
    removed = 0
    for name in connection.call("listing collections", connection.client.list_collections):
        age = time.time() - int(stamp) if (stamp := name.removeprefix(_PREFIX).split("_")[0]).isdigit() else 0.0
        if name.startswith(_PREFIX) and age > _LEFTOVER_SECONDS:
            with contextlib.suppress(Exception):
                connection.client.drop_collection(name)
                removed += 1
    return removed
