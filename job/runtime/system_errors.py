"""What the operating system refuses, in one line each: a full disk, no permission, no memory, too many open files."""

import errno
import re
from collections.abc import Iterator
from pathlib import Path

from job.runtime.errors import BadInput, JobError, Resumable

_AGAIN = "finished work is kept: then give the same command again"
_NO_SPACE = {errno.ENOSPC: "no space left on this disk", errno.EDQUOT: "your quota of this disk is used up"}
_REFUSED = {
    errno.EACCES: "permission denied",
    errno.EPERM: "operation not permitted",
    errno.EROFS: "this file system is read-only",
    errno.ENAMETOOLONG: "this name is too long",
}
# of torch, whose errors have no type of their own for this
_OUT_OF_MEMORY = re.compile(r"can't allocate memory|out of memory|not enough memory", re.IGNORECASE)
_ERRNO = re.compile(r"\[errno (\d+)\]", re.IGNORECASE)
# pyarrow names the file within its message
_PATH = re.compile(r"(?:file|directory|path) '([^']+)'")


def explained(error: BaseException, run_dir: Path | None = None) -> JobError | None:
    """The error that says what the system refuses and what to do; None where that is not what happened.

    `run_dir`: to name where a disk is full and the error names no file.
    """
    for one in _chain(error):
        if isinstance(one, MemoryError) or (isinstance(one, RuntimeError) and _OUT_OF_MEMORY.search(str(one))):
            return JobError(
                f"out of memory ({_first_line(one) or type(one).__name__}): `python -m job doctor CONFIG` says what "
                f"each stage needs; {_AGAIN} on a machine that has it"
            )
        if isinstance(one, OSError):
            return _of_system(one, run_dir)
    return None


def no_room(error: BaseException) -> Resumable | None:
    """The error that says that a disk, a quota or a limit leaves no room; None where that is not what happened."""
    found = explained(error)
    return found if isinstance(found, Resumable) else None


def _of_system(error: OSError, run_dir: Path | None) -> JobError | None:
    text = str(error)
    found, named = _ERRNO.search(text), _PATH.search(text)
    number = error.errno or (int(found[1]) if found else None)
    name = error.filename if error.filename is not None else named[1] if named else None
    where = f"'{name}': " if name is not None else ""
    if number in _NO_SPACE:
        place = f" (the run folder is '{run_dir}')" if run_dir is not None and not where else ""
        return Resumable(f"{where}{_NO_SPACE[number]}{place}: make room; {_AGAIN}")
    if number == errno.EFBIG:
        return Resumable(f"{where}larger than files may be here (`ulimit -f`): raise the limit; {_AGAIN}")
    if number in (errno.EMFILE, errno.ENFILE):
        return Resumable(f"{where}too many open files: raise the limit, as by `ulimit -n 4096`; {_AGAIN}")
    if number in _REFUSED:
        return BadInput(f"{where}{_REFUSED[number]}: name another place, or mend that")
    if number == errno.EIO:
        return JobError(f"{where}the disk failed to read or write: its content may be damaged")
    return JobError(f"{where}{error.strerror or _first_line(error)}") if number else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from."""
    one: BaseException | None = error
    for _ in range(10):
        if one is None:
            return
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else ""
