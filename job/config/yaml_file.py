"""Reading a YAML file that may be anything: its size and its shape are checked before a value is made of it."""

import stat
from pathlib import Path
from typing import Any

import yaml

from job.runtime.errors import BadInput

MAX_BYTES = 2**20
_MAX_DEPTH = 20


class _ShapeError(yaml.MarkedYAMLError, ValueError):
    """Valid YAML that no configuration needs."""


class _Loader(yaml.SafeLoader):
    """Refuses a key given twice, where plain YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise _ShapeError(
                    problem="the merge key '<<' is not supported: write its keys out", problem_mark=key_node.start_mark
                )
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key '{key}' stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def check_events(text: str) -> None:
    """Refuse aliases and deep nesting, which can make any amount of data of a few bytes.

    Raises:
        yaml.YAMLError: it has such, or is no YAML.
    """
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _ShapeError(
                problem=f"the alias '*{event.anchor}' is not supported: write the value out",
                problem_mark=_mark(event),
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise _ShapeError(problem=f"nested more than {_MAX_DEPTH} deep", problem_mark=_mark(event))


def _mark(event: yaml.Event) -> yaml.Mark:
    return yaml.Mark("", 0, event.start_mark.line if event.start_mark else 0, 0, None, 0)


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a configuration file.

    Raises:
        BadInput: it cannot be read, or is no mapping in YAML; the message says where.
    """
    text = _read_text(path)
    try:
        check_events(text)
        values = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BadInput(f"configuration '{path}'{where}: {error.problem}") from None
    except (yaml.YAMLError, TypeError, ValueError) as error:  # ValueError: a date that does not exist
        raise BadInput(f"configuration '{path}' is not YAML: {str(error).splitlines()[0][:200]}") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise BadInput(f"configuration '{path}': expected 'key: value' lines, found a {type(values).__name__}")
    return {str(key): value for key, value in values.items()}


def _read_text(path: Path) -> str:
    advice = "name one of the files in configs/"
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            kind = "a folder" if stat.S_ISDIR(about.st_mode) else "no regular file"
            raise BadInput(f"configuration '{path}' is {kind}; {advice}")
        if about.st_size > MAX_BYTES:
            raise BadInput(f"configuration '{path}' has {about.st_size:,} bytes, more than {MAX_BYTES:,}; {advice}")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"configuration '{path}': {error.strerror}; {advice}") from None
    except ValueError as error:
        what = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else f"cannot be named ({error})"
        raise BadInput(f"configuration '{path}' {what}; name a YAML file as in configs/") from None
