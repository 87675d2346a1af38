"""The terms of many titles as arrays, so that what is counted of them is counted by NumPy."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from job.backends.text.stop_words import LANGUAGES, languages_of, own_language
from job.backends.text.terms import folded_word, found_words, runs, word
from job.data import Ids, Ints

_LEFT_OUT = -1


@dataclass(frozen=True)
class TitleTerms:
    """The words of n titles, in their order: word i stands in title `titles[i]` in the spelling `spellings[i]`.

    `titles` int64 [w]; `spellings` int32 [w], numbers into `spelling_names`, in the order of their first use;
    `terms` int32: the term of each spelling, a number into `term_names`. `runs`: by title, where it has any, its runs
    of characters of scripts without spaces.
    """

    titles: Ids
    spellings: Ints
    spelling_names: list[str]
    terms: Ints
    term_names: list[str]
    runs: dict[int, list[str]]


class _Numbers(dict[str, int]):
    """The number of each word as it is found in a title; of stop words, -1 less the language that alone has them."""

    def __init__(self) -> None:
        super().__init__()
        self.spellings: dict[str, int] = {}
        self.terms: dict[str, int] = {}
        self.term_of: list[int] = []
        # by spelling, where it is a stop word in some languages' titles
        self.languages: dict[int, frozenset[int]] = {}

    def __missing__(self, found: str) -> int:
        pair = word(found)
        if pair is None:
            number = _LEFT_OUT - 1 - own_language(folded_word(found))
        else:
            term, spelling = pair
            number = self.spellings.setdefault(spelling, len(self.spellings))
            if number == len(self.term_of):
                self.term_of.append(self.terms.setdefault(term, len(self.terms)))
                if languages := languages_of(spelling, folded_word(spelling)):
                    self.languages[number] = languages
        self[found] = number
        return number


def title_terms(titles: Sequence[str]) -> TitleTerms:
    """The words of all titles, in one pass: `word` is asked once for each different word."""
    numbers = _Numbers()
    found, counts, without_spaces = array("i"), array("i"), {}
    for row, title in enumerate(titles):
        words = found_words(title)
        found.extend(map(numbers.__getitem__, words))
        counts.append(len(words))
        if not title.isascii() and (parts := runs(title)):
            without_spaces[row] = parts
    rows = np.repeat(np.arange(len(titles)), np.asarray(counts, np.int64))
    spellings: npt.NDArray[np.int32] = np.asarray(found, np.int32)
    kept = (spellings >= 0) & ~_in_own_language(rows, spellings, len(titles), numbers.languages)
    return TitleTerms(
        rows[kept],
        spellings[kept],
        list(numbers.spellings),
        np.asarray(numbers.term_of, np.int32),
        list(numbers.terms),
        without_spaces,
    )


def _in_own_language(
    rows: Ids, spellings: Ints, titles: int, languages: Mapping[int, frozenset[int]]
) -> npt.NDArray[np.bool_]:
    """Which words are stop words in the language of their title: bool [w].

    A title is in the language of which it has most function words; of equally many, in that which most words of all
    titles tell.
    """
    found: npt.NDArray[np.bool_] = np.zeros(len(spellings), bool)
    open_to = np.flatnonzero(np.isin(spellings, list(languages)))
    if not len(open_to):
        return found
    tells = np.flatnonzero(spellings < _LEFT_OUT)
    language = _LEFT_OUT - 1 - spellings[tells]
    counts = np.bincount(rows[tells] * len(LANGUAGES) + language, minlength=titles * len(LANGUAGES))
    counts = counts.reshape(titles, len(LANGUAGES))
    # most frequent first: `argmax` takes the first of equals
    order = np.argsort(-counts.sum(axis=0), kind="stable")
    own = order[counts[:, order].argmax(axis=1)]
    pairs = zip(spellings[open_to].tolist(), own[rows[open_to]].tolist(), strict=True)
    found[open_to] = [language in languages[spelling] for spelling, language in pairs]
    return found
