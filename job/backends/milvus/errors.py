"""What an error of Milvus means: in one line, whether it may be over soon, and what to do."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from job.backends.milvus import lite_files
from job.runtime.errors import BadInput, JobError, Resumable
from job.runtime.system_errors import no_room

# Milvus's own codes for: not ready, cannot connect, too many requests, rate limit; collection not loaded; and
# replicas, channels, segments and nodes that do not exist yet, for instance after a restart
_UNAVAILABLE_CODES = {1, 2, 4, 8, 101, 400, 401, 500, 501, 502, 503, 600, 601, 901, 902, 903, 904, 905}
# messages of a server, under its code for any other error, while its components connect to each other
_UNAVAILABLE_WORDS = re.compile(
    r"attempt #\d+|connection refused|unavailable|not ready|not healthy|node not (?:match|found)|not available|"
    r"context (?:deadline exceeded|canceled)|no (?:available|healthy)|session expired",
    re.IGNORECASE,
)


class LiteError(JobError):
    """Milvus Lite cannot read or write its files: mostly, they are damaged."""


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


def lite_error(uri: str, path: str, error: BaseException) -> JobError:
    """What to say where Milvus Lite cannot be opened."""
    full = full_disk(uri, error)
    if full:
        return full
    if lite_files.is_open_elsewhere(Path(path)):
        return BadInput(
            f"store.uri = '{uri}': another process holds it: wait for that process to end, or set store.uri to "
            "another file"
        )
    return LiteError(f"store.uri = '{uri}': Milvus Lite cannot open it ({one_line(error)})")


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
    return (
        f"store.uri = '{uri}': no Milvus server answers within {seconds} s "
        f"({code or one_line(error)}): start it, check the address, or set store.uri to a file for Milvus Lite"
    )


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
