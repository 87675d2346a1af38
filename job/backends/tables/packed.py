"""Opens files that are compressed, as what their first bytes say, whatever their names: gzip, bzip2, xz, Zstandard, and
ZIP archives of one file."""

import bz2
import gzip
import lzma
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import pyarrow as pa

from job.runtime.system_errors import no_room

# endings of names that say nothing of what is inside
SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".zip")
ZIP = "ZIP"
_FIRST_BYTES = {
    "gzip": b"\x1f\x8b",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\0",
    "Zstandard": b"\x28\xb5\x2f\xfd",
    ZIP: b"PK\x03\x04",
}
# after "BZh" and the size of the blocks: a block, or the end; a header of CSV could begin with "BZh"
_BZIP2_NEXT = (b"1AY&", b"\x17rE8")
_EMPTY_ZIP = b"PK\x05\x06"


def packing_of(path: Path) -> str:
    """How the file is compressed; "" where it is not."""
    with path.open("rb") as file:
        start = file.read(8)
    found = next((name for name, first in _FIRST_BYTES.items() if start.startswith(first)), "")
    if start.startswith(_EMPTY_ZIP):
        return ZIP
    return "" if found == "bzip2" and start[4:] not in _BZIP2_NEXT else found


def members(path: Path) -> list[zipfile.ZipInfo]:
    """The files in a ZIP archive, without those that macOS adds.

    Raises:
        BadZipFile: it is none.
    """
    with zipfile.ZipFile(path) as archive:
        return [item for item in archive.infolist() if not item.is_dir() and not _is_hidden(item.filename)]


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _open_member(path: Path) -> IO[bytes]:
    archive = zipfile.ZipFile(path)
    return archive.open(members(path)[0])


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, decompressed."""
    opens: dict[str, Callable[[Path], Any]] = {
        "gzip": gzip.open,
        "bzip2": bz2.open,
        "xz": lzma.open,
        "Zstandard": lambda name: pa.input_stream(str(name), compression="zstd"),
        ZIP: _open_member,
        "": lambda name: name.open("rb"),
    }
    return cast(IO[bytes], opens[packing_of(path)](path))


def open_seekable(path: Path) -> IO[bytes]:
    """Like `open_bytes`, but a compressed file is first decompressed into a temporary file."""
    file = open_bytes(path)
    if not packing_of(path):
        return file
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with file:
        try:
            shutil.copyfileobj(file, unpacked)
            unpacked.seek(0)
        except OSError as error:
            if no_room(error):
                # the temporary file has no name
                error.filename = tempfile.gettempdir()
            raise
    return unpacked
