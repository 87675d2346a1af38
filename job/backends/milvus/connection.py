"""Reaching Milvus, its errors in words, and patience with a server that goes away.

Every call goes through `Connection.call`: what failed because the server is away, busy or starting is tried again
with a jittered back-off for `patience` seconds, then ends as `Resumable`; any other error is one line with the uri.
"""

import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from job.runtime import signals
from job.runtime.device import Choice, installed
from job.runtime.errors import BadInput, JobError, Resumable
from job.runtime.log import logger, quiet_libraries
from job.runtime.secrets import without_password

T = TypeVar("T")

CALL_SECONDS = 600
PATIENCE_SECONDS = 180.0
_CONNECT_SECONDS = 10
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 10.0
# Milvus's own codes for: not ready, cannot connect, too many requests, rate limit; not loaded; and replicas,
# channels, segments and nodes that are not there yet, as after a restart
_AWAY_CODES = {1, 2, 4, 8, 101, 400, 401, 500, 501, 502, 503, 600, 601, 901, 902, 903, 904, 905}
# what a server says, under the code for anything else, while its own parts look for each other
_AWAY_WORDS = re.compile(
    r"attempt #\d+|connection refused|unavailable|not ready|not healthy|node not (?:match|found)|not available|"
    r"context (?:deadline exceeded|canceled)|no (?:available|healthy)|session expired",
    re.IGNORECASE,
)


class Connection:
    """A client of one server, database or file; threads may share it."""

    def __init__(
        self,
        uri: str,
        token: str | None = None,
        *,
        db_name: str = "",
        tls_ca: Path | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Connect.

        Raises:
            BadInput: nothing answers at the uri, or it refuses the token, or another process holds the file.
        """
        client = _client_class()
        self.uri, self.db_name, self.patience = without_password(uri), db_name, patience
        self.lite, self.zilliz = is_lite(uri), "zillizcloud" in uri
        if self.lite:
            Path(uri).expanduser().parent.mkdir(parents=True, exist_ok=True)
            uri = str(Path(uri).expanduser().resolve())
        self._path = uri
        self._gpu: dict[str, Choice] = {}
        tls = {"secure": True, "server_pem_path": str(tls_ca)} if tls_ca else {}
        if tls_ca and not tls_ca.is_file():
            raise BadInput(f"store.tls_ca = '{tls_ca}': no such file; name the certificate that signed the server's")
        try:
            self.client = client(uri=uri, token=token or "", db_name=db_name, timeout=_CONNECT_SECONDS, **tls)
            server = f"Lite {installed('milvus-lite')}" if self.lite else self.client.get_server_version()
            self.version = f"Milvus {server}"
            if db_name:
                # connecting alone does not say that the database is not there
                self.client.list_collections()
        except Exception as error:  # pymilvus, gRPC and milvus-lite each raise their own
            raise BadInput(_unreachable(self.uri, self.lite, db_name, error)) from None

    @property
    def has_sparse(self) -> bool:
        """Whether there are sparse vectors: Lite and Zilliz Cloud have them, a server from 2.4 on."""
        number = re.search(r"(\d+)\.(\d+)", self.version)
        return self.lite or self.zilliz or number is None or tuple(map(int, number.groups())) >= (2, 4)

    def gpu(self, kind: str, probe: Callable[["Connection", str], Choice]) -> Choice:
        """Whether the server builds this GPU index, by `probe`, asked once."""
        if kind not in self._gpu:
            self._gpu[kind] = probe(self, kind)
        return self._gpu[kind]

    def close(self) -> None:
        """Let go of the connection, and of a Lite file's lock."""
        self.client.close()
        if self.lite:
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(self._path)

    def call(self, what: str, action: Callable[[], T]) -> T:
        """`action()`, again and again while the server is away; `what` says it in errors.

        Raises:
            Resumable: the server stayed away for `patience` seconds, or a stop signal came meanwhile.
            JobError: the server answers, and says no.
        """
        import grpc
        from pymilvus.exceptions import MilvusException

        since: float | None = None
        wait = _FIRST_WAIT
        while True:
            try:
                result = action()
            except (MilvusException, grpc.RpcError, ValueError) as error:
                message = f"store.uri = '{self.uri}': {what} failed: {brief(error)}"
                if self.lite or not is_away(error):
                    if isinstance(error, ValueError):
                        raise
                    raise JobError(message) from None
                now = time.monotonic()
                if since is None:
                    since = now
                    logger.warning("%s; trying again for up to %.0f s", message, self.patience)
                elif now - since > self.patience:
                    raise Resumable(
                        f"{message}, for {now - since:.0f} s; what is finished is kept: start the server, then the "
                        "same command (store.patience sets how long it is waited for)"
                    ) from None
                _sleep(min(wait, self.patience) * random.uniform(0.5, 1.0))
                wait = min(2 * wait, _LONGEST_WAIT)
            else:
                if since is not None:
                    logger.info("milvus: '%s' answers again after %.0f s", self.uri, time.monotonic() - since)
                return result


def _sleep(seconds: float) -> None:
    """Sleep, but let a stop signal through."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        signals.check()
        time.sleep(min(left, 0.2))


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


def brief(error: BaseException) -> str:
    """An error in one line of at most 300 characters."""
    message = getattr(error, "message", None) or getattr(error, "details", lambda: "")() or str(error)
    return " ".join(str(message).split())[:300]


def is_away(error: BaseException) -> bool:
    """Whether the server does not answer, or not yet, as opposed to answering no."""
    import grpc

    if isinstance(error, ValueError):
        # grpc's own, on a channel that pymilvus is just replacing
        return "closed channel" in str(error)
    code = getattr(error, "code", None)
    if callable(code):
        if code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return "message larger than max" not in str(error)
        return code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
    return code in _AWAY_CODES or bool(_AWAY_WORDS.search(str(getattr(error, "message", ""))))


def _unreachable(uri: str, lite: bool, db_name: str, error: BaseException) -> str:
    if lite:
        if "Open local milvus failed" in str(error):
            return (
                f"store.uri = '{uri}': Milvus Lite cannot open it: another process holds it, or it is no Milvus "
                "Lite database; wait for that process, or set store.uri to another file"
            )
        return f"store.uri = '{uri}': Milvus Lite cannot open it ({brief(error)})"
    if db_name and "database" in str(error).lower():
        return f"store.db_name = '{db_name}': {brief(error)}: create that database, or name another"
    cause = error.__cause__
    code = cause.code().name if cause is not None and hasattr(cause, "code") else ""
    if code == "UNAUTHENTICATED" or "auth" in str(error).lower():
        return f"store.uri = '{uri}': the server refuses the token: set MILVUS_TOKEN (user:password, or an API key)"
    return (
        f"store.uri = '{uri}': no Milvus server answers within {_CONNECT_SECONDS} s "
        f"({code or brief(error)}): start it, check the address, or set store.uri to a file for Milvus Lite"
    )
