"""Reads JSON one value at a time, so that it is never in memory as a whole: an array that is the whole file, arrays
within an object, as news services answer: `{"status": "ok", "articles": [...]}`, and objects that take several lines.
"""

import io
import json
import re
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from job.backends.tables.columns import find_column
from job.backends.tables.source import Lines, too_long
from job.backends.tables.within import add_values

_CHARS_AT_ONCE = 65_536
_ENDS = "the file ends too early"
# -Infinity
_LONGEST_WORD = 9
_SPACE = re.compile(r"[ \t\n\r]*")
# objects around the array: {"response": {"results": [...]}} has two
_MOST_AROUND = 3
# values and arrays in them: one with more is a table of another kind
_MOST_VALUES = 10_000
_FEED = ("items",)

# NaN, which JSON does not have, is how Python and pandas write that a value is missing
DECODER = json.JSONDecoder(parse_constant=lambda word: None if word == "NaN" else float(word))
Keys = tuple[str, ...]
# line, value, the text of it
Element = tuple[int, Any, str]


class NoArray(Exception):
    """The text is no JSON, or no array; the message says in which line, and why."""


def begins_with(text: io.TextIOWrapper) -> str:
    """The first character that is no white space; "" where there is none."""
    while (chars := text.read(_CHARS_AT_ONCE)) and not chars.strip():
        pass
    return chars.lstrip()[:1]


def is_lines(text: io.TextIOWrapper, limit: int) -> bool:
    """Whether a text of several lines has an object in one of the first two, as JSON Lines do."""
    lines = list(islice((line for line in Lines(text, limit) if line is None or line.strip()), 2))
    return len(lines) > 1 and any(line is not None and _is_object(line) for line in lines)


def _is_object(line: str) -> bool:
    try:
        return isinstance(DECODER.decode(line), dict)
    except (ValueError, RecursionError):
        return False


def is_spread(text: io.TextIOWrapper, limit: int) -> bool:
    """Whether a text begins with an object that takes several lines."""
    try:
        _, value, own = next(iter(JsonArray(text, limit, ())))
    except NoArray:
        return False
    return isinstance(value, dict) and "\n" in own


def find_arrays(text: io.TextIOWrapper, limit: int, names: Collection[str]) -> set[Keys]:
    """The keys that lead to the arrays of rows, where the text is one object: to those that begin with an object that
    has one of the `names`; else to the only one that begins with an object. None where the outer object has one of the
    names itself: it is a row, with arrays in it. But a JSON Feed, whose rows are its `items`, has a title."""
    arrays: dict[Keys, Any] = {}
    values, is_row = 0, False
    try:
        for path, element in JsonArray(text, limit).walk():
            if element:
                arrays.setdefault(path, element[1])
            else:
                values += 1
                is_row = is_row or (len(path) == 1 and _has(names, path)) or ".".join(path) in names
            if values + len(arrays) > _MOST_VALUES:
                return set()
    except NoArray:
        # whoever reads the array meets the same error
        pass
    of_objects = {path for path, first in arrays.items() if isinstance(first, dict)}
    for path in of_objects:
        add_values(arrays[path], names)
    with_names = {path for path in of_objects if _has(names, arrays[path])}
    if is_row:
        return with_names & {_FEED}
    return with_names or (of_objects if len(of_objects) == 1 else set())


def _has(names: Collection[str], keys: Collection[str]) -> bool:
    return any(find_column(name, keys) is not None for name in names)


class JsonArray:
    """The elements of the array that a text holds: of each its line, its value, and its own text. `paths`: the keys
    that lead to the arrays, where the text is an object; none of them: the values that the text holds, one after the
    other.

    Iterating raises `NoArray`, which names the line, where the text is no JSON: from there on, elements cannot be told
    apart. So does an element that does not end within `limit` characters.
    """

    def __init__(self, text: io.TextIOWrapper, limit: int, paths: Collection[Keys] = ((),)) -> None:
        self._text, self._limit, self._paths = text, limit, paths
        self._decode = DECODER.raw_decode
        # the next character to read is `_buffer[_at]`, in line `_line`
        self._buffer, self._at, self._line = "", 0, 1

    def __iter__(self) -> Iterator[Element]:
        if not self._paths:
            while self._next():
                yield self._take_value()
            return
        for path, element in self.walk():
            if element and path in self._paths:
                yield element
        if self._next():
            raise self._problem("text after the end of the array")

    def walk(self, path: Keys = ()) -> Iterator[tuple[Keys, Element | None]]:
        """Every element of every array, and None for every other value, with the keys that lead to it."""
        mark = self._next()
        if mark == "[":
            for element in self._elements():
                yield path, element
            return
        yield path, None
        if mark == "{" and len(path) < _MOST_AROUND:
            for key in self._keys():
                yield from self.walk((*path, key))
        else:
            self._take_value()

    def _keys(self) -> Iterator[str]:
        """The keys of the object that is next. Whoever takes one passes its value."""
        self._take("{")
        mark = self._take("}") if self._next() == "}" else ","
        while mark == ",":
            if self._next() != '"':
                raise self._problem("Expecting a key in double quotes")
            _, key, _ = self._take_value()
            self._take(":")
            self._next()
            yield key
            mark = self._take(",}")

    def _elements(self) -> Iterator[Element]:
        self._take("[")
        mark = self._take("]") if self._next() == "]" else ","
        while mark == ",":
            self._next()
            yield self._take_value()
            mark = self._take(",]")

    def _take_value(self) -> Element:
        value, end = self._element()
        found = self._line, value, self._buffer[self._at : end]
        self._pass(end)
        return found

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
