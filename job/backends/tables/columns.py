"""Which column of the input is meant: case, spaces and punctuation only count where names differ in nothing else."""

from collections.abc import Iterable, Sequence


def find_column(name: str, names: Iterable[str]) -> str | None:
    """The column called `name`; else the only one of the same letters and digits, in any case; else None."""
    return first_usual((name,), names)


def first_usual(usual: Sequence[str], names: Iterable[str]) -> str | None:
    """As `find_column`, of the first of the usual names for which there is one."""
    alike: dict[str, set[str]] = {}
    for name in names:
        alike.setdefault(_letters(name), set()).add(name)
    for name in usual:
        found = alike.get(_letters(name), set())
        if name in found:
            return name
        if len(found) == 1:
            return next(iter(found))
    return None


def usual_columns(usual: Sequence[str], names: Iterable[str]) -> list[str]:
    """All columns of the usual names, in the order of these."""
    places = {_letters(name): place for place, name in reversed(list(enumerate(usual)))}
    return sorted((name for name in names if _letters(name) in places), key=lambda name: places[_letters(name)])


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold())) or name
