"""Whether a name that a model gave may stand.

A headline can tell the model what to answer, and no prompt prevents that for sure. So nothing is taken on trust: each
word of a name must stand in at least two different titles of the story's own, function words aside. What one headline
injects stands in that headline alone, however often and by whichever outlets it is printed.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence

import regex

from job.backends.text.ends import is_cut
from job.backends.text.stop_words import is_acronym, stop_words_of
from job.backends.text.tails import folded, without_any_tail

LEAST_CHARS, MOST_CHARS = 3, 80
_TITLES_PER_WORD = 2
# characters of a title that are looked at
_LONGEST_TITLE = 1_000
_NO_SPACES = (
    r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Myanmar}"
    r"\p{Script=Khmer}]"
)
# of scripts without spaces each character is a word, and Hiragana, which writes endings, is none
_TOKEN = regex.compile(rf"(?V1)\p{{Script=Hiragana}}+|{_NO_SPACES}|[[\p{{L}}\p{{M}}\p{{N}}]--{_NO_SPACES}]+")
_HIRAGANA = regex.compile(r"\p{Script=Hiragana}")
# what is left of "it's", "U.S." and "they'll"
_LETTERS = frozenset([*"abcdefghijklmnopqrstuvwxyz", "ll", "re", "ve"])
# U+200C and U+200D part and join letters in Persian and Hindi
_JOINERS = regex.compile(r"[\u200c\u200d]")
_FORBIDDEN = regex.compile(r"(?V1)[[\p{C}\p{Zl}\p{Zp}]--[\u200c\u200d]]")
_QUOTED = regex.compile(r"(?|\"([^\"]*)\"|“([^“”]*)”|„([^„“]*)“)")
_FULL_STOP = regex.compile(r"(?<=(?<![\p{L}.])\p{L}{4,})\.$")
_MARKUP = regex.compile(r"[<>{}\[\]`\\]|\*\*|__|&#?\w+;|^#")
# stop words that turn a name into its opposite
_NEGATIONS = frozenset(
    "no not never without nor neither cannot don doesn didn isn aren wasn weren won wouldn couldn shouldn hasn haven "
    "hadn nicht kein keine keinen nie ohne pas jamais sans aucun non nunca sin mai senza niet geen nooit zonder não "
    "sem не нет никогда без لا لم لن ليس بدون नहीं".split()
)
_URL = regex.compile(r"://|\bwww\.|\b[\w-]+\.(?:com|org|net|info|io|ru|cn|co)\b", regex.IGNORECASE)


def why_not(name: str, titles: Sequence[str]) -> str | None:
    """Why the name may not stand for the story with these titles (all of them); None where it may."""
    if _FORBIDDEN.search(name):
        return "a control character or a second line"
    if not LEAST_CHARS <= len(name) <= MOST_CHARS or name != name.strip():
        return f"not {LEAST_CHARS} to {MOST_CHARS} characters"
    if _MARKUP.search(name) or _URL.search(name):
        return "markup or an address"
    if is_cut(name):
        return "cut off"
    stop_words = stop_words_of(titles)
    words = _words(name, stop_words)
    if not words:
        return "no word"
    # without the ends of titles, where outlets stand: no word counts that stands there alone
    heads = [without_any_tail(unicodedata.normalize("NFKC", title[:_LONGEST_TITLE])) for title in titles]
    different = {folded(head): head for head in heads}
    counts = Counter(word for head in different.values() for word in _words(head, stop_words))
    needed = min(_TITLES_PER_WORD, len(different))
    if any(counts[word] < needed for word in words):
        return "a word that its titles do not have"
    return None


def tidied(name: str) -> str:
    """The name without quotes around it and without a full stop at its end, as models add them.

    What is the name's own stays: the quotes of a part of it, the dots of "U.S." and of an ellipsis.
    """
    name = name.strip()
    while (quoted := _QUOTED.fullmatch(name)) is not None:
        name = quoted[1].strip()
    return str(_FULL_STOP.sub("", name))


def _words(text: str, stop_words: frozenset[str]) -> set[str]:
    """The words and numbers of a text, case-folded but for "US" and the like, without stop words."""
    tokens = _TOKEN.findall(_JOINERS.sub("", unicodedata.normalize("NFKC", text)))
    folded_tokens = [token if is_acronym(token) else token.casefold() for token in tokens]
    return {
        token
        for token in folded_tokens
        if token in _NEGATIONS or not (token in stop_words or _HIRAGANA.match(token) or token in _LETTERS)
    }
