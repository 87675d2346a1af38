"""Stop words: those of every text, and those of the texts of one language.

A function word of one language can be what a headline of another is about, as German "war" (was) in "Sudan war". Those
few are stop words only in texts of their own language, which the other function words tell.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

import regex

from job.backends.text.function_words import LATIN, RUSSIAN, SUBJECTS_ELSEWHERE

LANGUAGES = tuple(LATIN)
# pronouns and articles in lower case
_ACRONYMS = frozenset("AI EU LA MIT OS UN US VA WHO".split())
# "don't", "they're", "I'd"
_CONTRACTION = re.compile(r".*(?:n't|'(?:d|ll|m|re|ve))")
_WORD = regex.compile(r"\p{L}+")


@cache
def stop_words() -> frozenset[str]:
    """Stop words of every text, case-folded: function words, and the lists of other scripts than Latin."""
    return _other_scripts().union(*LATIN.values()) - SUBJECTS_ELSEWHERE


@cache
def _other_scripts() -> frozenset[str]:
    import stopwordsiso

    # the package's Russian list holds "война", "москва" and "россия"
    others = stopwordsiso.stopwords([language for language in stopwordsiso.langs() if language != "ru"])
    return RUSSIAN | {word.casefold() for word in others if not regex.search(r"\p{Latin}", word)}


def is_stop_word(spelling: str, folded: str) -> bool:
    """Whether a word is a stop word of every text. `folded`: in lower case, with straight apostrophes."""
    if is_acronym(spelling):
        return False
    return folded in stop_words() or is_contraction(folded)


def is_contraction(folded: str) -> bool:
    return _CONTRACTION.fullmatch(folded) is not None


def is_acronym(spelling: str) -> bool:
    """Whether a word is none of the function words that are written alike in lower case: "US", "WHO"."""
    return spelling.replace(".", "") in _ACRONYMS


@cache
def own_language(folded: str) -> int:
    """The number in `LANGUAGES` of the only one that has this function word; -1 where none or several have it.

    Single letters tell no language: the "s" of "Sam's" is French "s" (himself) as well.
    """
    having = [number for number, language in enumerate(LANGUAGES) if folded in LATIN[language]]
    return having[0] if len(having) == 1 and len(folded) > 1 and folded not in SUBJECTS_ELSEWHERE else -1


def languages_of(spelling: str, folded: str) -> frozenset[int]:
    """The numbers in `LANGUAGES` of those in whose texts a word is a stop word, though not in every text."""
    if folded not in SUBJECTS_ELSEWHERE or is_acronym(spelling):
        return frozenset()
    return frozenset(number for number, language in enumerate(LANGUAGES) if folded in LATIN[language])


def stop_words_of(texts: Iterable[str]) -> frozenset[str]:
    """The function words of texts of one language, case-folded; of Latin's English where their words tell none."""
    found = Counter(own_language(word) for text in texts for word in _WORD.findall(text.casefold()))
    del found[-1]
    language = LANGUAGES[max(found, key=lambda number: (found[number], -number))] if found else "en"
    return _stop_words_in(language)


@cache
def _stop_words_in(language: str) -> frozenset[str]:
    return _other_scripts() | LATIN[language]
