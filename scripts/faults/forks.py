"""Runs of the job as forks of one process that has imported everything: a run takes a second instead of ten.

The parent uses one thread and starts none, so that a fork has all that it needs; `prepare` must be called first, in a
process that `LD_PRELOAD`s the shim.
"""

import contextlib
import gc
import os
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faults.shim import Fault, arm

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    # GNU's OpenMP refuses to work in a fork
    "NUMBA_THREADING_LAYER": "workqueue",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
}
_FOREIGN = ("MILVUS_", "SLURM_", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LLM_", "OPENAI_")
_MODULES = (
    "job.commands.run",
    "job.pipeline",
    "transformers.modeling_utils",
    "FlagEmbedding",
    "job.backends.embedding.encoder",
    "job.backends.knn.exact",
    "job.backends.knn.audit",
    "job.backends.graph_hdbscan",
    "job.backends.reduce.cpu",
    "job.backends.stories.level",
    "job.backends.stories.linkage",
    "job.backends.stories.themes",
    "job.backends.stories.vectors",
    "job.commands.assign_vectors",
    "job.commands.export_atlas",
    "job.commands.export_tables",
    "pymilvus",
    "milvus_lite.server_manager",
    "milvus_lite.adapter.grpc.server",
    "faiss",
    "umap",
    "hdbscan",
)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its exit code, -9 where it was killed, what it printed, and the file operations noted."""

    code: int
    said: str
    notes: list[str]
    seconds: float

    @property
    def error(self) -> str:
        """The last line that it printed: the error, if there was one."""
        return self.said.rstrip().rpartition("\n")[2]


def environment(shim: Path) -> dict[str, str]:
    """The environment of the process that forks."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    scripts = str(Path(__file__).parents[1])
    root = str(Path(__file__).parents[2])
    return kept | ENVIRONMENT | {"LD_PRELOAD": str(shim), "PYTHONPATH": f"{root}{os.pathsep}{scripts}"}


def import_all() -> None:
    """Import what a run imports."""
    import importlib

    from job.backends.torch_import import import_torch

    import_torch().set_num_threads(1)
    for name in _MODULES:
        importlib.import_module(name)


def warm_up(words: list[str], folder: Path, scratch: Path) -> Outcome:
    """Do in this process what a run does, except Milvus Lite, whose threads no fork may inherit: a run in a fork, then
    the stages without `store` again here. So compiled code, stop words and the like are in memory. Returns the run."""
    from job.cli import main

    done = run(words, scratch, folder, Fault("count"))
    for marker in (folder / "markers").glob("*.json"):
        if marker.stem != "store":
            marker.unlink()
    for name in ("embeddings", "sparse"):
        shutil.rmtree(folder / name, ignore_errors=True)
    with (scratch / "warm").open("w") as said, contextlib.redirect_stderr(said):
        code = main([*words, "neighbors.backend=exact"])
    assert code == 0, (scratch / "warm").read_text()
    # out of garbage collection, which would copy their pages in every fork
    gc.collect()
    gc.freeze()
    return done


def start(words: list[str], scratch: Path, folder: Path | None = None, fault: Fault | None = None) -> "Child":
    """Start `python -m job WORDS` in a fork; file operations below `folder` are counted if there is a `fault`."""
    scratch.mkdir(parents=True, exist_ok=True)
    said, notes = scratch / "said", scratch / "notes"
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        _run(words, said, notes, folder, fault)
    return Child(process, said, notes, time.monotonic())


def _run(words: list[str], said: Path, notes: Path, folder: Path | None, fault: Fault | None) -> None:
    """In the child: run the command, and end the process."""
    code = 70
    try:
        os.setpgid(0, 0)
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        number = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(one, signal.SIG_DFL if one != signal.SIGINT else signal.default_int_handler)
        if fault is not None and folder is not None:
            arm(folder, fault, number)
        from job.cli import main

        code = main(words)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@dataclass
class Child:
    """A run that was started."""

    process: int
    said: Path
    notes: Path
    since: float

    def send(self, number: int) -> None:
        os.kill(self.process, number)

    def ended(self) -> bool:
        """Whether it has ended; it must still be waited for."""
        return os.waitid(os.P_PID, self.process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait(self, limit: float = 120.0) -> Outcome:
        """Wait until it ends; after `limit` seconds it is killed, and its code is -1."""
        while not self.ended():
            if time.monotonic() - self.since > limit:
                os.kill(self.process, signal.SIGKILL)
                os.waitpid(self.process, 0)
                return self._outcome(-1)
            time.sleep(0.01)
        status = os.waitpid(self.process, 0)[1]
        return self._outcome(os.waitstatus_to_exitcode(status))

    def _outcome(self, code: int) -> Outcome:
        said = self.said.read_text(encoding="utf-8", errors="replace") if self.said.exists() else ""
        notes = self.notes.read_text(encoding="utf-8", errors="replace").splitlines() if self.notes.exists() else []
        return Outcome(code, re.sub(r"\r[^\n]*", "", said), notes, time.monotonic() - self.since)


def run(words: list[str], scratch: Path, folder: Path | None = None, fault: Fault | None = None) -> Outcome:
    """As `start`, and wait for its end."""
    return start(words, scratch, folder, fault).wait()


def in_fork(work: Callable[[], None]) -> int:
    """Call `work` in a fork of this process; returns its number."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        code = 1
        try:
            work()
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return process


def restore(saved: Path, folder: Path) -> None:
    """Make `folder` a copy of `saved`, with its times."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(saved, folder, symlinks=True)
