"""Names of clusters, taken from their own titles: a sentence that a person wrote says more than the keywords.

A name is the most central of a cluster's titles that is neither cut off nor damaged. Measured on UCI stories named from
half of their titles, the other half is as near to such names as to the most central title of all
(scripts/bench/names.py).
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from job.backends.text.ends import clip, is_cut, without_ellipsis
from job.backends.text.mojibake import is_decoded_twice
from job.backends.text.tails import folded, recurring_tails, without_tail
from job.backends.text.terms import runs, words
from job.data import Ids, Vectors

NAME_CHARS, SHORT_CHARS = 120, 60
EXEMPLARS = 5
_CANDIDATES, _SHORT_CANDIDATES = 10, 3
# words of the name that a short name has at least
_SHARED = 2


@dataclass(frozen=True)
class Name:
    """`exemplars`: row numbers of the cluster's most central titles, most central first."""

    name: str
    short_name: str
    exemplars: list[int]


def name_clusters(
    titles: Sequence[str],
    vectors: Vectors,
    members: Sequence[Ids],
    keywords: Sequence[Sequence[str]],
    sources: Sequence[str | None],
) -> list[Name]:
    """Name each cluster; no two have the same name, or the same short name.

    `titles`, `sources` and unit `vectors` [n] of all headlines; `members` and `keywords` of each cluster, in the
    order in which they choose. The name is the most central of the ten most central titles that is neither cut off
    nor damaged; the short name the shortest of the first three such titles that shares two words with the name, else
    the first of the others that does, else the name, clipped. An outlet's tail is removed where it recurs, or is the
    headline's source. What another cluster has taken is passed over; where nothing else is left, a keyword is added.
    """
    tails = recurring_tails(titles)
    taken, taken_short = _Taken(), _Taken()
    result = []
    for rows, keys in zip(members, keywords, strict=True):
        central = most_central(vectors, rows, _CANDIDATES)
        texts = [without_tail(titles[row], tails, sources[row]) for row in central]
        whole = [text for text in texts if not is_cut(text)]
        whole = [text for text in whole if not is_decoded_twice(text)] or whole
        whole = whole or [without_ellipsis(texts[0], NAME_CHARS)]
        whole = [clip(text, NAME_CHARS) for text in whole]
        name = taken.free(whole, keys)
        short_name = taken_short.free(_short_names(name, whole), keys)
        result.append(Name(name, short_name, [int(row) for row in central[:EXEMPLARS]]))
    return result


def _short_names(name: str, whole: Sequence[str]) -> list[str]:
    """Short names for the cluster of this name, best first: a reader must see that they are one story's."""
    subject = _subject(name)
    fitting = [text for text in dict.fromkeys([name, *whole]) if len(text) <= SHORT_CHARS]
    first = {name, *whole[:_SHORT_CANDIDATES]}
    alike = [text for text in fitting if text in first and _is_alike(subject, text)]
    # of the other titles one is better than the beginning of a long name
    others = (text for text in fitting if text not in first and _is_alike(subject, text))
    return [*(sorted(alike, key=len) or itertools.islice(others, 1)), clip(name, SHORT_CHARS)]


def _is_alike(subject: set[str], title: str) -> bool:
    return len(subject & _subject(title)) >= min(_SHARED, len(subject))


def _subject(title: str) -> set[str]:
    """The terms of a title; of scripts without spaces, pairs of characters."""
    pairs = {run[i : i + 2] for run in runs(title) for i in range(len(run) - 1)}
    return {term for term, _ in words(title)} | pairs


def most_central(vectors: Vectors, rows: Ids, count: int) -> Ids:
    """The `count` rows nearest to the mean of the rows' vectors, nearest first."""
    own = vectors[rows].astype(np.float32)
    similarity = own @ own.mean(axis=0)
    return rows[np.argsort(-similarity, kind="stable")[:count]]


def apart(names: Sequence[str], keywords: Sequence[Sequence[str]]) -> list[str]:
    """The names with a keyword added where two are the same."""
    taken = _Taken()
    return [taken.free([name], words) for name, words in zip(names, keywords, strict=True)]


class _Taken:
    """Names that are taken, as `folded`, and from which number on numbered ones may be free."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._next: dict[str, int] = {}

    def free(self, candidates: Sequence[str], words: Sequence[str]) -> str:
        """The first candidate that is not taken, or the first with a keyword or a number added; takes it."""
        first = candidates[0]
        others = [f"{first} ({word})" for word in words if folded(word) not in folded(first)]
        for name in itertools.chain(candidates, others, self._numbered(first)):
            if folded(name) not in self._names:
                break
        self._names.add(folded(name))
        return name

    def _numbered(self, name: str) -> Iterator[str]:
        # every number below was found taken before, and no name is given back
        for number in itertools.count(self._next.get(name, 2)):
            self._next[name] = number
            yield f"{name} ({number})"
