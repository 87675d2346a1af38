"""`scripts/milvus/serve.py` as people start it, and as it ends."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT, clean_environment

SCRIPT = ROOT / "scripts" / "milvus" / "serve.py"


def answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_says_where_it_is_and_leaves_no_server_behind(
    serve: ModuleType, tmp_path: Path, number: signal.Signals
) -> None:
    try:
        serve.install()
    except serve.ServerError as error:
        pytest.skip(f"no Milvus server here: {error}")
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "--data", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    assert process.stdout is not None
    port = int(process.stdout.readline().split("http://127.0.0.1:")[1].split(",")[0])
    assert answers(port)
    process.send_signal(number)
    assert process.wait(30) == (-9 if number == signal.SIGKILL else 0)
    end = time.monotonic() + 10
    while answers(port) and time.monotonic() < end:
        time.sleep(0.1)
    assert not answers(port)
    assert (tmp_path / "storage").is_dir()
