"""Which column of the input is meant: names are compared without case, spaces and punctuation."""

from collections.abc import Iterable, Sequence


def find_column(name: str, names: Iterable[str]) -> str | None:
    """The column called `name`; where there is none, the only one whose name differs by case, spaces or punctuation
    alone; else None."""
    names = list(dict.fromkeys(names))
    if name in names:
        return name
    alike = [other for other in names if _letters(other) == _letters(name)]
    return alike[0] if len(alike) == 1 else None


def first_usual(usual: Sequence[str], names: Iterable[str]) -> str | None:
    """The first of the usual names that is there, in the input's spelling; None where none is."""
    names = list(names)
    return next(filter(None, (find_column(name, names) for name in usual)), None)


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold())) or name
