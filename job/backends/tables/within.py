"""Columns within objects: `headline.main` is what the objects of the column `headline` have under the key `main`."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import pyarrow as pa

# objects in each other
_DEEPEST = 3
# how feeds, WordPress and converters from XML name the text itself, beside its type and language
_CONTENT = ("value", "rendered", "#text", "$t", "_text", "text")
# characters of a name
_LONGEST = 100


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
    """The names of the texts in the objects of an object; `articles[].title` is one in an array, which is no column."""
    for key, item in value.items():
        if isinstance(item, list) and item and isinstance(item[0], dict):
            key, item = f"{key}[]", item[0]
        if isinstance(item, dict) and start.count(".") < _DEEPEST:
            yield from texts_within(item, f"{start}{key}.")
        elif isinstance(item, str) and start and can_be_named(start + key):
            yield start + key


def can_be_named(name: str) -> bool:
    """Whether a message can tell a user to set this name. The last key of what is no column can be a row's number."""
    return len(name) <= _LONGEST and name.isprintable() and not name.rpartition(".")[2].isdigit()


def first_within(column: str, texts: Iterable[str]) -> str | None:
    """The text that lies within this column, and in no array: of several, one of a usual name, else the first."""
    inside = [name for name in texts if name.startswith(f"{column}.") and not array_around(name)]
    usual = (name for key in _CONTENT for name in inside if name == f"{column}.{key}")
    return next(usual, inside[0] if inside else None)


def array_around(text: str) -> str:
    """The name of the array that a text lies in; "" where it lies in none."""
    return text.rpartition("[].")[0]


def not_text(column: str, kind: str, texts: Iterable[str]) -> str:
    """What to say of a column of another kind. What differs from row to row comes after a colon, as in every reason."""
    inner = first_within(column, texts)
    return f"is {kind}, expected text" + (f": '{inner}' is one" if inner else "")


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
