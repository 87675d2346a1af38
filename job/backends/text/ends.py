"""The ends of titles: an ellipsis, and where a title that is too long may end."""

import regex

from job.backends.text.stop_words import is_acronym, is_contraction, stop_words_of
from job.backends.text.terms import folded_word

# from the end on backwards
_NO_WORD_AT_END = regex.compile(r"(?r)\W*")
# a full stop only after a word: "U.S. " and "Mr. " end no clause
_CLAUSE = regex.compile(r"[:;!?]\s|(?<=\p{Ll}{4})\.\s|\s[-–—|]\s|[，。；：、！？]|(?P<comma>,)\s")
# the share of a text from which on the end of a clause is better than that of a word; commas also stand between words
_CLAUSE_SHARE, _COMMA_SHARE = 1 / 2, 2 / 3
_LOOSE = " ,;:-–—|·/&"
_PAIRS = {"(": ")", "[": "]", "{": "}", "（": "）", "「": "」", "『": "』", "【": "】", "《": "》", "“": "”", "‘": "’"}
_PAIRS |= {"„": "“", "«": "»", "»": "«", '"': '"', "'": "'"}
# a title of fewer characters says too little
LEAST_CHARS = 12
# code points of one character as a reader counts them, on average; an emoji of a family has up to 11
_MOST_CODES = 16


def is_cut(title: str) -> bool:
    """Whether the title ends in an ellipsis."""
    return _ellipsis(title) is not None


def _ellipsis(title: str) -> int | None:
    """Where the ellipsis at the title's end begins; None if there is none."""
    start = _NO_WORD_AT_END.match(title).start()
    return min((place for mark in ("…", "...") if (place := title.find(mark, start)) >= 0), default=None)


def without_ellipsis(title: str, chars: int) -> str:
    """A cut title without its ellipsis, and without the last word where the cut is inside it; as `clip` if longer."""
    text = title[: _ellipsis(title)].rstrip()
    result = clip(text, chars)
    if result == text:
        before, space, _ = text.rpartition(" ")
        inside = text and title[len(text) : len(text) + 1] != " "
        text = before if space and inside and len(before) >= LEAST_CHARS else text
        result = _closed(_without_loose_words(text))
    result = result.rstrip(".…")
    return result if regex.search(r"[^\p{P}\s]", result) else "?"


def clip(text: str, chars: int) -> str:
    """At most `chars` characters as a reader counts them, without an ellipsis: up to a clause's end, or a word's.

    The text ends in no function word, and leaves no bracket or quote open, unless nothing would be left.
    """
    if len(text) <= chars:
        return text
    characters = regex.findall(r"\X", text[: _MOST_CODES * chars])
    if len(characters) <= chars and len(text) <= _MOST_CODES * chars:
        return text
    text = "".join(characters[:chars])
    return _up_to_an_end(text) or text


def _up_to_an_end(text: str) -> str:
    clauses = [
        match.start()
        for match in _CLAUSE.finditer(text)
        if match.start() >= len(text) * (_COMMA_SHARE if match["comma"] else _CLAUSE_SHARE)
    ]
    if clauses:
        return _closed(text[: clauses[-1]])
    text = text[: text.rfind(" ")] if text.rfind(" ") > len(text) // 2 else text
    return _closed(_without_loose_words(text))


def unclosed(text: str) -> int | None:
    """The place of the first bracket or quote that the text opens and does not close; None if there is none."""
    opened: list[int] = []
    for place, character in enumerate(text):
        before, after = text[place - 1 : place], text[place + 1 : place + 2]
        if character in "'’" and before.isalnum() and after.isalnum():
            continue
        if opened and _PAIRS[text[opened[-1]]] == character:
            opened.pop()
        elif character in _PAIRS and not before.isalnum() and not (character == "'" and after.isdigit()):
            opened.append(place)
    return opened[0] if opened else None


def _closed(text: str) -> str:
    """The text up to the first bracket or quote that is left open; without it where less than half would be left."""
    text = text.rstrip(_LOOSE)
    while (place := unclosed(text)) is not None:
        before = _without_loose_words(text[:place])
        text = before if len(before) >= max(LEAST_CHARS, len(text) // 2) else text[:place] + text[place + 1 :]
    return text


def _without_loose_words(text: str) -> str:
    """The text without punctuation and function words at its end."""
    text = text.rstrip(_LOOSE)
    stop_words = stop_words_of([text])
    while True:
        before, space, last = text.rpartition(" ")
        word = last.strip("\"'“”‘’(),;:")
        folded = folded_word(word)
        loose = is_contraction(folded) or (folded in stop_words and not is_acronym(word))
        if not space or len(before) < LEAST_CHARS or not loose:
            return text
        text = before.rstrip(_LOOSE)
