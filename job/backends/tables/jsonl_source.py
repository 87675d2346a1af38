"""Reads JSON Lines, arrays of JSON objects, and objects of several lines, with Python's `json`, one object at a time.

Of JSON Lines, one bad line is one reject. Any other file that is no JSON is refused as a whole. What stands around an
array, as in `{"status": "ok", "articles": [...]}`, is left out.
"""

import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from job.backends.tables.json_array import (
    DECODER,
    JsonArray,
    Keys,
    NoArray,
    begins_with,
    find_arrays,
    is_lines,
    is_spread,
)
from job.backends.tables.packed import open_bytes
from job.backends.tables.source import (
    BLOCK_CHARS,
    BLOCK_ROWS,
    HALF_SURROGATE_PAIR,
    Block,
    Lines,
    Reject,
    as_text,
    file_state,
    reading,
    shown,
    too_long,
    undecodable,
)
from job.backends.tables.within import add_values, not_text, texts_within
from job.runtime.errors import BadInput

_INT64_LIMIT = 2**63
_MAX_DEPTH = 200
# so many objects are looked into for what could be meant
_FOR_MESSAGES = 100
_BLOCK_CELLS = 50_000_000
_COLUMNS = ": these are columns, not rows; with pandas, write to_json(orient='records')"


class JsonlSource:
    """A file with one JSON object per line, or with objects of several lines, or with an array of objects, which may
    lie within an object.

    The file is read twice: the first pass finds the columns and their types. A column of one scalar type keeps
    its type; a mix of integers and floats becomes floats; anything else becomes text, with lists and objects as JSON.
    """

    def __init__(
        self, path: Path, encoding: str, text_columns: set[str], line_limit: int, others: Collection[str] = ()
    ) -> None:
        self.path = path
        self._state = file_state(path)
        self._encoding, self._line_limit = encoding, line_limit
        self._text_columns = text_columns
        # a set's order differs from process to process
        self._within = [name for name in (*sorted(text_columns), *others) if "." in name]
        self._arrays = self._find_arrays()
        kinds: dict[str, set[str]] = {}
        first_reason = ""
        within: dict[str, None] = {}
        no_text: dict[str, str] = {}
        for place, (line, value, reason) in enumerate(self._objects()):
            if isinstance(value, dict):
                if place < _FOR_MESSAGES:
                    within |= dict.fromkeys(texts_within(value))
                for key, item in value.items():
                    kinds.setdefault(key, set()).add(_json_type(item))
                    if key in text_columns and key not in no_text and (problem := _no_text(key, item)):
                        no_text[key] = problem
            elif not first_reason:
                first_reason = f"line {line}: {reason or self._type_problem(value)}"
        if not kinds:
            problem = f"holds no JSON object ({first_reason})" if first_reason else "is empty"
            raise BadInput(
                f"input.path: '{shown(path)}' {problem}: expected one JSON object per line, or an array of them"
            )
        self.texts_within: Sequence[str] = tuple(within)
        self.never_text: Mapping[str, str] = {
            key: problem for key, problem in no_text.items() if "string" not in kinds[key]
        }
        self.schema = pa.schema([(k, pa.string() if k in text_columns else _arrow_type(v)) for k, v in kinds.items()])

    def _find_arrays(self) -> set[Keys] | None:
        """The keys that lead to the arrays of rows, () where one is the whole file; no keys where objects of several
        lines follow each other; None for JSON Lines."""
        limit = self._line_limit
        with self._text() as text:
            first = begins_with(text)
        if first == "[":
            return {()}
        with self._text() as text:
            if first != "{" or is_lines(text, limit):
                return None
        with self._text() as text:
            arrays = find_arrays(text, limit, self._text_columns)
        with self._text() as text:
            return arrays if arrays or is_spread(text, limit) else None

    @contextmanager
    def _text(self) -> Iterator[io.TextIOWrapper]:
        with reading(self.path, self._state), open_bytes(self.path) as raw:
            yield as_text(raw, self._encoding, "\n")

    def _objects(self) -> Iterator[tuple[int, Any, str]]:
        """Line number, value, and the reason if the line or element is rejected (the value is then None)."""
        with self._text() as text:
            for line, value, reason in self._lines(text) if self._arrays is None else self._values(text, self._arrays):
                if self._within and isinstance(value, dict):
                    add_values(value, self._within)
                yield line, value, reason

    def _lines(self, text: io.TextIOWrapper) -> Iterator[tuple[int, Any, str]]:
        for number, line in enumerate(Lines(text, self._line_limit), 1):
            if line is None:
                yield number, None, too_long(self._line_limit)
                continue
            if not line.strip():
                continue
            problem = undecodable(line)
            if problem:
                yield number, None, f"undecodable: {problem}"
                continue
            try:
                value = DECODER.decode(line)
            except (ValueError, RecursionError) as error:
                yield number, None, f"not JSON: {error}"
                continue
            yield number, *_checked(value, line)

    def _values(self, text: io.TextIOWrapper, arrays: set[Keys]) -> Iterator[tuple[int, Any, str]]:
        try:
            for number, value, own in JsonArray(text, self._line_limit, arrays):
                problem = undecodable(own)
                if len(own) > self._line_limit:
                    yield number, None, too_long(self._line_limit)
                elif problem:
                    yield number, None, f"undecodable: {problem}"
                else:
                    yield number, *_checked(value, own)
        except NoArray as error:
            kind = "JSON array" if arrays else "JSON"
            raise BadInput(
                f"input.path: '{shown(self.path)}' is no {kind} ({error}): mend it, or write one JSON object per "
                "line, where a bad line is one reject"
            ) from None

    def blocks(self) -> Iterator[Block | Reject]:
        values: list[dict[str, Any]] = []
        rows: list[int] = []
        lines: list[int] = []
        chars = 0
        most = max(1, min(BLOCK_ROWS, _BLOCK_CELLS // len(self.schema)))
        for row, (line, value, reason) in enumerate(self._objects(), 1):
            if not reason:
                reason = self._type_problem(value)
            if reason:
                yield Reject(row, line, reason)
                continue
            values.append(value)
            rows.append(row)
            lines.append(line)
            chars += sum(len(item) for item in value.values() if isinstance(item, str))
            if len(values) >= most or chars >= BLOCK_CHARS:
                yield self._block(values, rows, lines)
                values, rows, lines, chars = [], [], [], 0
        if values:
            yield self._block(values, rows, lines)

    def _type_problem(self, value: Any) -> str:
        if not isinstance(value, dict):
            return f"a JSON {_json_type(value)} where an object is expected"
        return next(filter(None, (_no_text(name, value.get(name)) for name in self._text_columns)), "")

    def _block(self, values: list[dict[str, Any]], rows: list[int], lines: list[int]) -> Block:
        # by what is there, not by row and column: every line may have keys of its own
        kinds = {field.name: field.type for field in self.schema}
        found: dict[str, list[Any]] = {}
        for place, value in enumerate(values):
            for name, item in value.items():
                if name not in found:
                    found[name] = [None] * len(values)
                found[name][place] = _converted(item, kinds[name])
        columns = [
            pa.array(found[field.name], field.type) if field.name in found else pa.nulls(len(values), field.type)
            for field in self.schema
        ]
        return Block(pa.Table.from_arrays(columns, schema=self.schema), rows, lines)


def _no_text(name: str, item: Any) -> str:
    """What is wrong with the value of a text column; "" where nothing is."""
    if isinstance(item, str | None):
        return ""
    problem = not_text(name, f"of type {_json_type(item)}", texts_within({name: item}))
    return f"'{name}' {problem}{_COLUMNS if _holds_columns(item) else ''}"


def _checked(value: Any, text: str) -> tuple[Any, str]:
    """The value of a text, and the reason if it is rejected (the value is then None)."""
    if text.count("[") + text.count("{") > _MAX_DEPTH and _is_deep(value):
        return None, f"not JSON: nested more than {_MAX_DEPTH} deep"
    if "\\u" in text and undecodable(json.dumps(value, ensure_ascii=False)):
        return None, f"undecodable: {HALF_SURROGATE_PAIR}"
    return value, ""


def _holds_columns(value: Any) -> bool:
    """Whether these are a column's values by the number of the row, as pandas writes them."""
    return isinstance(value, dict) and bool(value) and all(map(str.isdigit, value))


def _is_deep(value: Any) -> bool:
    """Whether lists and objects are nested so deep that writing them again could exceed Python's recursion limit."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        inner = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
        level = [item for item in inner if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _json_type(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return "int" if -_INT64_LIMIT <= value < _INT64_LIMIT else "big int"
    names = {bool: "bool", float: "float", str: "string", list: "list", dict: "object", type(None): "null"}
    return names[type(value)]


def _arrow_type(kinds: set[str]) -> pa.DataType:
    kinds = kinds - {"null"}
    if kinds == {"bool"}:
        return pa.bool_()
    if kinds == {"int"}:
        return pa.int64()
    if kinds and kinds <= {"int", "float"}:
        return pa.float64()
    return pa.string()


def _converted(value: Any, kind: pa.DataType) -> Any:
    if pa.types.is_floating(kind) and value is not None:
        return float(value)
    if value is None or not pa.types.is_string(kind) or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
