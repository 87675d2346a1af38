"""Which files the input is: regular ones, each once, and none of the run folder's own."""

import errno
import glob
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from job.backends.tables.source import shown
from job.runtime.errors import BadInput
from job.runtime.log import logger


def find_files(patterns: Sequence[str], run_dir: Path | None = None, log: bool = True) -> list[Path]:
    """The files that paths and globs name, globs expanded in sorted order; one of several names is taken once.

    Files within `run_dir` are no input: a run would read its own answer. `log`: say what is left out.

    Raises:
        BadInput: no such file, one that is no regular file, or one that is named and lies in `run_dir`.
    """
    found: dict[tuple[int, int], Path] = {}
    for pattern in patterns:
        here = _matches(pattern)
        inside = [path for path in here if run_dir is not None and _is_within(path, run_dir)]
        if inside and (len(inside) == len(here) or Path(pattern).exists()):
            raise BadInput(
                f"input.path = '{shown(pattern)}': '{shown(inside[0])}' lies in run_dir = '{shown(run_dir or '')}', "
                "where the run writes its own files: move the input out of it, or name another run_dir"
            )
        if inside and log:
            logger.warning("ingest: input.path = '%s': %d files in run_dir are left out", shown(pattern), len(inside))
        for path in here:
            if path in inside:
                continue
            about = path.stat()
            first = found.setdefault((about.st_dev, about.st_ino), path)
            if first != path and log:
                logger.info("ingest: '%s' is the same file as '%s': read once", shown(path), shown(first))
    return list(found.values())


def _matches(pattern: str) -> list[Path]:
    """The files that a path or glob names."""
    if "\0" in pattern:
        raise BadInput(f"input.path = {pattern!r}: a path holds no NUL; give a file or a glob such as 'news/*.csv'")
    try:
        here = [Path(pattern)] if Path(pattern).exists() else []
        here = [Path(name) for name in sorted(_expanded(pattern)) if not _is_loop(name)] or here
        if not here:
            raise BadInput(f"input.path = '{shown(pattern)}': no such file; give a file or a glob such as 'news/*.csv'")
        for path in here:
            kind = path.stat().st_mode
            if stat.S_ISDIR(kind):
                folder = shown(path)
                raise BadInput(f"input.path = '{folder}' is a folder: name the files in it, such as '{folder}/*.csv'")
            if not stat.S_ISREG(kind):
                raise BadInput(f"input.path = '{shown(path)}' is no regular file: copy what it gives into a file first")
    except OSError as error:
        named = error.filename or pattern
        raise BadInput(
            f"input.path = '{shown(pattern)}': '{shown(named)}': {error.strerror}; give files that can be read"
        ) from None
    return here


def _expanded(pattern: str) -> Iterator[str]:
    """What the glob matches. `**` enters each folder once, however many links lead to it; `glob` takes every way there
    is, and their number doubles with each step round two loops."""
    parts = pattern.split("/")
    if "**" not in parts:
        yield from glob.iglob(pattern)
        return
    at = parts.index("**")
    head, tail = "/".join(parts[:at]), "/".join(parts[at + 1 :])
    tops = ["/" if at else "."] if not head else sorted(glob.glob(head))
    seen: set[tuple[int, int]] = set()
    for top in tops:
        for folder in _folders(top, seen):
            inside = _expanded(f"{glob.escape(folder)}/{tail or '*'}")
            yield from (name for name in inside if tail or not Path(name).is_dir())


def _folders(top: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """`top` and the folders in it, links followed, without hidden ones and those in `seen`, which it adds to."""
    for folder, inner, _ in os.walk(top, followlinks=True):
        about = Path(folder).stat()
        if (about.st_dev, about.st_ino) in seen:
            inner.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield folder


def _is_loop(name: str) -> bool:
    """Whether a path goes round a loop of links, which a glob follows as far as the system does."""
    try:
        Path(name).stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _is_within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.expanduser().resolve())
