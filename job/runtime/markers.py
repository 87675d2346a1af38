"""Markers: what is saved about a finished stage, so that it is known whether its files are still what it wrote."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from job.runtime.files import checksum, read_sealed, write_sealed
from job.runtime.log import logger

# of a marker's fields; another format is not read (`job.runtime.ownership` brings older ones up to date)
FORMAT = 2


@dataclass(frozen=True)
class Content:
    """A file as a stage left it: its size in bytes, and the XXH3 of its content."""

    bytes: int
    xxh3: str

    @classmethod
    def of(cls, path: Path) -> "Content":
        return cls(path.stat().st_size, checksum(path))


@dataclass(frozen=True)
class Marker:
    """What is saved about a finished stage. `files` maps names in the run folder to their content; None: a folder, of
    which only the existence counts. `made_with`: versions and machine, see `job.runtime.record`."""

    stage: str
    key: str
    output: str
    files: Mapping[str, Content | None]
    seconds: float
    finished: str
    stats: Mapping[str, Any] = field(default_factory=dict)
    made_with: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        write_sealed(path, {"format": FORMAT, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> "Marker | None":
        """The marker in a file; None where there is none, or it is damaged or of another format."""
        values = read_sealed(path)
        if values.pop("format", None) != FORMAT:
            return None
        try:
            files = {name: content and Content(**content) for name, content in values.pop("files").items()}
            return cls(files=files, **values)
        except (TypeError, KeyError, AttributeError):
            return None


class Inspector:
    """Compares the files of markers with what is on disk. A file that has not changed since is not read again."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, ...], str]] = {}
        self._said: set[tuple[Path, str]] = set()

    def problems(self, folder: Path, marker: Marker, content: bool = True) -> dict[str, str]:
        """The marker's files that are not as the stage left them, each with what is wrong; `content`: read them, else
        compare sizes only."""
        found = {}
        for name, expected in marker.files.items():
            path = folder / name
            if not path.exists():
                found[name] = "is missing"
            elif expected is not None and path.stat().st_size != expected.bytes:
                found[name] = f"has {path.stat().st_size:,} bytes, not {expected.bytes:,}"
            elif expected is not None and content and self._checksum(path) != expected.xxh3:
                found[name] = "is damaged: its content has changed"
        return found

    def say(self, folder: Path, marker: Marker, problems: Mapping[str, str]) -> None:
        """Log each of the problems once."""
        for name, what in problems.items():
            if (folder / name, what) not in self._said:
                self._said.add((folder / name, what))
                logger.warning("%s: '%s' %s since it was written: doing it again", marker.stage, folder / name, what)

    def _checksum(self, path: Path) -> str:
        about = path.stat()
        state = (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        if self._known.get(path, (None, ""))[0] != state:
            self._known[path] = (state, checksum(path))
        return self._known[path][1]
