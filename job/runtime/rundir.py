"""The run folder: its lock, its atomic writes, and the markers that say which stages are done.

A stage's marker holds the digest of everything that its result depends on (`key`) and the digest of the result
itself (`output`). The keys of later stages are made from `output`, so a changed setting runs its own stage again, and
later stages only if the result has changed.
"""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from job.runtime.errors import BadInput, JobError
from job.runtime.ranks import ONE_PROCESS, Ranks


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
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp{path.suffix}")
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


def _lock_holder(file: Path) -> str | None:
    """The process that holds the lock on a file, as that process described itself, or None."""
    try:
        with file.open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return lock.read().strip() or "another process"
    except FileNotFoundError:
        pass
    return None


class RunDir:
    """A run's folder. Reading needs no lock; a process that writes must hold `locked()`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str) -> Path:
        return self.path / name

    @property
    def _lock_file(self) -> Path:
        return self.path / "lock"

    def _rank_lock_files(self) -> list[Path]:
        return sorted(self.path.glob("lock.rank-*"))

    def holder(self) -> str | None:
        """The processes that are running in this folder now, or None."""
        holders = [
            who for file in (self._lock_file, *self._rank_lock_files()) if (who := _lock_holder(file)) is not None
        ]
        return "; ".join(holders) or None

    @contextmanager
    def locked(self, ranks: Ranks = ONE_PROCESS) -> Iterator[None]:
        """Lock the folder for this process; the kernel releases the lock even after `kill -9`.

        Ranks of one world share the folder, each with its own lock file. A single process next to ranks, ranks of
        different worlds, and the same rank twice are refused.

        Raises:
            BadInput: the folder cannot be created or written.
            JobError: another run holds it; the message names the holder.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if ranks.single:
                file = self._lock_file.open("a+")
            else:
                file = self.file(f"lock.rank-{ranks.rank}-of-{ranks.world}").open("a+")
        except OSError as error:
            raise BadInput(
                f"run_dir = '{self.path}': cannot write there ({error.strerror}); choose another folder"
            ) from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                self._refuse(file.read().strip() or "another process")
            for other in (self._lock_file, *self._rank_lock_files()):
                same_world = not ranks.single and other.name.endswith(f"-of-{ranks.world}")
                if other != Path(file.name) and not same_world and (who := _lock_holder(other)) is not None:
                    self._refuse(who)
            file.truncate(0)
            which = "" if ranks.single else f"{ranks}, "
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            file.write(f"{which}process {os.getpid()} on {socket.gethostname()} since {now}\n")
            file.flush()
            if ranks.single:
                self._remove_leftovers()
            yield

    def _refuse(self, holder: str) -> None:
        raise JobError(
            f"run_dir = '{self.path}' is in use by {holder}: wait for that run to end, or give this one another run_dir"
        )

    def _remove_leftovers(self) -> None:
        """Remove the temporary files of killed runs."""
        for leftover in self.path.rglob(".*.tmp*"):
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
