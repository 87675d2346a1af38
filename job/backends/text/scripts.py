"""Which script texts are written in."""

from collections.abc import Iterable

import regex

_LETTERS = regex.compile(r"\p{L}")
_LATIN = regex.compile(r"\p{Script=Latin}")


def share_not_latin(texts: Iterable[str]) -> float:
    """The share of the texts, of those with letters, in which less than half of the letters are Latin; 0 of none."""
    latin, counted = 0, 0
    for text in texts:
        letters = len(_LETTERS.findall(text))
        counted += letters > 0
        latin += letters > 0 and 2 * len(_LATIN.findall(text)) >= letters
    return 1 - latin / counted if counted else 0.0
