"""Whether a server builds GPU indexes: tested on a scratch collection, never on the user's data.

A server without a GPU accepts GPU_IVF_FLAT, reports it as finished below 1,024 rows and never finishes it above. So
the scratch collection has more rows, and the wait has a timeout. The collection is dropped afterwards; one that a
killed run left behind is dropped after an hour.
"""

import contextlib
import time
import uuid

import numpy as np

from job.backends.milvus.connection import QUICK_SECONDS, Connection
from job.backends.milvus.errors import one_line
from job.backends.milvus.index_kinds import build_params
from job.runtime.device import Choice
from job.runtime.log import logger

_PREFIX = "job_probe_"
_ROWS, _DIM = 1_100, 32
# an integer: with a float, or with none, pymilvus waits forever
_TIMEOUT_SECONDS = 30
_LEFTOVER_SECONDS = 3600


def try_gpu_index(connection: Connection, kind: str) -> Choice:
    """`yes` or `no`, with the reason. Takes a few seconds if the answer is yes, about 40 if it is no."""
    if connection.lite:
        return Choice("no", "Milvus Lite has no GPU indexes")
    if connection.zilliz:
        return Choice("no", "Zilliz Cloud chooses its index itself (AUTOINDEX)")
    remove_leftovers(connection)
    logger.info("milvus: trying %s on a scratch collection, for up to %d s", kind, _TIMEOUT_SECONDS)
    name = f"{_PREFIX}{int(time.time())}_{uuid.uuid4().hex[:8]}"
    try:
        connection.call("trying a GPU index", lambda: _build(connection, name, kind))
    except _NotBuiltError as error:
        return Choice("no", str(error))
    finally:
        with contextlib.suppress(Exception):
            connection.client.drop_collection(name, timeout=QUICK_SECONDS)
    return Choice("yes", f"the server built {kind} over {_ROWS:,} rows of a scratch collection")


class _NotBuiltError(Exception):
    pass


def _build(connection: Connection, name: str, kind: str) -> None:
    from pymilvus import DataType
    from pymilvus.exceptions import MilvusException

    client = connection.client
    client.drop_collection(name, timeout=QUICK_SECONDS)
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=_DIM)
    client.create_collection(name, schema=schema, timeout=QUICK_SECONDS)
    vectors = np.random.default_rng(0).normal(size=(_ROWS, _DIM)).astype(np.float32)
    client.insert(name, [{"id": row, "v": vector} for row, vector in enumerate(vectors)], timeout=QUICK_SECONDS)
    client.flush(name, timeout=QUICK_SECONDS)
    settings = build_params(kind, _ROWS, 16, False)
    parameters = client.prepare_index_params()
    parameters.add_index("v", index_type=kind, metric_type="L2", params={**settings, "params": settings})
    try:
        client.create_index(name, parameters, timeout=_TIMEOUT_SECONDS)
    except MilvusException as error:
        if "timeout" in str(error):
            raise _NotBuiltError(
                f"the server accepts {kind} but has not built it over {_ROWS:,} rows within {_TIMEOUT_SECONDS} s, "
                "like a server without a GPU"
            ) from None
        raise _NotBuiltError(f"the server refuses {kind}: {one_line(error)}") from None


def remove_leftovers(connection: Connection) -> int:
    """Drop scratch collections that are more than an hour old; returns how many."""
    removed = 0
    list_collections = connection.client.list_collections
    for name in connection.call("listing collections", lambda: list_collections(timeout=QUICK_SECONDS)):
        stamp = name.removeprefix(_PREFIX).split("_")[0]
        age = time.time() - int(stamp) if stamp.isdigit() else 0.0
        if name.startswith(_PREFIX) and age > _LEFTOVER_SECONDS:
            with contextlib.suppress(Exception):
                connection.client.drop_collection(name, timeout=QUICK_SECONDS)
                removed += 1
    return removed
