"""What types a key's value may have."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin


def kinds_of(annotation: Any) -> set[Any]:
    """The types of a field's annotation: those of a union's parts, `list` for any list, of a literal its values'."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return kinds_of(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return set().union(*map(kinds_of, get_args(annotation)))
    if origin is Literal:
        return {type(value) for value in get_args(annotation)}
    return {origin or annotation}
