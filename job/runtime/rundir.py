"""The run folder: its lock, its atomic writes, and the markers that say which stage is done.

A stage's marker holds the digest of everything that its result depends on (`key`) and the digest of the
result itself (`output`), from which the keys of the stages after it are made. So a setting that changes
redoes its own stage, and the stages after it only if the result became another one.
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
from job.runtime.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Marker:
    """What is known of a finished stage. `files` maps names in the run folder to sizes in bytes."""

    stage: str
    key: str
    output: str
    files: Mapping[str, int]
    seconds: float
    finished: str
    stats: Mapping[str, Any] = field(default_factory=dict)


def digest(*parts: Any) -> str:
    """Hex digest (128 bit) of JSON-like values and NumPy arrays, in order."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            state.update(f"{part.dtype.str}{part.shape}".encode())
            state.update(np.ascontiguousarray(part).data)
        else:
            state.update(json.dumps(part, sort_keys=True, ensure_ascii=True).encode())
        state.update(b"\0")
    return state.hexdigest()


def digest_file(path: Path) -> str:
    """Hex digest (128 bit) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; when the block ends well, fsync it and rename it to `path`."""
    # ranks may write the same file at once, each its own copy of the same content
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


def _held_by(file: Path) -> str | None:
    """Who holds the lock on a file, or None."""
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
    """A run's folder. Reading needs no lock; whoever writes holds `locked()`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str) -> Path:
        return self.path / name

    @property
    def _holder_file(self) -> Path:
        return self.path / "lock"

    def _rank_files(self) -> list[Path]:
        return sorted(self.path.glob("lock.rank-*"))

    def holder(self) -> str | None:
        """Who is running in this folder now, or None."""
        held = [who for file in (self._holder_file, *self._rank_files()) if (who := _held_by(file)) is not None]
        return "; ".join(held) or None

    @contextmanager
    def locked(self, ranks: Ranks = ALONE) -> Iterator[None]:
        """Hold the folder for this process; the kernel lets go of it even after `kill -9`.

        Ranks of one world hold it together, each its own place in it. A run that is alone and ranks, ranks of
        different worlds, and the same rank twice refuse each other.

        Raises:
            BadInput: the folder cannot be made or written.
            JobError: another run holds it; the message names the holder.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if ranks.alone:
                file = self._holder_file.open("a+")
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
            for other in (self._holder_file, *self._rank_files()):
                same_world = not ranks.alone and other.name.endswith(f"-of-{ranks.world}")
                if other != Path(file.name) and not same_world and (who := _held_by(other)) is not None:
                    self._refuse(who)
            file.truncate(0)
            which = "" if ranks.alone else f"{ranks}, "
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            file.write(f"{which}process {os.getpid()} on {socket.gethostname()} since {now}\n")
            file.flush()
            if ranks.alone:
                self._sweep()
            yield

    def _refuse(self, holder: str) -> None:
        raise JobError(
            f"run_dir = '{self.path}' is in use by {holder}: wait for that run to end, or give this one another run_dir"
        )

    def _sweep(self) -> None:
        """Remove what a killed run left half-written."""
        for leftover in self.path.rglob(".*.tmp*"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)

    def _marker_file(self, stage: str) -> Path:
        return self.path / "markers" / f"{stage}.json"

    def marker(self, stage: str) -> Marker | None:
        """The stage's marker, or None where it has none or one that cannot be read."""
        try:
            return Marker(**json.loads(self._marker_file(stage).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def intact(self, marker: Marker) -> bool:
        """Whether the files that the marker vouches for are there, in their sizes."""
        return all(
            self.file(name).exists() and (size < 0 or self.file(name).stat().st_size == size)
            for name, size in marker.files.items()
        )

    def finish(
        self, stage: str, key: str, output: str, files: list[str], seconds: float, stats: Mapping[str, Any]
    ) -> Marker:
        """Write the stage's marker, last of all. A folder among `files` is vouched for by its presence alone."""
        sizes = {name: self.file(name).stat().st_size if self.file(name).is_file() else -1 for name in files}
        marker = Marker(stage, key, output, sizes, round(seconds, 3), time.strftime("%Y-%m-%dT%H:%M:%S%z"), dict(stats))
        self._marker_file(stage).parent.mkdir(exist_ok=True)
        write_json(self._marker_file(stage), asdict(marker))
        return marker

    def forget(self, stage: str) -> None:
        """Take the stage's marker away: it runs again next time."""
        self._marker_file(stage).unlink(missing_ok=True)
