"""Shared by several tests: the repository's root, the real command line, a Milvus server, a tiny BGE-M3."""

import contextlib
import csv
import fcntl
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from hypothesis.configuration import set_hypothesis_home_dir
from tiny_m3 import make_tiny_m3

from job.backends.torch_import import set_environment
from job.cli import main
from job.runtime.log import logger

# before anything imports torch, which reads it once
set_environment()
# hypothesis keeps files of its own: not in the repository
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "job" / "sample" / "headlines.csv"
DEMO = ROOT / "configs" / "demo.yaml"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """Reports without what cannot be encoded: bytes of tests about odd names. Workers could not send them."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


def clean_environment() -> dict[str, str]:
    """The environment without variables that would change a run; offline, as in CI."""
    others = ("MILVUS_", "HF_", "SLURM_", "RANK", "WORLD_SIZE", "LOCAL_RANK")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return kept | {"HF_HUB_OFFLINE": "1"}


def start(*command: str, **environment: str) -> subprocess.Popen[str]:
    """Start `python -m job` with these arguments in the background; one thread, since several share the machine."""
    environment = clean_environment() | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen(
        [sys.executable, "-m", "job", *command], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )


def read_csv(path: Path, encoding: str = "utf-8") -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file))


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="session")
def job() -> Run:
    """Run `python -m job` with the given arguments in a new process, in the repository's root."""

    def run(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
        settings = {"cwd": ROOT, "env": clean_environment(), "capture_output": True, "text": True, "timeout": 300}
        command = [sys.executable, "-m", "job", *map(str, words)]
        return subprocess.run(command, **(settings | options))  # type: ignore[call-overload,no-any-return]

    return run


@contextlib.contextmanager
def logger_as_before() -> Iterator[None]:
    """Around a call of `main`, which sends the log to the stderr of that moment."""
    before = logger.handlers[:], logger.propagate, logger.level
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = before[:2]
        logger.setLevel(before[2])


@pytest.fixture(scope="session")
def job_here() -> Run:
    """As `job`, in this process, where the libraries are imported already: for what does not depend on the process."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command, out, err = [str(word) for word in words], io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, clean_environment(), clear=True),
            contextlib.chdir(ROOT),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            logger_as_before(),
        ):
            try:
                code = main(command)
            except SystemExit as error:  # of argparse
                code = int(error.code or 0)
        return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def demo(job: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run of the demo, which tests only read; `copy` is a copy that a test may change.

    One worker makes it, and each has a copy.
    """
    folder = tmp_path_factory.mktemp("demo") / "run"
    base = tmp_path_factory.getbasetemp()
    made = base.parent / "demo" if "PYTEST_XDIST_WORKER" in os.environ else base / "made"
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "map.html").exists():
            done = job("run", DEMO, f"run_dir={made}")
            assert done.returncode == 0, done.stderr
    return Path(shutil.copytree(made, folder))


@pytest.fixture
def copy(demo: Path, tmp_path: Path) -> Path:
    """A copy of the demo's finished run, with its own Milvus file, that the test may change."""
    return Path(shutil.copytree(demo, tmp_path / "run"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB and at most 1,000 files."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m,nr_inodes=1000", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no small file system can be mounted here")
    yield folder
    # lazily: Milvus Lite may still have its lock file open
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="session")
def serve() -> ModuleType:
    """`scripts/milvus/serve.py` as a module."""
    spec = importlib.util.spec_from_file_location("serve", ROOT / "scripts" / "milvus" / "serve.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def milvus_server(serve: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real Milvus server on a free port, with its own data folder."""
    try:
        server = serve.Server(tmp_path_factory.mktemp("milvus"))
        server.start()
    except serve.ServerError as error:
        pytest.skip(f"no Milvus server here: {error}")
    yield server
    server.stop()


@pytest.fixture
def milvus(milvus_server: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A collection on that server, named after the test and dropped after it."""
    from job.backends.milvus import Milvus

    client = Milvus(milvus_server.uri, None, f"c{abs(hash(request.node.name))}")
    yield client
    client.connection.client.drop_collection(client.collection)
    client.close()


@pytest.fixture(scope="session")
def tiny_m3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small random checkpoint of BGE-M3's architecture and heads, and its own tokenizer."""
    return make_tiny_m3(tmp_path_factory.mktemp("tiny-m3"))
