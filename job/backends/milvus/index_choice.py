"""Which index a run builds: the one that was asked for if it is available, or the best that the server builds."""

from dataclasses import dataclass

from job.backends.milvus.connection import Connection
from job.backends.milvus.gpu_trial import try_gpu_index
from job.backends.milvus.index_kinds import IVF_ROWS, KINDS, Index, build_params, why_unavailable
from job.runtime.errors import BadInput


@dataclass(frozen=True)
class IndexRequest:
    """The index that the configuration asks for, over `rows` rows; `top_k`: rows per query. `nlist`: None: default."""

    asked: str
    metric: str
    rows: int
    top_k: int
    nlist: int | None = None
    cache_on_device: bool = False


def choose(connection: Connection, request: IndexRequest) -> Index:
    """The index to build.

    `auto`: on Lite FLAT; on Zilliz Cloud AUTOINDEX; on a server FLAT below `IVF_ROWS` rows, else GPU_IVF_FLAT where
    the server builds it, else IVF_FLAT.

    Raises:
        BadInput: the index asked for is not available there; the message says why.
    """
    if request.asked == "auto":
        kind, reason = _auto(connection, request)
    else:
        kind, reason = request.asked, f"store.index = {request.asked}"
    require(connection, kind, request.metric, request.top_k)
    build = build_params(kind, request.rows, request.nlist, request.cache_on_device)
    return Index(kind, request.metric, build, reason)


def index_advice(connection: Connection, asked: str, index: Index, rows: int) -> str | None:
    """What to do about the index that a collection of several programs keeps, if it is not the one `asked` for, or for
    `auto` too slow for its `rows`; None where it is as it should be."""
    if asked != "auto":
        if asked == index.kind:
            return None
        said, wanted = f"store.index = '{asked}': the collection has the index {index.kind}, and keeps it", asked
    elif index.kind == "FLAT" and rows >= IVF_ROWS and not connection.lite:
        said = f"the collection has the index FLAT, which compares each of its {rows:,} rows with all others"
        wanted = "IVF_FLAT"
    else:
        return None
    return (
        f"{said}, since other programs may use it too. For another one remove it while nobody searches (pymilvus: "
        f"release_collection, drop_index), then give the same command with store.index={wanted}"
    )


def require(connection: Connection, kind: str, metric: str, top_k: int) -> None:
    """Check that an index is available there; a GPU index is tried, once per connection.

    Raises:
        BadInput: it is not; the message says why.
    """
    why = why_unavailable(kind, metric, top_k, connection.lite, connection.zilliz)
    if why is None and KINDS[kind].gpu:
        trial = connection.gpu(kind, try_gpu_index)
        if trial.value == "no":
            why = f"store.index = '{kind}': not available at '{connection.uri}': {trial.reason}; set store.index=auto"
    if why is not None:
        raise BadInput(why)


def _auto(connection: Connection, request: IndexRequest) -> tuple[str, str]:
    """The kind and the reason."""
    if connection.lite:
        return "FLAT", "auto: Milvus Lite's other indexes are no faster"
    if connection.zilliz:
        return "AUTOINDEX", "auto: Zilliz Cloud chooses the index itself"
    if request.rows < IVF_ROWS:
        return "FLAT", f"auto: {request.rows:,} rows are fewer than {IVF_ROWS:,}"
    why = why_unavailable("GPU_IVF_FLAT", request.metric, request.top_k, lite=False, zilliz=False)
    if why is None:
        trial = connection.gpu("GPU_IVF_FLAT", try_gpu_index)
        if trial.value == "yes":
            return "GPU_IVF_FLAT", f"auto: {trial.reason}"
        why = trial.reason
    return "IVF_FLAT", f"auto: no GPU index: {why}"
