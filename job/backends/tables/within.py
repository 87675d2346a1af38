"""Columns within objects: `headline.main` is what the objects of the column `headline` have under the key `main`."""

from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

# objects in each other
_DEEPEST = 3


def value_within(value: Any, name: str) -> Any:
    """What an object has under the keys of a name; None where there is nothing."""
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def add_values(value: dict[str, Any], names: Collection[str]) -> None:
    """Give an object these columns. One that has a key of that very name keeps it."""
    for name in names:
        found = value_within(value, name)
        if found is not None and name not in value:
            value[name] = found


def texts_within(value: dict[str, Any], start: str = "") -> Iterator[str]:
    """The names of the texts in the objects of an object."""
    for key, item in value.items():
        if isinstance(item, dict) and start.count(".") < _DEEPEST:
            yield from texts_within(item, f"{start}{key}.")
        elif isinstance(item, str) and start and not key.isdigit():
            yield start + key


def hint_of_text(column: dict[str, Any]) -> str:
    """What to say of a column, given as its name and a value, that holds no text."""
    inner = next(texts_within(column), None)
    if inner:
        return f"; '{inner}' is one"
    if all(isinstance(value, dict) and value and all(map(str.isdigit, value)) for value in column.values()):
        return "; these are columns, not rows: with pandas, write to_json(orient='records')"
    return ""


def fields_within(schema: pa.Schema) -> dict[str, tuple[list[str], pa.Field]]:
    """By name, the fields of the structs of a schema, and of the structs in these: the names on the way, and the
    field."""
    found: dict[str, tuple[list[str], pa.Field]] = {}
    level = [([field.name], field) for field in schema]
    while level:
        level = [
            ([*keys, inner.name], inner)
            for keys, field in level
            if pa.types.is_struct(field.type)
            for inner in field.type
            if field.type.get_field_index(inner.name) >= 0
        ]
        found |= {".".join(keys): (keys, field) for keys, field in level}
    return found


def column_within(table: pa.Table, keys: list[str]) -> pa.ChunkedArray:
    """The column of a field of `fields_within`."""
    return pc.struct_field(table[keys[0]], keys[1:])
