"""JSON Lines by Python's `json`, a line at a time: one bad line is one reject."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from job.backends.tables.source import BLOCK_CHARS, BLOCK_ROWS, Block, Reject, as_text, open_bytes, reading, undecodable
from job.runtime.errors import BadInput

_BIG = 2**63


class JsonlSource:
    """A file of one JSON object a line.

    The file is read twice: the first pass finds the columns and their types. A column of one scalar type keeps
    it; integers with floats become floats; anything else becomes text, lists and objects as JSON.
    """

    def __init__(self, path: Path, encoding: str, texts: set[str]) -> None:
        self.path = path
        self._encoding = encoding
        self._texts = texts
        kinds: dict[str, set[str]] = {}
        first = ""
        for line, value, reason in self._objects():
            first = first or (reason and f"line {line}: {reason}")
            if isinstance(value, dict):
                for key, item in value.items():
                    kinds.setdefault(key, set()).add(_kind(item))
        if not kinds:
            why = f"holds no JSON object ({first})" if first else "is empty"
            raise BadInput(f"input.path: '{path}' {why}: expected one JSON object a line (JSON Lines)")
        self.schema = pa.schema([(k, pa.string() if k in texts else _type(v)) for k, v in kinds.items()])

    def _objects(self) -> Iterator[tuple[int, Any, str]]:
        """Line number, the value, and the reason where the line is rejected (the value is then None)."""
        fresh = True
        with reading(self.path), open_bytes(self.path) as raw:
            for number, line in enumerate(as_text(raw, self._encoding, "\n"), 1):
                if not line.strip():
                    continue
                if fresh and line.lstrip().startswith("["):
                    raise BadInput(f"input.path: '{self.path}' holds a JSON array; expected one JSON object a line")
                fresh = False
                why = undecodable(line)
                if why:
                    yield number, None, f"undecodable: {why}"
                    continue
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError) as error:
                    yield number, None, f"not JSON: {error}"
                    continue
                if "\\u" in line and undecodable(json.dumps(value, ensure_ascii=False)):
                    yield number, None, "undecodable: half a surrogate pair is no character"
                else:
                    yield number, value, ""

    def blocks(self) -> Iterator[Block | Reject]:
        values: list[dict[str, Any]] = []
        rows: list[int] = []
        lines: list[int] = []
        chars = 0
        for row, (line, value, reason) in enumerate(self._objects(), 1):
            if not reason:
                reason = self._wrong(value)
            if reason:
                yield Reject(row, line, reason)
                continue
            values.append(value)
            rows.append(row)
            lines.append(line)
            chars += sum(len(item) for item in value.values() if isinstance(item, str))
            if len(values) >= BLOCK_ROWS or chars >= BLOCK_CHARS:
                yield self._block(values, rows, lines)
                values, rows, lines, chars = [], [], [], 0
        if values:
            yield self._block(values, rows, lines)

    def _wrong(self, value: Any) -> str:
        if not isinstance(value, dict):
            return f"a JSON {_kind(value)} where an object is expected"
        for name in self._texts:
            if not isinstance(value.get(name), str | None):
                return f"'{name}' is of type {_kind(value[name])}, expected text"
        return ""

    def _block(self, values: list[dict[str, Any]], rows: list[int], lines: list[int]) -> Block:
        columns = [
            pa.array([_fit(value.get(field.name), field.type) for value in values], field.type) for field in self.schema
        ]
        return Block(pa.Table.from_arrays(columns, schema=self.schema), rows, lines)


def _kind(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return "int" if -_BIG <= value < _BIG else "big int"
    names = {bool: "bool", float: "float", str: "string", list: "list", dict: "object", type(None): "null"}
    return names[type(value)]


def _type(kinds: set[str]) -> pa.DataType:
    found = kinds - {"null"}
    if found == {"bool"}:
        return pa.bool_()
    if found == {"int"}:
        return pa.int64()
    if found and found <= {"int", "float"}:
        return pa.float64()
    return pa.string()


def _fit(value: Any, kind: pa.DataType) -> Any:
    if pa.types.is_floating(kind) and value is not None:
        return float(value)
    if value is None or not pa.types.is_string(kind) or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
