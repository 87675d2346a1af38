"""Whether a name that a model gave may stand.

A headline can tell the model what to answer, and no prompt prevents that for sure. So nothing is taken on trust: each
word of a name must stand in at least two different titles of the story's own, stop words aside. What one headline
injects stands in that headline alone, however often it is printed.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence

import regex

from job.backends.text.ends import is_cut
from job.backends.text.stop_words import stop_words

LEAST_CHARS, MOST_CHARS = 3, 80
_TITLES_PER_WORD = 2
_NO_SPACES = (
    r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Myanmar}"
    r"\p{Script=Khmer}]"
)
# of scripts without spaces each character is a word, and Hiragana, which writes endings, is none
_TOKEN = regex.compile(rf"(?V1)\p{{Script=Hiragana}}+|{_NO_SPACES}|[[\p{{L}}\p{{M}}\p{{N}}]--{_NO_SPACES}]+")
_HIRAGANA = regex.compile(r"\p{Script=Hiragana}")
# what is left of "it's" and "U.S."
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")
# U+200C and U+200D join letters in Persian and Hindi
_FORBIDDEN = regex.compile(r"(?V1)[[\p{C}\p{Zl}\p{Zp}]--[\u200c\u200d]]")
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
    words = _words(name)
    if not words:
        return "no word"
    different = dict.fromkeys(" ".join(unicodedata.normalize("NFKC", title).casefold().split()) for title in titles)
    counts = Counter(word for title in different for word in _words(title))
    needed = min(_TITLES_PER_WORD, len(different))
    if any(counts[word] < needed for word in words):
        return "a word that its titles do not have"
    return None


def _words(text: str) -> set[str]:
    """The words and numbers of a text, case-folded, without stop words."""
    tokens = _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())
    return {
        token
        for token in tokens
        if token in _NEGATIONS or not (token in stop_words() or _HIRAGANA.match(token) or token in _LETTERS)
    }
