"""Turning pydantic's validation errors into lines that name the key, the value and the next action."""

import difflib
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError

from job.runtime.secrets import without_secrets


def explain(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """All errors, one per line: path, value, what is wrong, and the valid keys where one is unknown."""
    lines: dict[str, dict[str, None]] = {}
    for item in error.errors(include_url=False):
        where, what = _line(item, model)
        # of a value of a union, each branch has its own error
        lines.setdefault(where, {})[what] = None
    text = "\n".join(f"  {where}{', or '.join(what)}" for where, what in lines.items())
    return f"{source}: {len(lines)} error{'s' if len(lines) > 1 else ''}\n{text}"


def _line(item: Any, model: type[BaseModel]) -> tuple[str, str]:
    """Where the error is, with the value, and what is wrong."""
    location = _location(item["loc"], model)
    path = ".".join(location)
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        # its value may be a secret under a wrong name
        return f"{path}: ", f"unknown key; {_nearest(location, model)}"
    if item["type"] == "missing":
        return f"{path}: ", f"missing; give it in the file or as {path}=VALUE"
    if not location or isinstance(item["input"], dict):
        return f"{path}: " if path else "", message
    message = _in_our_words(item, location, model) or f"{message[0].lower()}{message[1:]}"
    return f"{path} = {_shown(location, item['input'], model)}: ", message


def _in_our_words(item: Any, location: list[str], model: type[BaseModel]) -> str | None:
    """What to give, where pydantic names a type of Python; None where it says it well."""
    kind, value, path = item["type"], item["input"], ".".join(location)
    if kind == "model_type":
        section = _section_at(location, model)
        first, inner = location, section
        while inner is not None:
            first = [*first, next(iter(inner.model_fields))]
            inner = section_of(inner, first[-1])
        keys = ", ".join(section.model_fields if section else ())
        return f"a section; give its keys, as in {'.'.join(first)}=VALUE; valid here: {keys}"
    if value is None:
        return f"no value; give one, as in {path}=VALUE"
    if kind in ("list_type", "tuple_type"):
        return f"expected a list, as in [{value}]" if isinstance(value, str) and len(value) <= 80 else "expected a list"
    return "expected a path, such as runs/mine" if kind == "path_type" else None


def _location(parts: tuple[str | int, ...], model: type[BaseModel]) -> list[str]:
    """The keys that the user wrote: pydantic adds the names of a union's branches behind a field's."""
    location: list[str] = []
    inner: type[BaseModel] | None = model
    for part in parts:
        if inner is None:
            break
        location.append(str(part))
        inner = section_of(inner, str(part))
    return location


def section_of(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The model of the section `name`; None where it is a value or no key."""
    field = model.model_fields.get(name)
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _section_at(location: list[str], model: type[BaseModel]) -> type[BaseModel] | None:
    inner: type[BaseModel] | None = model
    for name in location:
        inner = section_of(inner, name) if inner else None
    return inner


def _shown(location: list[str], value: Any, model: type[BaseModel]) -> str:
    """The value, unless it is or may be a secret."""
    if _may_be_secret(location, value, model):
        return "(not shown)"
    text = repr(without_secrets(value) if isinstance(value, str) else value)
    return text if len(text) <= 80 else text[:77] + "..."


def _may_be_secret(location: list[str], value: Any, model: type[BaseModel]) -> bool:
    if location == ["store", "uri"]:
        # a token in the wrong place; a file's name is none
        return not str(value).endswith(".db") or "://" in str(value)
    *sections, last = location
    inner = _section_at(sections, model)
    field = inner.model_fields.get(last) if inner else None
    return field is not None and (field.annotation is SecretStr or SecretStr in get_args(field.annotation))


def _nearest(location: list[str], model: type[BaseModel]) -> str:
    inner = _section_at(location[:-1], model)
    assert inner is not None
    keys = list(inner.model_fields)
    close = difflib.get_close_matches(location[-1], keys, n=1)
    hint = f"did you mean {'.'.join([*location[:-1], close[0]])}? " if close else ""
    return f"{hint}valid here: {', '.join(keys)}"
