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


def test_milvus_sbatch_does_not_publish_another_server(tmp_path: Path) -> None:
    """With a stand-in for the server, and another one at its port."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho Ctrl-C stops it\nsleep 3\n")
    python.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        variables = {"MILVUS_SERVER": "package", "MILVUS_PORT": port, "MILVUS_DATA": str(tmp_path / "data")}
        done = subprocess.run(
            ["bash", str(SCRIPT.with_name("milvus.sbatch"))],
            env=clean_environment() | variables | {"MILVUS_PYTHON": str(python)},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 2, done.stdout
    assert f"port {port} of" in done.stderr
    assert "address in" not in done.stdout
    assert not (tmp_path / "data" / "uri").exists()
