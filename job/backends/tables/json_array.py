"""Reads a JSON array one element at a time, so that it is never in memory as a whole."""

import io
import json
import re
from collections.abc import Iterator
from typing import Any

from job.backends.tables.source import too_long

_CHARS_AT_ONCE = 65_536
_ENDS = "the file ends within the array"
# -Infinity
_LONGEST_WORD = 9
_SPACE = re.compile(r"[ \t\n\r]*")


class NoArray(Exception):
    """The text is no JSON array; the message says in which line, and why."""


def is_array(text: io.TextIOWrapper) -> bool:
    """Whether the text begins as an array does."""
    while (chars := text.read(_CHARS_AT_ONCE)) and not chars.strip():
        pass
    return chars.lstrip().startswith("[")


class JsonArray:
    """The elements of the array that a text holds: of each its line, its value, and its own text.

    Iterating raises `NoArray`, which names the line, where the text is no JSON: from there on, elements cannot be told
    apart. So does an element that does not end within `limit` characters.
    """

    def __init__(self, text: io.TextIOWrapper, limit: int) -> None:
        self._text, self._limit = text, limit
        self._decode = json.JSONDecoder().raw_decode
        # the next character to read is `_buffer[_at]`, in line `_line`
        self._buffer, self._at, self._line = "", 0, 1

    def __iter__(self) -> Iterator[tuple[int, Any, str]]:
        self._take("[")
        mark = self._take("]") if self._next() == "]" else ","
        while mark == ",":
            self._next()
            value, end = self._element()
            yield self._line, value, self._buffer[self._at : end]
            self._pass(end)
            mark = self._take(",]")
        if self._next():
            raise self._problem("text after the end of the array")

    def _element(self) -> tuple[Any, int]:
        """The value that begins at the next character, and where it ends in the buffer."""
        while True:
            found = self._decoded()
            # at the end of the buffer, "1e+" may go on in the file
            if not isinstance(found, NoArray) and len(self._buffer) - found[1] > 2:
                return found
            if len(self._buffer) - self._at > self._limit:
                raise self._problem(f"an element {too_long(self._limit)}")
            if not self._read():
                if isinstance(found, NoArray):
                    raise found
                return found

    def _decoded(self) -> tuple[Any, int] | NoArray:
        """The value and its end, or what is wrong where more text could mend it."""
        try:
            return self._decode(self._buffer, self._at)
        except json.JSONDecodeError as error:
            # the text ends within the element, or perhaps within a word
            rest, in_string = self._buffer[error.pos :].strip(), error.msg.startswith("Unterminated")
            problem = self._problem(_ENDS if in_string or not rest else error.msg, error.pos)
            if not in_string and len(rest) > _LONGEST_WORD:
                raise problem from None
            return problem
        except (ValueError, RecursionError) as error:
            raise self._problem(str(error)) from None

    def _take(self, marks: str) -> str:
        """Pass the next character, which has to be one of `marks`."""
        found = self._next()
        if not found or found not in marks:
            raise self._problem(f"Expecting {' or '.join(marks)}" if found else _ENDS)
        self._pass(self._at + 1)
        return found

    def _next(self) -> str:
        """The next character that is no white space; "" at the end."""
        while True:
            space = _SPACE.match(self._buffer, self._at)
            self._pass(space.end() if space else self._at)
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._read():
                return ""

    def _pass(self, end: int) -> None:
        self._line += self._buffer.count("\n", self._at, end)
        self._at = end

    def _read(self) -> bool:
        """Read more of the text, at least as much again as has not been passed; False at its end."""
        rest = self._buffer[self._at :]
        more = self._text.read(max(_CHARS_AT_ONCE, len(rest)))
        if more:
            self._buffer, self._at = rest + more, 0
        return bool(more)

    def _problem(self, reason: str, place: int | None = None) -> NoArray:
        place = self._at if place is None else place
        return NoArray(f"line {self._line + self._buffer.count(chr(10), self._at, place)}: {reason}")
