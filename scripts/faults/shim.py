"""`shim.c` from Python: compiling it, and arming it in a child process."""

import ctypes
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

_SOURCE = Path(__file__).with_name("shim.c")
_MODES = ("count", "kill", "torn", "full-once", "full")


@dataclass(frozen=True)
class Fault:
    """What goes wrong at file operation `at` of a run, counted from 1.

    `count`: nothing, all operations are noted. `kill`: the process is killed before it. `torn`: if it is a write, half
    of it is done before the kill. `full-once`: it fails with ENOSPC if it takes space. `full`: so does every later one.
    """

    mode: str
    at: int = 0


def build(folder: Path | None = None) -> Path:
    """Compile the shim; `LD_PRELOAD` loads it.

    Raises:
        FileNotFoundError: there is no C compiler `cc`.
        subprocess.CalledProcessError: it does not compile, as on systems that are not Linux.
    """
    library = (folder or Path(tempfile.gettempdir())) / f"faults-shim-{_SOURCE.stat().st_mtime_ns}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
            made = Path(scratch) / library.name
            subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", made, _SOURCE, "-ldl"], check=True)
            made.replace(library)
    return library


def arm(folder: Path, fault: Fault, notes: int) -> None:
    """From here on count this process's file operations below `folder`, and write those that matter to the file
    descriptor `notes`, one line each: number, operation, path below `folder`."""
    ctypes.CDLL(None).faults_arm(str(folder).encode(), _MODES.index(fault.mode), ctypes.c_long(fault.at), notes)
