"""Names of clusters, taken from their own titles: a sentence that a person wrote says more than the keywords.

A name is the most central of a cluster's titles that is not cut off. Measured on UCI stories named from half of their
titles, the other half is as near to such names as to the most central title of all (scripts/bench/names.py).
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import regex

from job.backends.text.stop_words import stop_words
from job.data import Ids, Vectors

NAME_CHARS, SHORT_CHARS = 120, 60
EXEMPLARS = 5
_CANDIDATES, _SHORT_CANDIDATES = 10, 3
# titles that end alike, from which on the end is taken for an outlet's
_RECURRING = 5
_TAIL = regex.compile(r"\s+[-–—|»·]\s+((?:(?!\s[-–—|»·]\s).){2,40})$")
_CUT = regex.compile(r"\s*(?:…|\.\.\.)\W*$")
_NO_LETTERS = regex.compile(r"[^\p{L}\p{M}\p{N}]+")
_CLAUSE = regex.compile(r"[:;,.!?，。；：、！？]\s|\s[-–—|]\s|[，。；：、！？]")
# a title that is shorter without its tail is one word or two
_LEAST_CHARS = 12


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

    `titles`, `sources` and unit `vectors` [n] of all headlines; `members` and `keywords` of each cluster, in the order
    in which they choose. The name is the most central of the ten most central titles that is not cut off; the short
    name the shortest of the first three such titles. An outlet's tail is removed where it recurs, or is the headline's
    source. What another cluster has taken is passed over; where nothing else is left, a keyword is added.
    """
    tails = recurring_tails(titles)
    taken, taken_short = _Taken(), _Taken()
    result = []
    for rows, words in zip(members, keywords, strict=True):
        central = most_central(vectors, rows, _CANDIDATES)
        texts = [without_tail(titles[row], tails, sources[row]) for row in central]
        whole = [text for text in texts if not _CUT.search(text)] or [_without_ellipsis(texts[0])]
        whole = [clip(text, NAME_CHARS) for text in whole]
        shortest = sorted(whole[:_SHORT_CANDIDATES], key=len) + whole[_SHORT_CANDIDATES:]
        name = taken.free(whole, words)
        fitting = [text for text in shortest if len(text) <= SHORT_CHARS] or [clip(shortest[0], SHORT_CHARS)]
        short_name = taken_short.free(fitting, words)
        result.append(Name(name, short_name, [int(row) for row in central[:EXEMPLARS]]))
    return result


def most_central(vectors: Vectors, rows: Ids, count: int) -> Ids:
    """The `count` rows nearest to the mean of the rows' vectors, nearest first."""
    own = vectors[rows].astype(np.float32)
    similarity = own @ own.mean(axis=0)
    return rows[np.argsort(-similarity, kind="stable")[:count]]


def recurring_tails(titles: Iterable[str]) -> frozenset[str]:
    """The ends of titles after " - ", " | " and the like that several titles have, as `folded`."""
    counts = Counter(folded(match[1]) for title in titles if (match := _TAIL.search(title)))
    return frozenset(tail for tail, count in counts.items() if count >= _RECURRING)


def without_tail(title: str, tails: frozenset[str], source: str | None) -> str:
    """The title without an outlet's name at its end: one of `tails`, or its own source."""
    for _ in range(2):
        match = _TAIL.search(title)
        if match is None or match.start() < _LEAST_CHARS:
            break
        tail = folded(match[1])
        if tail not in tails and not _is_source(tail, source):
            break
        title = title[: match.start()]
    return title.strip()


def is_cut(title: str) -> bool:
    """Whether the title ends in an ellipsis."""
    return _CUT.search(title) is not None


def clip(text: str, chars: int) -> str:
    """At most `chars` characters as a reader counts them, without an ellipsis: up to a clause's end, or a word's."""
    characters = regex.findall(r"\X", text)
    if len(characters) <= chars:
        return text
    text = "".join(characters[:chars])
    clauses = [match.start() for match in _CLAUSE.finditer(text) if match.start() >= len(text) // 2]
    text = text[: clauses[-1]] if clauses else text[: text.rfind(" ")] if text.rfind(" ") > len(text) // 2 else text
    return text.rstrip(" ,;:-–—|(\"“‘'")


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


def _without_ellipsis(title: str) -> str:
    """A cut title without its ellipsis, and without the last word where the cut is inside it."""
    text = _CUT.sub("", title)
    before, space, _ = text.rpartition(" ")
    inside = text and title[len(text) : len(text) + 1] != " "
    text = before if space and inside and len(before) >= _LEAST_CHARS else text
    while " " in text and text.rpartition(" ")[2].casefold() in stop_words():
        text = text.rpartition(" ")[0]
    text = text.rstrip(" ,;:-–—|.…")
    return text if regex.search(r"[^\p{P}\s]", text) else "?"


def _is_source(tail: str, source: str | None) -> bool:
    if not source:
        return False
    domain = regex.sub(r"^www\.|\.[\w.]*$", "", source.casefold()) if "." in source and " " not in source else source
    return tail.removeprefix("the") in {folded(each).removeprefix("the") for each in (source, domain)}


def folded(text: str) -> str:
    """Letters and digits alone, in lower case; the text where it has none."""
    return _NO_LETTERS.sub("", text.casefold()) or text
