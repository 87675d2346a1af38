"""The ids that a run ever wrote into a collection, so that it deletes rows of its own that left the input, and no
others."""

import json

import numpy as np
import xxhash

from job.backends.milvus import is_lite, lite_files
from job.config import Config
from job.data import Ids
from job.runtime.files import atomic
from job.runtime.rundir import RunDir
from job.runtime.secrets import without_secrets

FILE = "store_ids.bin"
# of the batches that Milvus has acknowledged
JOURNAL = "store_done.txt"
# as versions before this one wrote it
_OLD_FILE = "store_ids.npy"
_NONE: Ids = np.zeros(0, np.int64)
# without this head, the file is of a version that did not note the place
_HEAD, _CHECK_BYTES = b"ids2", 8


def address(uri: str | None) -> str:
    """Where Milvus is, however the path of a Lite database is spelled; empty for the one in the run folder."""
    if uri is None:
        return ""
    return str(lite_files.place(uri)) if is_lite(uri) else without_secrets(uri)


def place_of(config: Config, identity: str) -> list[str]:
    """Where ids are written: the collection by its identity, since a server may move, or else by its address; the
    database; the collection's name."""
    store = config.store
    return [identity or address(store.uri), store.db_name, store.collection]


def load_written_ids(run: RunDir, config: Config, identity: str) -> Ids | None:
    """The ids, ascending; empty where nothing was written to this place yet, None where the file is damaged or lost."""
    try:
        found = _read(run)
    except FileNotFoundError:
        # batches are noted after the ids
        if not run.file(_OLD_FILE).exists():
            return None if run.file(JOURNAL).exists() else _NONE
        return _load_old(run) if _is_of_last_answer(run, config) else _NONE
    if found is None:
        return None
    with_place, content = found
    if with_place:
        line, _, content = content.partition(b"\n")
        same = json.loads(line) == place_of(config, identity)
    else:
        same = _is_of_last_answer(run, config)
    return np.frombuffer(content if same else b"", "<i8").astype(np.int64)


def is_list_whole(run: RunDir) -> bool:
    """Whether the list of the ids is as it was written, or of a version that kept another one."""
    try:
        return _read(run) is not None
    except FileNotFoundError:
        return run.file(_OLD_FILE).exists()


def _read(run: RunDir) -> tuple[bool, bytes] | None:
    """Whether the file notes the place, and what follows its checksum; None where it is damaged."""
    raw = run.file(FILE).read_bytes()
    with_place = raw.startswith(_HEAD)
    raw = raw.removeprefix(_HEAD)
    check, content = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
    return (with_place, content) if check == xxhash.xxh3_64(content).digest() else None


def save_written_ids(run: RunDir, config: Config, identity: str, ids: Ids) -> None:
    """Write a mark, the checksum of the rest (XXH3, 8 bytes), the place as a line of JSON, and the ids as little-endian
    int64."""
    content = json.dumps(place_of(config, identity)).encode() + b"\n" + np.ascontiguousarray(ids, "<i8").tobytes()
    with atomic(run.file(FILE)) as temporary:
        temporary.write_bytes(_HEAD + xxhash.xxh3_64(content).digest() + content)
    run.file(_OLD_FILE).unlink(missing_ok=True)


def _is_of_last_answer(run: RunDir, config: Config) -> bool:
    """Whether the run's record names this place; without a record, whether it is the database in the run folder."""
    place = place_of(config, "")
    try:
        store = json.loads(run.file("run.json").read_text(encoding="utf-8"))["config"]["store"]
        return [address(store["uri"]), store["db_name"], store["collection"]] == place
    except (OSError, ValueError, KeyError, TypeError):
        return place[0] == ""


def _load_old(run: RunDir) -> Ids | None:
    try:
        found: Ids = np.load(run.file(_OLD_FILE))
    except (OSError, ValueError, EOFError):
        return None
    return found if found.dtype == np.int64 and found.ndim == 1 else None
