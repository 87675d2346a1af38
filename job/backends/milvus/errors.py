"""What an error of Milvus means: in one line, whether it may be over soon, and what to do."""

import errno
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from job.runtime.errors import BadInput, JobError, Resumable
from job.runtime.system_errors import no_room

# Milvus's own codes for: not ready, cannot connect, too many requests, rate limit; collection not loaded; and
# replicas, channels, segments and nodes that do not exist yet, for instance after a restart
_NOT_LOADED = 101
_UNAVAILABLE_CODES = {1, 2, 4, 8, _NOT_LOADED, 400, 401, 500, 501, 502, 503, 600, 601, 901, 902, 903, 904, 905}
# messages of a server, under its code for any other error, while its components connect to each other
_UNAVAILABLE_WORDS = re.compile(
    r"attempt #\d+|connection refused|unavailable|not ready|not healthy|node not (?:match|found)|not available|"
    r"context (?:deadline exceeded|canceled)|no (?:available|healthy)|session expired",
    re.IGNORECASE,
)

# of a server, about the expression of a query; of these only the first comes before a node reads it
_FILTER_WORDS = re.compile(
    r"cannot parse expression|not a boolean expression|unsupported right datatype|compare expr|unsupported expr proto"
)
# by which gRPC goes through a proxy, the first that is set; and the hosts that it reaches without one
_PROXIES, _NO_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy"), ("no_grpc_proxy", "no_proxy")

# what the machine refuses, whatever is in the files
_OF_MACHINE = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOLCK,
    errno.ENOMEM,
    errno.EAGAIN,
    errno.EINTR,
    errno.ETIMEDOUT,
    errno.ESTALE,
}
_ERRNO = re.compile(r"\[errno (\d+)\]", re.IGNORECASE)
_NO_MEMORY = re.compile(r"unable to allocate|cannot allocate|bad_alloc|out of memory|malloc of size", re.IGNORECASE)


class LiteError(JobError):
    """Milvus Lite cannot read its files, or what it reads makes no sense: mostly, they are damaged."""


def one_line(error: BaseException) -> str:
    """An error in one line of at most 300 characters."""
    message = getattr(error, "message", None) or getattr(error, "details", lambda: "")() or str(error)
    message = message or type(error).__name__
    return " ".join(str(message).split())[:300]


def is_unavailable(error: BaseException) -> bool:
    """Whether the server is unreachable, busy or starting, so that a retry may succeed."""
    import grpc
    from pymilvus import exceptions as raised

    # of pymilvus itself, on what it was given; all of its errors have the code of a server that is not ready
    of_data = (raised.ParamError, raised.AutoIDException, raised.FieldTypeException, raised.DataNotMatchException)
    if isinstance(error, (*of_data, raised.DataTypeNotMatchException, raised.DataTypeNotSupportException)):
        return False
    if isinstance(error, ValueError):
        # raised by grpc on a channel that pymilvus is replacing at this moment
        return "closed channel" in str(error)
    code = getattr(error, "code", None)
    if callable(code):
        if code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return "message larger than max" not in str(error)
        return code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
    return code in _UNAVAILABLE_CODES or bool(_UNAVAILABLE_WORDS.search(str(getattr(error, "message", ""))))


def is_about_filter(error: BaseException) -> bool:
    """Whether Milvus refused the expression of a query: by a code of Lite, or of a server, or by a server's words."""
    message = str(getattr(error, "message", ""))
    return getattr(error, "code", None) in (6, 1100) or _FILTER_WORDS.search(message) is not None


def is_not_loaded(error: BaseException) -> bool:
    """Whether a server answers that the collection is not loaded: another program has released it."""
    return getattr(error, "code", None) == _NOT_LOADED


def is_unreachable(error: BaseException) -> bool:
    """Whether nothing answers at the server's address, as far as gRPC and pymilvus tell."""
    import grpc
    from pymilvus.client.types import Status

    code: Any = getattr(error, "code", None)
    return code() is grpc.StatusCode.UNAVAILABLE if callable(code) else code in (1, Status.CONNECT_FAILED)


def is_too_large(error: BaseException) -> bool:
    """Whether an answer did not fit into one message; `error`: gRPC's, pymilvus's, or ours with its text."""
    return "larger than max" in str(error) or "maxOutputSize" in str(error)


def is_down(error: Exception) -> bool:
    """Whether a server that could not be connected to may answer later: not one that refuses us."""
    import grpc

    cause: Any = error.__cause__
    code = cause.code() if callable(getattr(cause, "code", None)) else None
    if code is grpc.StatusCode.UNAUTHENTICATED or "auth" in str(error).lower():
        return False
    if "handshake" in str(cause).lower():
        return False
    return is_unavailable(error)


def lite_error(uri: str, what: str, error: BaseException) -> JobError:
    """What to say where Milvus Lite failed; `what`: at what. A `LiteError` only if the content of its files may be the
    reason."""
    full = full_disk(uri, error)
    if full:
        return full
    if isinstance(error.__cause__, BlockingIOError):
        return BadInput(
            f"store.uri = '{uri}': another process holds it: wait for that process to end, or set store.uri to "
            "another file"
        )
    message = f"store.uri = '{uri}': {what}: {one_line(error)}"
    if _is_of_machine(error):
        return JobError(f"{message}. Nothing was removed: mend that, then give the same command again")
    return LiteError(message)


def _is_of_machine(error: BaseException) -> bool:
    """Whether the machine refused something or was too slow, which says nothing of the content of files."""
    import grpc
    from pymilvus.client.types import Status
    from pymilvus.exceptions import MilvusException

    if isinstance(error, MilvusException) and error.code == Status.CONNECT_FAILED:
        return True
    if isinstance(error, grpc.RpcError) and error.code() in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    ):
        return True
    for one in (error, error.__cause__):
        found = _ERRNO.search(str(one))
        number = one.errno if isinstance(one, OSError) and one.errno else int(found[1]) if found else None
        if number in _OF_MACHINE or isinstance(one, MemoryError) or _NO_MEMORY.search(str(one)):
            return True
    return False


def full_disk(uri: str, error: BaseException) -> Resumable | None:
    """What to say where Milvus Lite had no room to write, which damages nothing."""
    # gRPC and pymilvus leave nothing but the text
    found = no_room(error) or no_room(OSError(one_line(error)))
    return found and Resumable(f"store.uri = '{uri}': {found}")


def connect_error(uri: str, db_name: str, seconds: int, error: BaseException) -> str:
    """The message for a connection to a server that failed."""
    if db_name and "database" in str(error).lower():
        return f"store.db_name = '{db_name}': {one_line(error)}: create that database, or set another name"
    cause: Any = error.__cause__
    code = cause.code().name if callable(getattr(cause, "code", None)) else ""
    if code == "UNAUTHENTICATED" or "auth" in str(error).lower():
        return f"store.uri = '{uri}': the server refuses the token: set MILVUS_TOKEN (user:password, or an API key)"
    if "handshake" in str(cause).lower():
        return (
            f"store.uri = '{uri}': the server does not speak TLS, or its certificate is not trusted: set an address "
            "with http://, or store.tls_ca to the certificate that signed the server's"
        )
    return (
        f"store.uri = '{uri}': no Milvus server answers within {seconds} s "
        f"({code or one_line(error)}): {_proxy_advice(uri)}start it, check the address, or set store.uri to a file for "
        "Milvus Lite"
    )


def _proxy_advice(uri: str) -> str:
    """What to do where gRPC goes to the server through a proxy; the proxy's address without a password."""
    name = next((name for name in _PROXIES if os.environ.get(name)), None)
    host = urlsplit(uri).hostname
    if name is None or host is None:
        return ""
    direct = next((os.environ[name] for name in _NO_PROXIES if os.environ.get(name)), "")
    if any(host.endswith(entry) for entry in direct.replace(" ", "").split(",") if entry):
        return ""
    try:
        proxy = urlsplit(os.environ[name])
        address = f"{proxy.hostname}:{proxy.port}" if proxy.hostname else "?"
    except ValueError:
        address = "?"
    return f"the connection goes through {name} ({address}): add {host} to no_proxy if it need not; else "


class _Reasons(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.last: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.exc_info[1] if record.exc_info else self.last


@contextmanager
def real_reason() -> Iterator[None]:
    """Within this block, a failure of Milvus Lite to start is raised as it happened: Milvus Lite logs it, and pymilvus
    raises another one without a reason."""
    log, reasons = logging.getLogger("milvus_lite.server_manager"), _Reasons()
    level, propagate = log.level, log.propagate
    log.setLevel(logging.ERROR)
    log.propagate = False
    log.addHandler(reasons)
    try:
        yield
    except Exception:
        if reasons.last is None:
            raise
        raise reasons.last from reasons.last.__cause__
    finally:
        log.removeHandler(reasons)
        log.setLevel(level)
        log.propagate = propagate
