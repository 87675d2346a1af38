"""Failures of Milvus that say nothing of what is stored: stop signals, proxies, what the machine refuses."""

import errno
import fcntl
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from job.backends.milvus import Connection, LiteError, Milvus
from job.backends.milvus.errors import lite_error
from job.runtime import signals
from job.runtime.errors import BadInput, JobError, Resumable


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Connection]:
    connection = Connection(str(tmp_path / "own.db"))
    yield connection
    connection.close()


def stopped_twice(action: Callable[[], Any]) -> None:
    """Call `action` and send two stop signals meanwhile, further apart than an echo of the first."""
    ended = threading.Event()

    def kill() -> None:
        for wait in (0.3, 1.3):
            if ended.wait(wait):
                return
            os.kill(os.getpid(), signal.SIGTERM)

    with signals.stop_signals():
        threading.Thread(target=kill).start()
        try:
            action()
        finally:
            ended.set()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_stop_signal_within_a_call_to_milvus_lite_is_no_damage(lite: Connection, wrapped: bool) -> None:
    """Also where pymilvus makes an error of its own of it."""
    from pymilvus.decorators import error_handler

    def wait() -> None:
        time.sleep(30)

    action = error_handler()(wait) if wrapped else wait
    with pytest.raises(Resumable, match="stopped by SIGTERM"):
        stopped_twice(lambda: lite.call("loading", action))


def test_a_stop_signal_while_a_server_does_not_answer_is_no_bad_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("job.backends.milvus.connection._CONNECT_SECONDS", 3)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(Resumable, match="stopped by SIGTERM"):
        stopped_twice(lambda: Connection(f"http://127.0.0.1:{server.getsockname()[1]}", patience=30))


def test_milvus_lite_is_reached_without_the_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "grpc_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    milvus = Milvus(str(tmp_path / "own.db"), None, "news_data")
    assert not milvus.exists()
    milvus.close()


@pytest.fixture
def one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("job.backends.milvus.connection._CONNECT_SECONDS", 1)


@pytest.mark.parametrize(
    ("name", "proxy", "direct", "advice"),
    [
        (
            "http_proxy",
            "http://me:secret@127.0.0.1:9",
            "",
            r"http_proxy \(127\.0\.0\.1:9\): add gpu7\.cluster to no_proxy",
        ),
        ("grpc_proxy", "http://127.0.0.1:port", "localhost", r"grpc_proxy \(\?\): add gpu7\.cluster to no_proxy"),
        ("https_proxy", "http://127.0.0.1:9", "localhost, .cluster", r"within 1 s \(UNAVAILABLE\): start it"),
    ],
)
@pytest.mark.usefixtures("one_second")
def test_a_server_that_is_looked_for_through_a_proxy_is_told_so(
    monkeypatch: pytest.MonkeyPatch, name: str, proxy: str, direct: str, advice: str
) -> None:
    for other in ("http_proxy", "grpc_proxy", "https_proxy", "no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("no_proxy", direct)
    with pytest.raises(Resumable, match=advice) as raised:
        Connection("http://gpu7.cluster:19530", patience=0)
    assert "secret" not in str(raised.value)


@pytest.mark.usefixtures("one_second")
def test_a_server_without_tls_at_an_https_address_is_told_so() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with pytest.raises(BadInput, match=r"does not speak TLS, or its certificate is not trusted: .*http://.*tls_ca"):
            Connection(f"https://127.0.0.1:{port}", patience=0)
    finally:
        server.stop(0)


def test_a_database_that_another_process_holds_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "held.db").mkdir()
    with (tmp_path / "held.db" / "LOCK").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BadInput, match="another process holds it"):
            Connection(str(tmp_path / "held.db"))


class TooLateError(grpc.RpcError):
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("error", "of_content"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "data.parquet"), False),
        (RuntimeError("Failed to open local file 'a.parquet'. Detail: [errno 13] Permission denied"), False),
        (MemoryError("Unable to allocate 2.1 GiB for an array"), False),
        (RuntimeError("std::bad_alloc"), False),
        (TooLateError("Deadline Exceeded"), False),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "data.parquet"), True),
        (OSError(errno.EIO, "Input/output error", "data.parquet"), True),
        (RuntimeError("Parquet magic bytes not found in footer"), True),
    ],
)
def test_what_the_machine_refuses_is_no_damage(error: Exception, of_content: bool) -> None:
    found = lite_error("own.db", "reading failed", error)
    assert isinstance(found, LiteError) == of_content
    assert type(found) in (JobError, LiteError)
    assert "store.uri = 'own.db': reading failed" in str(found)
