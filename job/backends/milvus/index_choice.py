"""Which index a run gets: what was asked for where it can be had, the best of what the server builds otherwise."""

from job.backends.milvus.connection import Connection
from job.backends.milvus.gpu_trial import probe
from job.backends.milvus.index_kinds import GPU_KINDS, IVF_ROWS, Index, build_params, complaint
from job.runtime.errors import BadInput


def choose(
    connection: Connection, asked: str, metric: str, rows: int, top_k: int, nlist: int | None, cache_on_device: bool
) -> Index:
    """The index to build over `rows` rows. `top_k`: rows asked for a query.

    `auto`: on Lite FLAT; on Zilliz Cloud AUTOINDEX; on a server FLAT below `IVF_ROWS` rows, else GPU_IVF_FLAT where
    it builds that, else IVF_FLAT.

    Raises:
        BadInput: the index asked for cannot be had there; the message says why.
    """
    kind, reason = (asked, f"store.index = {asked}") if asked != "auto" else _auto(connection, metric, rows, top_k)
    require(connection, kind, metric, top_k)
    return Index(kind, metric, build_params(kind, rows, nlist, cache_on_device), reason)


def require(connection: Connection, kind: str, metric: str, top_k: int) -> None:
    """See that an index can be had there; for a GPU index by trying, once a connection.

    Raises:
        BadInput: it cannot; the message says why.
    """
    why = complaint(kind, metric, top_k, connection.lite, connection.zilliz)
    if why is None and kind in GPU_KINDS and (found := connection.gpu(kind, probe)).value == "no":
        why = f"store.index = '{kind}' cannot be had at '{connection.uri}': {found.reason}; set store.index=auto"
    if why is not None:
        raise BadInput(why)


def _auto(connection: Connection, metric: str, rows: int, top_k: int) -> tuple[str, str]:
    if connection.lite:
        return "FLAT", "auto: Milvus Lite's other indexes are no faster"
    if connection.zilliz:
        return "AUTOINDEX", "auto: Zilliz Cloud chooses itself"
    if rows < IVF_ROWS:
        return "FLAT", f"auto: {rows:,} rows are fewer than {IVF_ROWS:,}"
    why = complaint("GPU_IVF_FLAT", metric, top_k, False, False)
    if why is None:
        found = connection.gpu("GPU_IVF_FLAT", probe)
        if found.value == "yes":
            return "GPU_IVF_FLAT", f"auto: {found.reason}"
        why = found.reason
    return "IVF_FLAT", f"auto: no GPU index: {why}"
