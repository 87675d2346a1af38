"""Which numbered pieces of work are done, for work whose result is not a file: one appended line per piece."""

import re
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

from job.runtime.files import atomic


class Journal:
    """A file whose first line is `key`; each further line is the number of a finished piece and its checksum.

    A file with another key is replaced by an empty journal. A line that a kill cut off, or that is damaged, does not
    count.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self.done: set[int] = set()
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] if path.exists() else []
        if lines and lines[0] == key:
            numbers = [int(found[0]) for line in lines[1:] if (found := re.match(r"[0-9]{1,9}(?= )", line))]
            whole = set(lines)
            self.done = {number for number in numbers if self._line(number) in whole}
        self._rewrite()

    def _line(self, number: int) -> str:
        return f"{number} {zlib.crc32(f'{self._key} {number}'.encode()):08x}"

    def _rewrite(self) -> None:
        with atomic(self._path) as temporary:
            text = "".join(f"{line}\n" for line in (self._key, *map(self._line, sorted(self.done))))
            temporary.write_text(text, encoding="utf-8")
        self._file = self._path.open("a", encoding="utf-8")

    def add(self, number: int) -> None:
        """Note that this piece is done."""
        self.done.add(number)
        self._file.write(f"{self._line(number)}\n")
        self._file.flush()

    def clear(self) -> None:
        """Note that no piece is done."""
        self._file.close()
        self.done = set()
        self._rewrite()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()
