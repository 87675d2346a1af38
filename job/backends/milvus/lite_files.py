"""Milvus Lite's database as files: a folder that one process at a time has open."""

import os
import shutil
from pathlib import Path

# what Milvus Lite 3 makes in its folder
_LOCK, _COLLECTIONS = "LOCK", "collections"


def place(uri: str) -> Path:
    """The absolute path that a uri without an address names."""
    return Path(uri).expanduser().resolve()


def why_not_there(path: Path) -> str | None:
    """Why no Milvus Lite database can be opened or made at `path`, and what to do; None if it can. Writes nothing."""
    other = "set store.uri to another file"
    try:
        if path.is_dir():
            if any(path.iterdir()) and not ({_LOCK, _COLLECTIONS} & {item.name for item in path.iterdir()}):
                return f"this folder holds something and is no Milvus Lite database: {other}"
            return None if os.access(path, os.W_OK | os.X_OK) else f"it may not be written: {other}"
        if path.exists():
            return (
                "this is a file, but the database of Milvus Lite 3 is a folder (versions before it made files): move "
                f"it away, or {other}"
            )
        above = next(folder for folder in path.parents if folder.exists())
        if not above.is_dir():
            return f"'{above}' is a file, not a folder: {other}"
        if not os.access(above, os.W_OK | os.X_OK):
            return f"nothing can be made in '{above}': {other}"
    except OSError as error:
        return f"it cannot be read ({error.strerror}): {other}"
    return None


def remove(path: Path, collection: str) -> None:
    """Remove the database, whatever state it is in; if it has other collections too, only the one of this name."""
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    folders = [*path.glob(f"{_COLLECTIONS}/*"), *path.glob(f"databases/*/{_COLLECTIONS}/*")]
    ours = [folder for folder in folders if folder.name == collection]
    for folder in [path] if len(ours) == len(folders) else ours:
        if folder.exists():
            shutil.rmtree(folder)
