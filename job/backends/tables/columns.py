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


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold())) or name
