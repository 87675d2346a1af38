"""Which files the input is: regular ones, each once, and none of the run folder's own."""

import errno
import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from job.backends.tables.kinds import format_of_name
from job.backends.tables.packed import SUFFIXES
from job.backends.tables.source import shown
from job.runtime.errors import BadInput
from job.runtime.log import logger

_FOLDERS_LOOKED_INTO = 1_000
_WILDCARD = re.compile(r"[*?[]")
_MARK = re.compile(r"(?:^|/)_")


def find_files(patterns: Sequence[str], run_dir: Path | None = None, log: bool = True) -> dict[Path, Path]:
    """The files that paths and globs name, globs expanded in sorted order; one of several names is taken once. With
    each the folder that its path or glob begins in: above the first wildcard.

    Files that a wildcard finds with a "_" in front are left out. Files within `run_dir` are no input: a run would read
    its own answer. `log`: say what is left out.

    Raises:
        BadInput: no such file, one that is no regular file, or one that is named and lies in `run_dir`.
    """
    found: dict[tuple[int, int], Path] = {}
    roots: dict[Path, Path] = {}
    for pattern in patterns:
        here = _matches(pattern, log)
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
            roots.setdefault(first, _root(pattern))
            if first != path and log:
                logger.info("ingest: '%s' is the same file as '%s': read once", shown(path), shown(first))
    return roots


def _root(pattern: str) -> Path:
    wildcard = _WILDCARD.search(pattern)
    return Path(pattern[: wildcard.start()] + "_").parent if wildcard else Path(pattern).parent


def _matches(pattern: str, log: bool) -> list[Path]:
    """The files that a path or glob names."""
    if "\0" in pattern:
        raise BadInput(f"input.path = {pattern!r}: a path holds no NUL; give a file or a glob such as 'news/*.csv'")
    try:
        here = [Path(pattern)] if Path(pattern).exists() else []
        here = [Path(name) for name in _data(pattern, log) if not _is_loop(name)] or here
        if not here and pattern == "-":
            raise BadInput(
                "input.path = '-': standard input can be read only once, and a run that was stopped reads its input "
                "again: write it to a file first, and name that file"
            )
        if not here:
            raise BadInput(f"input.path = '{shown(pattern)}': no such file; give a file or a glob such as 'news/*.csv'")
        for path in here:
            kind = path.stat().st_mode
            if stat.S_ISDIR(kind):
                files = _such_as(path if path == Path(pattern) else path.parent)
                raise BadInput(f"input.path = '{shown(path)}' is a folder: name the files in it, such as {files}")
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


def _data(pattern: str, log: bool) -> list[str]:
    """What the glob matches, without what a wildcard found with a "_" in front: so Spark and Hive name what is no data,
    as `_SUCCESS` and `_delta_log/`. All, where there is nothing else."""
    found = sorted(_expanded(pattern))
    wildcard = _WILDCARD.search(pattern)
    if wildcard is None or _MARK.search(pattern):
        return found
    fixed = len(pattern[: wildcard.start()].rpartition("/")[0])
    data = [name for name in found if not _MARK.search(name[fixed:])]
    if data and len(data) < len(found) and log:
        left = f"{len(found) - len(data):,} files of names with _ in front are left out"
        logger.warning("ingest: input.path = '%s': %s", shown(pattern), left)
    return data or found


def _such_as(folder: Path) -> str:
    """A pattern for the files in a folder that can be read."""
    for place, _, names in islice(os.walk(folder), _FOLDERS_LOOKED_INTO):
        for name in sorted(names):
            if not name.startswith((".", "_")) and format_of_name(Path(name)):
                suffixes = Path(name).suffixes
                suffix = "".join(suffixes[-2:] if suffixes[-1].lower() in SUFFIXES else suffixes[-1:])
                inner = "" if Path(place) == folder else "**/"
                return f"'{shown(folder)}/{inner}*{suffix}'"
    return f"'{shown(folder)}/*.csv'"


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
