"""Files of the run folder: written whole or not at all, known by their content, and removed only if they are ours."""

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

# folders that a run makes in its own; no other is ever looked into
FOLDERS = ("markers", "locks", "embeddings", "sparse", "neighbors", "collection")
_SINGLE = "single"
_TEMPORARY = re.compile(r"\..+\.(single|rank-\d+)\.[0-9a-f]{8}\.tmp(\.\w+)*")
_CHUNK = 2**20
_SEAL = "xxh3"

# who writes, for the names of temporary files
_writer = _SINGLE


def set_writer(rank: int | None) -> None:
    """Name this process's temporary files after its rank; None: a single process."""
    global _writer
    _writer = _SINGLE if rank is None else f"rank-{rank}"


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


def checksum(path: Path) -> str:
    """XXH3 of a file's content, 128 bit in hex: finds damage at the speed of memory; no protection against intent."""
    state, buffer = xxhash.xxh3_128(), memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            state.update(buffer[:size])
    return state.hexdigest()


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


def write_array(path: Path, array: np.ndarray) -> None:
    """Write `array` as `np.save` does, row by row. On a full disk `np.save` gives no reason for a large array, and no
    error at all for the last 4 KB."""
    array = np.ascontiguousarray(array)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, atomically."""
    with atomic(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        # a lone surrogate, as in a file name that is not UTF-8, becomes JSON's own escape
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))


def write_sealed(path: Path, values: Mapping[str, Any]) -> None:
    """Write `values` as JSON with a checksum of them as `xxh3`, for `read_sealed`."""
    write_json(path, sealed(values))


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with their checksum, for a JSON file that `read_sealed` reads."""
    # as it will be read: with text as keys
    return {**values, _SEAL: _checksum(json.loads(json.dumps(values)))}


def read_sealed(path: Path) -> dict[str, Any]:
    """The values of a file of `write_sealed`; empty where there is none or it is damaged.

    A file without a checksum is read too: older versions wrote none.
    """
    try:
        values = dict(json.loads(path.read_text(encoding="utf-8")))
        return values if values.pop(_SEAL, None) in (None, _checksum(values)) else {}
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def _checksum(values: Mapping[str, Any]) -> str:
    return xxhash.xxh3_128(json.dumps(values, sort_keys=True).encode()).hexdigest()


def remove_leftovers(folder: Path, rank: int | None, world: int) -> None:
    """Remove the temporary files of `atomic` that killed processes left in a run folder.

    A rank removes its own, since others may be writing theirs; rank 0 also those of a single process, and of ranks
    that a world of `world` ranks no longer has. `rank` None: a single process removes all.
    """
    for place in (folder, *(folder / name for name in FOLDERS)):
        for path in place.glob(".*"):
            found = _TEMPORARY.fullmatch(path.name)
            if found is None or path.is_symlink() or not path.is_file():
                continue
            writer = 0 if found[1] == _SINGLE else int(found[1].removeprefix("rank-"))
            if rank is None or rank == (writer if writer < world else 0):
                path.unlink(missing_ok=True)
