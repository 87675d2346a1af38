"""Which folders are run folders: those with a `run_folder.json` of ours. Nothing is written into any other.

The file also holds the checksum of `config.json`, which other commands read.
"""

import json
import os
from pathlib import Path
from typing import Any

from job.runtime.errors import BadInput
from job.runtime.files import checksum, read_sealed, write_sealed
from job.runtime.log import logger
from job.runtime.markers import Content, Marker

NAME = "run_folder.json"
# of the folder as a whole. 1: before there was this file, markers without checksums
FORMAT = 2
PROGRAM = "headline-clusters"
_SECTIONS = {"run_dir", "input", "embed", "store", "cluster"}


def claim(folder: Path) -> None:
    """Make `folder`, which exists, a run folder, or see that it is one.

    Raises:
        BadInput: it holds something and is no run folder, or is of a later format.
        OSError: it cannot be read or written.
    """
    found = _read(folder)
    if found is not None:
        _check_format(folder, found)
        return
    if not _others(folder):
        write_sealed(folder / NAME, _facts())


def is_run_folder(folder: Path) -> bool:
    """Whether it has a file of ours."""
    return _read(folder) is not None


def around(path: Path) -> Path | None:
    """The run folder that `path` is or lies in; None where it is in none."""
    path = path.resolve()
    return next((folder for folder in (path, *path.parents) if is_run_folder(folder)), None)


def look(folder: Path) -> str:
    """What `claim` would find, in words; writes nothing.

    Raises:
        BadInput: as `claim`, or nothing can be written there.
    """
    try:
        place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not place.is_dir():
            raise BadInput(f"run_dir = '{folder}': '{place}' is no folder; choose another folder")
        if not os.access(place, os.W_OK | os.X_OK):
            raise BadInput(f"run_dir = '{folder}': cannot write in '{place}'; choose another folder")
        if place != folder:
            return "a new folder"
        found = _read(folder)
        if found is not None:
            _check_format(folder, found)
        elif not _others(folder):
            return "an empty folder"
        return "a run folder: a run goes on from what is finished in it"
    except OSError as error:
        raise BadInput(f"run_dir = '{folder}': cannot be read ({error.strerror}); choose another folder") from None


def _others(folder: Path) -> list[str]:
    """What lies in the folder beside our file.

    Raises:
        BadInput: it is no run's.
    """
    others = sorted(path.name for path in folder.iterdir() if not path.name.startswith(f".{NAME}."))
    # two processes that start at the same moment: the other may have been faster
    if others and not (folder / NAME).exists() and not _is_ours(folder):
        raise BadInput(
            f"run_dir = '{folder}' is not empty and no run folder: it holds '{others[0]}'"
            f"{f' and {len(others) - 1} more' if len(others) > 1 else ''} and no {NAME}. Nothing is written there: "
            "name an empty or a new folder"
        )
    return others


def upgrade(folder: Path) -> None:
    """Bring a run folder that an older version left up to date; call it with the folder's lock.

    Its files are taken as they are: an older marker says only their sizes.
    """
    if _read(folder) is not None:
        return
    taken = 0
    for path in sorted(folder.glob("markers/*.json")):
        marker = _old_marker(folder, path)
        if marker is not None:
            marker.save(path)
            taken += 1
    if taken:
        logger.info("run: '%s' is of an older version: took over %d finished stages", folder, taken)
    write_sealed(folder / NAME, _facts(folder))


def check(folder: Path) -> None:
    """Raise `BadInput` unless `folder` is a run folder of this format, with the `config.json` that its run wrote."""
    found = _read(folder)
    config = folder / "config.json"
    if found is None:
        if folder.is_dir() and _is_ours(folder):
            raise BadInput(
                f"'{folder}' is the run folder of an older version, or its {NAME} is damaged: give its `run` once "
                "more, which keeps what is finished"
            )
        raise BadInput(f"'{folder}' is no run folder: it has no {NAME}; name the run_dir of a run")
    _check_format(folder, found)
    if not config.is_file():
        raise BadInput(f"'{folder}' has no config.json: give its `run` once more")
    if checksum(config) != found.get("config"):
        raise BadInput(f"'{config}' is not as its run wrote it: give its `run` once more, which writes it again")


def settings(folder: Path) -> dict[str, Any]:
    """The settings of the folder's run, as they stand in a configuration file.

    Raises:
        BadInput: as `check`.
    """
    check(folder)
    values = dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    # the folder may have been moved; and the file has the recipe's settings already
    values["run_dir"] = str(folder)
    values.get("cluster", {}).pop("recipe", None)
    return values


def note_config(folder: Path) -> None:
    """Note the checksum of `config.json`, which has just been written."""
    facts = _facts(folder)
    if facts != _read(folder):
        write_sealed(folder / NAME, facts)


def _facts(folder: Path | None = None) -> dict[str, Any]:
    config = None if folder is None else folder / "config.json"
    return {
        "program": PROGRAM,
        "format": FORMAT,
        "config": checksum(config) if config is not None and config.is_file() else None,
    }


def _read(folder: Path) -> dict[str, Any] | None:
    """The content of the folder's file; None where there is none, or none of ours."""
    found = read_sealed(folder / NAME)
    return found if found.get("program") == PROGRAM and isinstance(found.get("format"), int) else None


def _check_format(folder: Path, found: dict[str, Any]) -> None:
    if found["format"] > FORMAT:
        raise BadInput(
            f"'{folder}' is a run folder of a later version (format {found['format']}; this one knows {FORMAT}): use "
            "that version, or name another run_dir"
        )


def _is_ours(folder: Path) -> bool:
    """Whether a folder without a readable file of ours is a run's all the same: an older one, or a damaged one."""
    if any(_fields(path) is not None for path in folder.glob("markers/*.json")):
        return True
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and config.keys() >= _SECTIONS


def _fields(path: Path) -> dict[str, Any] | None:
    """The fields of a marker of any format; None where the file is no marker."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or values.get("stage") != path.stem or not values.keys() >= {"key", "output"}:
        return None
    return values


def _old_marker(folder: Path, path: Path) -> Marker | None:
    """A marker of format 1 as one of today's; None if it is of another format or its files do not have its sizes."""
    values = _fields(path)
    if values is None or "format" in values:
        return None
    try:
        sizes = dict(values.pop("files"))
        files = {name: None if size < 0 else Content.of(folder / name) for name, size in sizes.items()}
        if any(content is not None and content.bytes != sizes[name] for name, content in files.items()):
            return None
        return Marker(files=files, **values)
    except (OSError, ValueError, TypeError, KeyError):
        return None
