"""Work in shards, each saved with its own marker, so that a killed stage continues where it stopped."""

import re
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from job.runtime import signals
from job.runtime.files import atomic, read_sealed, write_array, write_sealed
from job.runtime.ranks import ONE_PROCESS, Ranks

Array = npt.NDArray[Any]

# in a folder of shards: what is to be made there, for `status`
PLAN = "plan.json"
_SHARD_FILE = re.compile(r"\d{5,}\.(npy|json)")
# of the arrays that this process has read, with what tells whether a file has changed since
_checksums: dict[Path, tuple[tuple[int, ...], int]] = {}


@dataclass(frozen=True)
class Shard:
    """Shard `number`: the rows from `start` up to, not including, `stop`."""

    number: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class Shards:
    """Row ranges of an array of `rows` rows, saved as `folder/00042.npy` and then its marker `folder/00042.json`.

    `key` is the digest of everything that the content depends on: a shard with another key, number of rows or
    checksum counts as missing.
    """

    def __init__(self, folder: Path, key: str, rows: int, rows_per_shard: int) -> None:
        self._folder, self.key = folder, key
        self.all = [
            Shard(number, start, min(start + rows_per_shard, rows))
            for number, start in enumerate(range(0, rows, rows_per_shard))
        ]

    def _array_file(self, shard: Shard) -> Path:
        return self._folder / f"{shard.number:05d}.npy"

    def _marker_file(self, shard: Shard) -> Path:
        return self._folder / f"{shard.number:05d}.json"

    def to_make(self, ranks: Ranks = ONE_PROCESS) -> list[Shard]:
        """The shards of this rank's share that must be made; existing ones are read and their checksums compared."""
        self._folder.mkdir(exist_ok=True)
        self._remove_other_files()
        rows = sum(map(len, self.all))
        write_sealed(
            self._folder / PLAN, {"key": self.key, "shards": len(self.all), "rows": rows, "ranks": ranks.world}
        )
        return [shard for shard in ranks.share_of(self.all) if not self._is_valid(shard)]

    def missing(self) -> list[Shard]:
        """The shards of all ranks that must be made; existing ones are read, once in this process while they do not
        change, and their checksums compared."""
        found = []
        for shard in self.all:
            signals.check()
            if not self._is_valid(shard):
                found.append(shard)
        return found

    def names(self) -> list[str]:
        """The names of all arrays in the run folder, whether they are there or not."""
        return [f"{self._folder.name}/{self._array_file(shard).name}" for shard in self.all]

    def describe(self, shards: Iterable[Shard], ranks: Ranks) -> list[str]:
        """One line per rank that owns some of `shards`: the numbers of the first 8 and the count."""
        by_rank: dict[int, list[str]] = {}
        for shard in sorted(shards, key=lambda shard: shard.number):
            by_rank.setdefault(ranks.owner(shard.number), []).append(f"{shard.number:05d}")
        return [
            f"shards {', '.join(numbers[:8])}{' …' if len(numbers) > 8 else ''} ({len(numbers)} of rank {rank})"
            for rank, numbers in sorted(by_rank.items())
        ]

    def begun(self, key: str, rows: int) -> int:
        """The number of shards in the folder made with `key`, whose array has `rows` rows.

        0 if `key` is not `self.key` and all of its rows are there: that work was finished, not only begun.
        """
        made = [marker for path in self._folder.glob("[0-9]*.json") if (marker := _read_marker(path)).get("key") == key]
        complete = sum(int(marker["rows"]) for marker in made) >= rows
        return 0 if complete and key != self.key else len(made)

    def _remove_other_files(self) -> None:
        keep = {path for shard in self.all for path in (self._array_file(shard), self._marker_file(shard))}
        for path in _shard_files(self._folder):
            if path not in keep:
                path.unlink(missing_ok=True)

    def _valid_marker(self, shard: Shard) -> dict[str, Any] | None:
        marker = _read_marker(self._marker_file(shard))
        return marker if marker.get("key") == self.key and marker.get("rows") == len(shard) else None

    def _is_valid(self, shard: Shard) -> bool:
        marker = self._valid_marker(shard)
        if marker is None:
            return False
        try:
            return bool(_array_checksum(self._array_file(shard)) == marker["crc32"])
        except (OSError, ValueError, EOFError):
            return False

    def write(self, shard: Shard, array: Array, **counts: int) -> None:
        """Save a shard: the array first, its marker last, with these `counts` in it."""
        array = np.ascontiguousarray(array)
        self._marker_file(shard).unlink(missing_ok=True)
        with atomic(self._array_file(shard)) as temporary:
            write_array(temporary, array)
        made = {"rows": len(shard), "crc32": zlib.crc32(array.data), "at": round(time.time(), 3), **counts}
        write_sealed(self._marker_file(shard), {"key": self.key, **made})

    def checksums(self) -> list[int]:
        """The CRC-32 checksums of the shards with a valid marker, in order."""
        return [marker["crc32"] for shard in self.all if (marker := self._valid_marker(shard)) is not None]

    def sum(self, count: str, shards: Iterable[Shard] | None = None) -> int:
        """The sum of one of the counts that `write` was given, over those of `shards`, or all, with a valid marker."""
        markers = map(self._valid_marker, self.all if shards is None else shards)
        return sum(marker.get(count, 0) for marker in markers if marker is not None)

    def read(self, shard: Shard) -> Array:
        """One shard's array."""
        array: Array = np.load(self._array_file(shard))
        return array

    def load(self) -> Array:
        """All shards as one array [rows, ...]."""
        arrays = [np.load(self._array_file(shard), mmap_mode="r") for shard in self.all]
        if len(arrays) == 1:
            return np.asarray(arrays[0])
        return np.concatenate(arrays)

    def remove(self) -> None:
        """Delete the shards, once their content is saved elsewhere."""
        remove_shards(self._folder)


def remove_shards(folder: Path) -> None:
    """Delete all shards in a folder and, if nothing else is in it, the folder."""
    for path in [*_shard_files(folder), folder / PLAN]:
        path.unlink(missing_ok=True)
    # somebody's own files, or the temporary file of another rank
    with suppress(OSError):
        folder.rmdir()


def array_files(folder: Path) -> list[Path]:
    """The arrays of all shards in a folder, in order. Other files may lie there: they are not ours."""
    # from 100,000 on, names are longer
    return sorted((path for path in _shard_files(folder) if path.suffix == ".npy"), key=lambda path: int(path.stem))


def _array_checksum(path: Path) -> int:
    """The CRC-32 of an array's values."""
    about = path.stat()
    state = (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    known = _checksums.get(path)
    if known is None or known[0] != state:
        known = _checksums[path] = (state, zlib.crc32(np.load(path).data))
    return known[1]


def _shard_files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("[0-9]*") if _SHARD_FILE.fullmatch(path.name)]


def progress(folder: Path) -> dict[str, Any] | None:
    """How far the shards of a folder are, from its plan and markers: `shards` and `rows` in all, `done` and
    `rows_done`, and `marks`, the markers of those that are done; None: none were planned."""
    plan = read_sealed(folder / PLAN)
    if not plan.keys() >= {"key", "shards", "rows", "ranks"}:
        return None
    marks = [_read_marker(path) | {"shard": int(path.stem)} for path in sorted(folder.glob("[0-9]*.json"))]
    marks = [mark for mark in marks if mark.get("key") == plan["key"]]
    return {**plan, "done": len(marks), "rows_done": sum(mark["rows"] for mark in marks), "marks": marks}


def _read_marker(marker: Path) -> dict[str, Any]:
    """The content of a shard's marker; empty if there is none or it is damaged."""
    found = read_sealed(marker)
    return found if found.keys() >= {"key", "rows", "crc32", "at"} else {}
