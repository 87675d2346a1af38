"""Reading a configuration: the YAML file, the environment, and `key=value` words. What is said later wins."""

import copy
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from job.config.errors import explain
from job.config.recipes import effects, override
from job.config.schema import Config
from job.runtime.errors import BadInput
from job.runtime.secrets import from_environment


def load(path: Path, words: list[str]) -> Config:
    """Read a run's configuration: the YAML file, `MILVUS_URI`/`MILVUS_TOKEN` over it, `key=value` words over those.

    Raises:
        BadInput: all errors at once, one per line, each with its path, value and the nearest valid key.
    """
    # a section with all its keys commented out is empty, not null
    values = {key: {} if value is None else value for key, value in _read_yaml(path).items()}
    for name, value in from_environment("MILVUS_URI", "MILVUS_TOKEN").items():
        store = values.setdefault("store", {})
        if isinstance(store, dict):
            store[name.removeprefix("MILVUS_").lower()] = value
    return resolve(values, words, str(path))


def resolve(values: dict[str, Any], words: list[str], where: str) -> Config:
    """The configuration that `values` and `key=value` words over them make; `where` names it in errors.

    A recipe among the words replaces the settings of `values` that it sets; the other words win over the recipe.

    Raises:
        BadInput: as `load`.
    """
    values = copy.deepcopy(values)
    said: dict[str, Any] = {}
    for word in words:
        _set(said, word)
    replaced: dict[str, Any] = {}
    if isinstance(values.get("cluster"), dict) and isinstance(said.get("cluster"), dict):
        replaced = override(values["cluster"], said["cluster"])
    for word in words:
        _set(values, word)
    given = values.get("cluster")
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise BadInput(explain(error, Config, where)) from None
    note = effects(given, replaced, config.cluster.model_dump()) if isinstance(given, dict) else None
    config._notes = (note,) if note else ()
    return config


class _Loader(yaml.SafeLoader):
    """Refuses a key given twice, where plain YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key '{key}' stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"configuration '{path}': {error.strerror}; name one of the files in configs/") from None
    except UnicodeDecodeError:
        raise BadInput(f"configuration '{path}' is not UTF-8 text; name a YAML file as in configs/") from None
    try:
        values = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BadInput(f"configuration '{path}'{where}: {error.problem}") from None
    except (yaml.YAMLError, TypeError, ValueError) as error:  # ValueError: a date that does not exist
        raise BadInput(f"configuration '{path}' is not YAML: {str(error).splitlines()[0]}") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise BadInput(f"configuration '{path}': expected 'key: value' lines, found a {type(values).__name__}")
    return values


def _set(values: dict[str, Any], word: str) -> None:
    """Put `section.key=value` into `values`; the value is read as YAML."""
    key, equals, text = word.partition("=")
    if not equals or not key.strip():
        raise BadInput(f"'{word}': expected key=value, as in cluster.min_cluster_size=5")
    try:
        value = yaml.safe_load(text) if text else None
    except (yaml.YAMLError, ValueError):  # ValueError: a date that does not exist
        value = text
    *sections, last = key.strip().split(".")
    for section in sections:
        inner = values.get(section)
        if inner is None:
            inner = values[section] = {}
        if not isinstance(inner, dict):
            raise BadInput(f"'{word}': {section} is a value, not a section")
        values = inner
    values[last] = value
