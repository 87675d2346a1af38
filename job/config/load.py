"""Reading a configuration: the YAML file, the environment, and `key=value` words. What is said later wins."""

import copy
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from job.config.errors import explain, section_of
from job.config.recipes import effects, override
from job.config.schema import Config
from job.config.words import put
from job.config.yaml_file import read_yaml
from job.runtime.errors import BadInput
from job.runtime.secrets import from_environment


def load(path: Path, words: list[str]) -> Config:
    """Read a run's configuration: the YAML file, `MILVUS_URI`/`MILVUS_TOKEN` over it, `key=value` words over those.

    Raises:
        BadInput: all errors at once, one per line, each with its path, value and the nearest valid key.
    """
    # a section with all its keys commented out is empty, not null
    values = {key: {} if value is None and section_of(Config, key) else value for key, value in read_yaml(path).items()}
    put_environment(values, "MILVUS_URI", "MILVUS_TOKEN")
    return resolve(values, words, str(path))


def put_environment(values: dict[str, Any], *names: str) -> None:
    """Put those of these variables that are set in their places in `values`."""
    for name, value in from_environment(*names).items():
        store = values.setdefault("store", {})
        if isinstance(store, dict):
            store[name.removeprefix("MILVUS_").lower()] = value


def resolve(values: dict[str, Any], words: list[str], where: str) -> Config:
    """The configuration that `values` and `key=value` words over them make; `where` names it in errors.

    A recipe among the words replaces the settings of `values` that it sets; the other words win over the recipe.

    Raises:
        BadInput: as `load`.
    """
    values = copy.deepcopy(values)
    said: dict[str, Any] = {}
    for word in words:
        put(said, word, Config)
    replaced: dict[str, Any] = {}
    if isinstance(values.get("cluster"), dict) and isinstance(said.get("cluster"), dict):
        replaced = override(values["cluster"], said["cluster"])
    for word in words:
        put(values, word, Config)
    _check_sizes(values, "", where)
    given = values.get("cluster")
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise BadInput(explain(error, Config, where)) from None
    note = effects(given, replaced, config.cluster.model_dump()) if isinstance(given, dict) else None
    config._notes = (note,) if note else ()
    return config


def _check_sizes(value: Any, key: str, where: str) -> None:
    """Refuse what no setting can be, and what libraries fail at: integers beyond 64 bits, and texts with a NUL."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_sizes(inner, f"{key}.{name}" if key else str(name), where)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_sizes(inner, key, where)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise BadInput(f"{where}: {key}: an integer of more than 64 bits; give a smaller one")
    elif isinstance(value, str) and "\0" in value:
        raise BadInput(f"{where}: {key}: the value holds a NUL character; leave it out")
