"""The ids that a run ever wrote into Milvus, so that it deletes rows of its own that left the input, and no others."""

import numpy as np
import xxhash

from job.data import Ids
from job.runtime.files import atomic
from job.runtime.rundir import RunDir

FILE = "store_ids.bin"
# as versions before this one wrote it
_OLD_FILE = "store_ids.npy"
_CHECK_BYTES = 8


def load_written_ids(run: RunDir) -> Ids | None:
    """The ids, ascending; empty where nothing was written yet, None where the file is damaged or lost."""
    try:
        raw = run.file(FILE).read_bytes()
    except FileNotFoundError:
        # batches are noted after the ids
        return _load_old(run) if run.file(_OLD_FILE).exists() or not run.file("store_done.txt").exists() else None
    check, content = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
    if check != xxhash.xxh3_64(content).digest():
        return None
    return np.frombuffer(content, "<i8").astype(np.int64)


def save_written_ids(run: RunDir, ids: Ids) -> None:
    """Write the checksum (XXH3, 8 bytes) and the ids as little-endian int64."""
    content = np.ascontiguousarray(ids, "<i8").tobytes()
    with atomic(run.file(FILE)) as temporary:
        temporary.write_bytes(xxhash.xxh3_64(content).digest() + content)
    run.file(_OLD_FILE).unlink(missing_ok=True)


def _load_old(run: RunDir) -> Ids | None:
    if not run.file(_OLD_FILE).exists():
        return np.zeros(0, np.int64)
    try:
        found: Ids = np.load(run.file(_OLD_FILE))
    except (OSError, ValueError, EOFError):
        return None
    return found if found.dtype == np.int64 and found.ndim == 1 else None
