"""The terms of headlines in any script: words by their stems, and repeated runs of characters where no spaces stand.

Scripts that separate words are split into words, and the forms of a word are one term: Snowball's stemmer of the
script's most common language of news, English for Latin. Scripts without spaces (Han, Kana, Thai, Lao, Myanmar, Khmer)
have no dictionary here, since names are what sets a story apart, and dictionaries split those: a term is a run of
characters that several titles of a story repeat and that no longer run explains (`repeated_runs`).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

import regex

from job.backends.text.function_words import NO_SUBJECT
from job.backends.text.stop_words import is_stop_word, stop_words

_NO_SPACES = (
    r"\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u30fc\p{Script=Thai}\p{Script=Lao}\p{Script=Myanmar}"
    r"\p{Script=Khmer}"
)
# a letter, then letters, marks and digits; apostrophes and hyphens inside; digits before it ("49ers"); or "U.S."
_LETTER = rf"[\p{{L}}--[{_NO_SPACES}]]"
_INSIDE = rf"[\p{{L}}\p{{M}}\p{{N}}--[{_NO_SPACES}]]"
_WORD = regex.compile(
    rf"(?V1)[A-Z](?:\.[A-Z])+(?![A-Za-z])\.?"
    rf"|(?:(?<!\p{{Nd}})\p{{Nd}}+)?{_LETTER}(?:{_INSIDE}|['’\-](?={_INSIDE}))*"
)
# the same where all characters are ASCII
_ASCII_WORD = re.compile(
    r"[A-Z](?:\.[A-Z])+(?![A-Za-z])\.?|(?:(?<![0-9])[0-9]+)?[A-Za-z](?:[A-Za-z0-9]|['-](?=[A-Za-z0-9]))*"
)
# ordinals, times and amounts are no subject
_QUANTITY = re.compile(r"[0-9]+(?:st|nd|rd|th|s|am|pm|m|mn|bn|tn)")
_RUN = regex.compile(rf"(?V1)[{_NO_SPACES}]+")
_POSSESSIVE = regex.compile(r"['’][sS]?$|['’][sS](?=-)")
_STEMMERS = {
    "Cyrillic": "russian",
    "Arabic": "arabic",
    "Greek": "greek",
    "Devanagari": "hindi",
    "Tamil": "tamil",
    "Armenian": "armenian",
    "Latin": "english",
}
_SCRIPT = regex.compile("|".join(rf"(?P<{name}>\p{{Script={name}}})" for name in _STEMMERS))
# draws out an Arabic letter: "لـ" is the particle "to" before a word that stands apart
_TATWEEL = "\u0640"
_LONGEST_RUN, _SPARED = 24, 0.8
_IDEOGRAPHS = regex.compile(r"[\p{Script=Han}\p{Script=Katakana}]")
_HIRAGANA = regex.compile(r"[\p{Script=Hiragana}\u30fc]+")
# Japanese and Chinese particles; vowels that Thai and Lao write before their consonant
_PARTICLES, _LEADING_VOWELS = "のがはをにでとへもや的", "เแโใไເແໂໃໄ"
# Arabic writes "and", "so", "in", "like" and "for" in one word with the article; the stemmer takes the article alone
_ARABIC_PARTICLE = regex.compile(r"^(?:[وفبك]ال|لل)(?=.{3})")


def words(title: str) -> list[tuple[str, str]]:
    """Term and spelling of each word of two letters or more, in order; stop words and numbers are left out."""
    return [pair for found in found_words(title) if (pair := word(found)) is not None]


def found_words(title: str) -> list[str]:
    """The words of a title as they stand there, for `word`."""
    if title.isascii():
        found: list[str] = _ASCII_WORD.findall(title)
        return found
    return list(_WORD.findall(unicodedata.normalize("NFC", title)))


def word(found: str) -> tuple[str, str] | None:
    """Term and spelling of one of `found_words`; None for a single letter or a stop word."""
    spelling = _POSSESSIVE.sub("", found)
    folded = folded_word(spelling)
    if len(folded) < 2 or folded in NO_SUBJECT or _QUANTITY.fullmatch(folded) or is_stop_word(spelling, folded):
        return None
    return _stem(folded), spelling


def folded_word(spelling: str) -> str:
    """A word in lower case, with straight apostrophes, without the dots of "U.S."."""
    folded = unicodedata.normalize("NFKC", spelling).casefold()
    return folded.replace(_TATWEEL, "").replace("’", "'").replace(".", "")


def whole_words(text: str) -> Any:
    """The pattern of a text that neither begins nor ends within a word; in scripts without spaces it may."""
    before = "" if _RUN.match(text[0]) else rf"(?<!{_INSIDE})"
    after = "" if _RUN.match(text[-1]) else rf"(?!{_INSIDE})"
    return regex.compile(rf"(?V1){before}{regex.escape(text)}{after}")


def runs(title: str) -> list[str]:
    """The runs of characters of scripts without spaces."""
    return list(_RUN.findall(unicodedata.normalize("NFC", title)))


def repeated_runs(titles: Iterable[list[str]], least: int = 2) -> Counter[str]:
    """How many of the titles (each given as its `runs`) have each run of two or more characters.

    Only runs that at least `least` titles have, and that are not part of a longer run which nearly as many titles have
    (a share of `_SPARED`).
    """
    counts: Counter[str] = Counter()
    # those that begin with what is otherwise a particle, and stand where nothing is that it could belong to
    starts: set[str] = set()
    for parts in titles:
        starts.update(
            part[:end] for part in parts if part[0] in _PARTICLES for end in range(2, min(len(part), _LONGEST_RUN) + 1)
        )
        counts.update(
            {
                part[start:end]
                for part in parts
                for start in range(len(part))
                for end in range(start + 2, min(start + _LONGEST_RUN, len(part)) + 1)
            }
        )
    counts = Counter({run: count for run, count in counts.items() if count >= least})
    within: dict[str, int] = {}
    for run, count in counts.items():
        for part in (run[1:], run[:-1]):
            within[part] = max(within.get(part, 0), count)
    kept: Counter[str] = Counter()
    for run, count in counts.items():
        word = _trimmed(run, counts, starts)
        if within.get(run, 0) < _SPARED * count and len(word) >= _least_length(word) and word not in stop_words():
            kept[word] = max(kept[word], count)
    return kept


def _trimmed(run: str, counts: Counter[str], starts: set[str]) -> str:
    """The run without vowels and marks that belong to a letter outside it, and without particles at its ends.

    Words begin and end with the same characters: a run that stands at the start of a title begins with no particle; of
    two particles the second is none if the rest never stands without it; nor is one at the end of a run in Hiragana.
    """
    while run and unicodedata.category(run[0]).startswith("M"):
        run = run[1:]
    particles = 0
    while run and run[0] in _PARTICLES and run not in starts and (not particles or counts[run[1:]] > counts[run]):
        run, particles = run[1:], particles + 1
    while run and (run[-1] in _LEADING_VOWELS or run[-1] in _PARTICLES):
        if _HIRAGANA.fullmatch(run) and counts[run[:-1]] == counts[run]:
            break
        run = run[:-1]
    return run


def _least_length(run: str) -> int:
    """Two characters are a word only in Han and Katakana."""
    return 2 if _IDEOGRAPHS.search(run) else 3


@cache
def _stem(word: str) -> str:
    found = _SCRIPT.search(word)
    if found is None or found.lastgroup is None:
        return word
    if found.lastgroup == "Arabic":
        word = _ARABIC_PARTICLE.sub("ال", word)
    stem = str(_stemmer(_STEMMERS[found.lastgroup]).stemWord(word))
    return stem if len(stem) > 1 else word


@cache
def _stemmer(language: str) -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer(language)
