"""`key=value` words: what a value means depends on its key. Text is taken as it stands, anything else as YAML."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from job.config.errors import section_of
from job.config.kinds import kinds_of
from job.config.yaml_file import check_events
from job.runtime.errors import BadInput


def put(values: dict[str, Any], word: str, model: type[BaseModel]) -> None:
    """Put `section.key=value` into `values`.

    The value of a key whose values are texts or paths is taken literally; where the key may be None, `null` and an
    empty value are None. A value in brackets is a list where the key takes lists.

    Raises:
        BadInput: it is no such word.
    """
    key, equals, text = word.partition("=")
    if not equals or not key.strip():
        raise BadInput(f"'{key}': expected key=value, as in cluster.min_cluster_size=5")
    *sections, last = key.strip().split(".")
    kinds = _kinds(model, [*sections, last])
    for section in sections:
        inner = values.get(section)
        if inner is None:
            inner = values[section] = {}
        if not isinstance(inner, dict):
            raise BadInput(f"'{key.strip()}': {section} is a value, not a section")
        values = inner
    values[last] = _value(text, kinds)


def _value(text: str, kinds: set[Any]) -> Any:
    is_text = bool(kinds & {str, Path, SecretStr}) and not kinds & {int, float, bool, dict}
    in_brackets = text.startswith("[") and text.endswith("]") and bool(kinds & {list, tuple})
    if is_text and not in_brackets:
        return None if text in ("", "null") and type(None) in kinds else text
    if not text:
        return None
    try:
        check_events(text)
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # ValueError: a date that does not exist
        return text


def _kinds(model: type[BaseModel], names: list[str]) -> set[Any]:
    """The types that a key's value may have; empty for a key that does not exist."""
    for name in names[:-1]:
        inner = section_of(model, name)
        if inner is None:
            return set()
        model = inner
    field = model.model_fields.get(names[-1])
    return set() if field is None else kinds_of(field.annotation)
