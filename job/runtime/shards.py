"""Work in shards, each saved with a marker of its own, so that a killed stage goes on where it was."""

import json
import shutil
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from job.runtime.ranks import ALONE, Ranks
from job.runtime.rundir import atomic, write_json

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Shard:
    """Rows `start` to `stop` of `number`."""

    number: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class Shards:
    """Row ranges of an array of `rows` rows, kept as `folder/00042.npy` with `folder/00042.json` written last.

    `key` is the digest of what the content depends on: a shard with another key, of another size or with
    another checksum counts as missing.
    """

    def __init__(self, folder: Path, key: str, rows: int, rows_per_shard: int) -> None:
        self._folder, self.key = folder, key
        self.all = [
            Shard(number, start, min(start + rows_per_shard, rows))
            for number, start in enumerate(range(0, rows, rows_per_shard))
        ]

    def _array(self, shard: Shard) -> Path:
        return self._folder / f"{shard.number:05d}.npy"

    def _marker(self, shard: Shard) -> Path:
        return self._folder / f"{shard.number:05d}.json"

    def left(self, ranks: Ranks = ALONE) -> list[Shard]:
        """The shards of this rank's share that are still to be made; those that are there are read and checked."""
        self._folder.mkdir(exist_ok=True)
        self._drop_foreign()
        return [shard for shard in ranks.mine(self.all) if self._good(shard) is None]

    def unmarked(self) -> list[Shard]:
        """The shards of all ranks that no marker vouches for; their content is not read."""
        return [shard for shard in self.all if self._marked(shard) is None]

    def in_words(self, shards: Iterable[Shard], ranks: Ranks) -> list[str]:
        """Shards still to be made, by the rank whose they are."""
        by_rank: dict[int, list[str]] = {}
        for shard in sorted(shards, key=lambda shard: shard.number):
            by_rank.setdefault(ranks.owner(shard.number), []).append(f"{shard.number:05d}")
        return [
            f"shards {', '.join(numbers[:8])}{' …' if len(numbers) > 8 else ''} ({len(numbers)} of rank {rank})"
            for rank, numbers in sorted(by_rank.items())
        ]

    def begun(self, key: str, rows: int) -> int:
        """How many shards in the folder were made with `key`; 0 if those of another key are all of its `rows` rows."""
        made = [marker for path in self._folder.glob("[0-9]*.json") if (marker := _read(path)).get("key") == key]
        whole = sum(int(marker["rows"]) for marker in made) >= rows
        return 0 if whole and key != self.key else len(made)

    def _drop_foreign(self) -> None:
        keep = {path for shard in self.all for path in (self._array(shard), self._marker(shard))}
        for path in self._folder.iterdir():
            # another rank may be writing: what has a temporary name is `RunDir`'s to remove
            if path not in keep and path.is_file() and not path.name.startswith("."):
                path.unlink(missing_ok=True)

    def _marked(self, shard: Shard) -> dict[str, Any] | None:
        marker = _read(self._marker(shard))
        return marker if marker.get("key") == self.key and marker.get("rows") == len(shard) else None

    def _good(self, shard: Shard) -> Array | None:
        marker = self._marked(shard)
        if marker is None:
            return None
        try:
            array: Array = np.load(self._array(shard))
        except (OSError, ValueError, EOFError):
            return None
        return array if zlib.crc32(array.data) == marker["crc32"] else None

    def write(self, shard: Shard, array: Array) -> None:
        """Save a shard: the array first, its marker last."""
        array = np.ascontiguousarray(array)
        self._marker(shard).unlink(missing_ok=True)
        with atomic(self._array(shard)) as temporary:
            np.save(temporary, array)
        write_json(self._marker(shard), {"key": self.key, "rows": len(shard), "crc32": zlib.crc32(array.data)})

    def digest_parts(self) -> list[int]:
        """The shards' checksums, in order."""
        return [marker["crc32"] for shard in self.all if (marker := self._marked(shard)) is not None]

    def read(self, shard: Shard) -> Array:
        """One shard's array."""
        array: Array = np.load(self._array(shard))
        return array

    def load(self) -> Array:
        """All shards as one array [rows, ...]."""
        arrays = [np.load(self._array(shard), mmap_mode="r") for shard in self.all]
        if len(arrays) == 1:
            return np.asarray(arrays[0])
        return np.concatenate(arrays)

    def remove(self) -> None:
        """Delete the folder: what it held stands elsewhere by now."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _read(marker: Path) -> dict[str, Any]:
    """What a marker says; nothing where it cannot be read."""
    try:
        return dict(json.loads(marker.read_text()))
    except (OSError, ValueError, TypeError):
        return {}
