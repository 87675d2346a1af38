"""Connecting to Milvus, and retries while a server is unavailable.

Every call goes through `Connection.call`: a call that fails because the server is unreachable, busy or starting is
retried with jittered backoff for `patience` seconds, then raises `Resumable`; any other error is one line with the uri.
"""

import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from job.backends.milvus import lite_files
from job.backends.milvus.errors import (
    connect_error,
    is_down,
    is_unavailable,
    is_unreachable,
    lite_error,
    one_line,
    real_reason,
)
from job.runtime import signals
from job.runtime.device import Choice, installed
from job.runtime.errors import BadInput, JobError, Resumable
from job.runtime.log import logger, quiet_libraries
from job.runtime.secrets import without_secrets

T = TypeVar("T")

# that a call may take; and one that only asks about a collection, or drops something
CALL_SECONDS, QUICK_SECONDS = 600, 60
PATIENCE_SECONDS = 180.0
_CONNECT_SECONDS = 10
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 10.0
# Milvus Lite answers pings more often than every five minutes with an error, after which a call may fail; and it is in
# this process, where no proxy leads to
_LITE_OPTIONS = (
    ("grpc.keepalive_time_ms", 2**31 - 1),
    ("grpc.keepalive_permit_without_calls", False),
    ("grpc.enable_http_proxy", 0),
)


class Connection:
    """A client of one server, database or file. Thread-safe."""

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

        A server that does not answer is waited for, for `patience` seconds.

        Raises:
            BadInput: the server refuses the token or has no such database, another process has the file open, or no
                Milvus Lite database can be there.
            LiteError: Milvus Lite cannot read its files.
            JobError: the machine does not let Milvus Lite open its files.
            Resumable: no server answered for `patience` seconds, Milvus Lite's disk is full, or a stop signal arrived.
        """
        client_class = _client_class()
        self.uri, self.db_name, self.patience = without_secrets(uri), db_name, patience
        self.lite, self.zilliz = is_lite(uri), "zillizcloud" in uri
        if self.lite:
            uri = str(lite_files.place(uri))
        self._path = uri
        self._gpu_trials: dict[str, Choice] = {}
        check_place(uri, tls_ca)
        options: dict[str, Any] = {"secure": True, "server_pem_path": str(tls_ca)} if tls_ca else {}
        if self.lite:
            options["grpc_options"] = _LITE_OPTIONS
            Path(uri).parent.mkdir(parents=True, exist_ok=True)

        def connect() -> Any:
            with real_reason():
                return client_class(uri=uri, token=token or "", db_name=db_name, timeout=_CONNECT_SECONDS, **options)

        self.client = self._first_answer(connect)
        server = f"Lite {installed('milvus-lite')}" if self.lite else self._version
        self.version = f"Milvus {server}"

    def _first_answer(self, connect: Callable[[], Any]) -> Any:
        """The client of `connect`, once the server answers."""
        since, wait = time.monotonic(), _FIRST_WAIT
        while True:
            try:
                client = connect()
                if not self.lite:
                    self._version = client.get_server_version(timeout=_CONNECT_SECONDS)
                if self.db_name:
                    # connecting succeeds even if the database does not exist
                    client.list_collections(timeout=_CONNECT_SECONDS)
                return client
            except Exception as error:  # pymilvus, gRPC and milvus-lite raise unrelated types
                # a second stop signal raises within the call, and pymilvus makes an error of its own of that
                signals.check()
                if self.lite:
                    raise lite_error(self.uri, "Milvus Lite cannot open it", error) from None
                message = connect_error(self.uri, self.db_name, _CONNECT_SECONDS, error)
                if not is_down(error):
                    raise BadInput(message) from None
                waited = time.monotonic() - since
                if waited >= self.patience:
                    raise Resumable(
                        f"{message}; waited {waited:.0f} s (store.patience). Finished work is kept: the same command "
                        "continues"
                    ) from None
                if wait == _FIRST_WAIT:
                    logger.warning("%s; waiting for it for up to %.0f s", message, self.patience)
            pause(min(wait, self.patience - waited))
            wait = min(2 * wait, _LONGEST_WAIT)

    @property
    def has_sparse(self) -> bool:
        """Whether sparse vectors are supported: by Lite, by Zilliz Cloud, and by a server from 2.4 on."""
        number = re.search(r"(\d+)\.(\d+)", self.version)
        return self.lite or self.zilliz or number is None or tuple(map(int, number.groups())) >= (2, 4)

    def gpu(self, kind: str, trial: Callable[["Connection", str], Choice]) -> Choice:
        """Whether the server builds this GPU index: the result of `trial`, which runs once per connection."""
        if kind not in self._gpu_trials:
            self._gpu_trials[kind] = trial(self, kind)
        return self._gpu_trials[kind]

    def close(self) -> None:
        """Close the connection, and release a Lite file's lock."""
        self.client.close()
        if self.lite:
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(self._path)

    def call(self, operation: str, action: Callable[[], T]) -> T:
        """The result of `action()`, retried while the server is unavailable; `operation` names it in errors.

        Raises:
            Resumable: the server was unavailable for `patience` seconds, the disk of Milvus Lite is full, or a stop
                signal arrived.
            LiteError: Milvus Lite failed at the content of its files.
            JobError: the server answered with an error, or the machine refused Milvus Lite something; and what
                `action` itself raises.
        """
        import grpc
        from pymilvus.exceptions import MilvusException

        since: float | None = None
        wait = _FIRST_WAIT
        while True:
            try:
                result = action()
            except JobError:
                raise
            except Exception as error:  # what Milvus Lite reads from a damaged file can fail anywhere
                signals.check()
                if self.lite:
                    raise lite_error(self.uri, f"{operation} failed", error) from None
                message = f"store.uri = '{self.uri}': {operation} failed: {one_line(error)}"
                if not isinstance(error, MilvusException | grpc.RpcError | ValueError):
                    raise
                if not is_unavailable(error):
                    if isinstance(error, ValueError):
                        raise
                    raise JobError(message) from None
                now = time.monotonic()
                if since is None:
                    since = now
                    logger.warning("%s; retrying for up to %.0f s", message, self.patience)
                elif now - since > self.patience:
                    start = "start the server, then " if is_unreachable(error) else ""
                    raise Resumable(
                        f"{message}, for {now - since:.0f} s; finished work is kept: {start}run the same command again "
                        "(store.patience sets how long the job retries)"
                    ) from None
                pause(min(wait, self.patience) * random.uniform(0.5, 1.0))
                wait = min(2 * wait, _LONGEST_WAIT)
            else:
                if since is not None:
                    logger.info("milvus: '%s' answers again after %.0f s", self.uri, time.monotonic() - since)
                return result


def pause(seconds: float) -> None:
    """Sleep, but react to a stop signal within 0.2 s."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        signals.check()
        time.sleep(min(left, 0.2))


def _client_class() -> Any:
    """pymilvus's client. When it is imported, pymilvus reads MILVUS_URI, also from `.env`, and rejects a file name."""
    # gRPC prints to stderr by itself, and reads this when it is imported
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
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
    """Whether a uri names a Milvus Lite file, not a server."""
    return "://" not in uri


def check_place(uri: str, tls_ca: Path | None = None) -> None:
    """Raise `BadInput` where it is known without connecting that the connection will fail."""
    if tls_ca and not tls_ca.is_file():
        raise BadInput(f"store.tls_ca = '{tls_ca}': no such file; set the certificate that signed the server's")
    if is_lite(uri):
        why = lite_files.why_not_there(lite_files.place(uri))
        if why is not None:
            raise BadInput(f"store.uri = '{uri}': {why}")
