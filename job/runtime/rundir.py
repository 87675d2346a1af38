"""The run folder: its lock, its atomic writes, and the markers that say which stages are done.

A stage's marker holds the digest of everything that its result depends on (`key`) and the digest of the result
itself (`output`). The keys of later stages are made from `output`, so a changed setting runs its own stage again, and
later stages only if the result has changed.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from job.runtime.errors import EXIT_DONE, EXIT_FAILED, BadInput, JobError
from job.runtime.holders import Holder, holders
from job.runtime.locks import Lock, OthersFailed, acquire
from job.runtime.ranks import ONE_PROCESS, Ranks

# who writes, for the names of temporary files
_writer = "single"


@dataclass(frozen=True)
class Marker:
    """What is saved about a finished stage. `files` maps names in the run folder to sizes in bytes, -1 for a folder."""

    stage: str
    key: str
    output: str
    files: Mapping[str, int]
    seconds: float
    finished: str
    stats: Mapping[str, Any] = field(default_factory=dict)


def digest(*values: Any) -> str:
    """Hex digest (128 bit) of JSON-like values and NumPy arrays, in order."""
    state = hashlib.blake2b(digest_size=16)
    for value in values:
        if isinstance(value, np.ndarray):
            state.update(f"{value.dtype.str}{value.shape}".encode())
            state.update(np.ascontiguousarray(value).data)
        else:
            state.update(json.dumps(value, sort_keys=True, ensure_ascii=True).encode())
        state.update(b"\0")
    return state.hexdigest()


def digest_file(path: Path) -> str:
    """Hex digest (128 bit) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name next to `path`; if the block succeeds, fsync the file and rename it to `path`."""
    # several ranks may write the same file at once, with the same content, so each needs its own temporary name
    temporary = path.with_name(f".{path.name}.{_writer}.{secrets.token_hex(4)}.tmp{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _writer_of(temporary: Path, world: int) -> int | None:
    """The rank that removes this file of `atomic` if it was left over; None: no process among others may."""
    found = re.search(r"\.(single|rank-\d+)\.[0-9a-f]{8}\.tmp", temporary.name)
    if found is None:
        return None
    rank = int(found[1].removeprefix("rank-")) if found[1] != "single" else 0
    return rank if rank < world else 0


class RunDir:
    """A run's folder. Reading needs no lock; a process that writes must hold `locked()`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str) -> Path:
        return self.path / name

    def holders(self) -> list[Holder]:
        """The processes that run or ran here: of each rank the last one."""
        return holders(self.path)

    def holder(self) -> str | None:
        """The processes that are running in this folder now, as far as one look can tell, or None."""
        running = [str(holder) for holder in self.holders() if holder.state() in ("running", "unsure")]
        return "; ".join(running) or None

    @contextmanager
    def locked(self, ranks: Ranks = ONE_PROCESS, settings: Mapping[str, str] | None = None) -> Iterator[Lock]:
        """Lock the folder for this process, and note in the lock how it ends; see `job.runtime.locks`.

        Ranks of one world share the folder, each with its own lock file, which has the rank's `settings`. A single
        process next to ranks, ranks of different worlds, and the same rank twice are refused.

        Raises:
            BadInput: the folder cannot be created or written.
            JobError: another run holds it; the message names the holder.
        """
        global _writer
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = acquire(self.path, ranks, settings or {})
        except OSError as error:
            raise BadInput(
                f"run_dir = '{self.path}': cannot write there ({error.strerror}); choose another folder"
            ) from None
        _writer = "single" if ranks.single else f"rank-{ranks.rank}"
        code, message, others = EXIT_DONE, "", False
        try:
            self._remove_leftovers(ranks)
            yield lock
        except BaseException as error:
            code = error.exit_code if isinstance(error, JobError) else EXIT_FAILED
            message, others = str(error) or type(error).__name__, isinstance(error, OthersFailed)
            raise
        finally:
            lock.end(code, message, others)

    def _remove_leftovers(self, ranks: Ranks) -> None:
        """Remove the temporary files of killed processes; a rank removes its own, since others may be writing theirs.
        Rank 0 also removes those of ranks that there are no more."""
        for leftover in self.path.rglob(".*.tmp*"):
            if not ranks.single and _writer_of(leftover, ranks.world) != ranks.rank:
                continue
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)

    def _marker_file(self, stage: str) -> Path:
        return self.path / "markers" / f"{stage}.json"

    def marker(self, stage: str) -> Marker | None:
        """The stage's marker, or None if it has none or it cannot be read."""
        try:
            return Marker(**json.loads(self._marker_file(stage).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def intact(self, marker: Marker) -> bool:
        """Whether the marker's files exist with the sizes it lists."""
        return all(
            self.file(name).exists() and (size < 0 or self.file(name).stat().st_size == size)
            for name, size in marker.files.items()
        )

    def finish(
        self, stage: str, key: str, output: str, files: list[str], seconds: float, stats: Mapping[str, Any]
    ) -> Marker:
        """Write the stage's marker, after all of its files. For a folder among `files` only its existence counts."""
        sizes = {name: self.file(name).stat().st_size if self.file(name).is_file() else -1 for name in files}
        marker = Marker(stage, key, output, sizes, round(seconds, 3), time.strftime("%Y-%m-%dT%H:%M:%S%z"), dict(stats))
        self._marker_file(stage).parent.mkdir(exist_ok=True)
        write_json(self._marker_file(stage), asdict(marker))
        return marker

    def forget(self, stage: str) -> None:
        """Remove the stage's marker, so that the stage runs again next time."""
        self._marker_file(stage).unlink(missing_ok=True)
