"""Which files `input.path` names: regular files, each once, and none of the run folder's own."""

import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from job.backends.tables import reading, shown
from job.config import Input
from job.runtime.errors import BadInput
from job.runtime.log import logger
from job.runtime.rundir import digest, digest_file

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def input_digest(config: Input, run_dir: Path | None = None) -> str:
    """Digest of the input's content: the files' names and bytes.

    Raises:
        BadInput: see `find_files`.
    """
    parts: list[list[str]] = []
    for path in find_files(config, run_dir, log=False):
        with reading(path):
            parts.append([str(path), digest_file(path)])
    return digest(parts)


def find_files(config: Input, run_dir: Path | None = None, log: bool = True) -> list[Path]:
    """The input's files, globs expanded in sorted order. A file that is named several times, also by links, is there
    once, by the first of its names. Files in `run_dir` that a glob matches are left out, which is logged if `log`.

    Raises:
        BadInput: no such file, a folder, a pipe or a device, a file in `run_dir` given by its name, or no file is left.
    """
    found: dict[tuple[int, int], Path] = {}
    own: list[Path] = []
    folder = run_dir.resolve() if run_dir is not None else None
    for pattern in config.paths:
        named = os.path.lexists(pattern)
        here = [Path(pattern)] if named else [Path(name) for name in sorted(_matches(pattern))]
        if not here:
            raise BadInput(f"input.path = '{shown(pattern)}': no such file; give a file or a glob such as 'news/*.csv'")
        for path in here:
            identity = _checked(path)
            if folder is None or not path.resolve().is_relative_to(folder):
                found.setdefault(identity, path)
            elif named:
                raise BadInput(
                    f"input.path = '{shown(path)}' lies in run_dir = '{shown(run_dir)}', which holds what a run "
                    "writes: set run_dir to another folder, or move the file out of it"
                )
            else:
                own.append(path)
    if not found:
        raise BadInput(
            f"input.path = '{shown(', '.join(config.paths))}' matches only files in run_dir = '{shown(run_dir)}', "
            "which holds what a run writes: name files that lie elsewhere"
        )
    if own and log:
        example = shown(own[0])
        logger.info("ingest: %s files of run_dir match input.path and are left out, such as %s", len(own), example)
    return list(found.values())


def _checked(path: Path) -> tuple[int, int]:
    """What identifies the file, whatever it is called; refuses everything but a regular file."""
    where = f"input.path = '{shown(path)}'"
    try:
        status = path.stat()
    except OSError as error:
        if path.is_symlink() and isinstance(error, FileNotFoundError):
            raise BadInput(f"{where} is a link to a file that does not exist: mend or remove the link") from None
        raise BadInput(f"{where}: {error.strerror or error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise BadInput(f"{where} is a folder: name the files in it, such as '{shown(path)}/*.csv'")
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for test, name in _KINDS if test(status.st_mode)), "no regular file")
        raise BadInput(f"{where} is {kind}: the input is read more than once, so save it as a file and name that")
    return status.st_dev, status.st_ino


def _matches(pattern: str) -> Iterator[str]:
    """What the glob matches; `**` enters each folder once, however many links lead to it, which `glob` does not do."""
    parts = pattern.split("/")
    if "**" not in parts:
        yield from glob.iglob(pattern)
        return
    at = parts.index("**")
    head, tail = "/".join(parts[:at]), "/".join(parts[at + 1 :])
    tops = ["/" if at else "."] if not head else glob.glob(head)
    seen: set[tuple[int, int]] = set()
    for top in sorted(tops):
        for folder in _folders(top, seen):
            inside = f"{glob.escape(folder)}/{tail or '*'}"
            yield from (name for name in _matches(inside) if tail or not Path(name).is_dir())


def _folders(top: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """`top` and the folders in it, links to folders followed, without hidden ones and those in `seen`."""
    for folder, inner, _ in os.walk(top, followlinks=True):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            inner.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield folder
