"""Which numbered pieces of work are done, for work whose result is not a file: one appended line per piece."""

from pathlib import Path
from types import TracebackType
from typing import Self

from job.runtime.files import atomic


class Journal:
    """A file whose first line is `key`; each further line is the number of a finished piece.

    A file with another key is replaced by an empty journal. A last line that a kill cut off does not count.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self.done: set[int] = set()
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        if lines and lines[0] == key:
            self.done = {int(line) for line in lines[1:] if line.isdigit()}
        self._rewrite()

    def _rewrite(self) -> None:
        with atomic(self._path) as temporary:
            text = "".join(f"{line}\n" for line in (self._key, *sorted(self.done)))
            temporary.write_text(text, encoding="utf-8")
        self._file = self._path.open("a", encoding="utf-8")

    def add(self, number: int) -> None:
        """Note that this piece is done."""
        self.done.add(number)
        self._file.write(f"{number}\n")
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
