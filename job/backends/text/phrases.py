"""Names of themes: their keywords, joined where they stand side by side in the titles ("Malaysia Airlines")."""

from collections.abc import Sequence
from itertools import permutations

from job.backends.text.terms import whole_words

# the share of the titles with the rarer of two words in which both stand side by side
_TOGETHER = 0.5
_SEPARATOR = " · "


def phrase_name(titles: Sequence[str], keywords: Sequence[str], count: int) -> str:
    """The first `count` keywords or phrases of them; "" where there is no keyword."""
    return _SEPARATOR.join(phrases(titles, keywords)[:count])


def phrases(titles: Sequence[str], keywords: Sequence[str]) -> list[str]:
    """The keywords, best first; those that mostly stand side by side are one phrase, at the better one's place."""
    folded = [title.casefold() for title in titles]
    have = {word: _with(folded, word) for word in keywords}
    following: dict[str, str] = {}
    pairs = []
    for first, second in permutations(keywords, 2):
        together = len(_with(have[first], f"{first} {second}"))
        if together > 1 and together >= _TOGETHER * min(len(have[first]), len(have[second])):
            pairs.append((-together, first, second))
    for _, first, second in sorted(pairs):
        if first not in following and second not in following.values() and not _leads_to(following, second, first):
            following[first] = second
    starts = [word for word in keywords if word not in following.values()]
    chains = [_chain(following, word) for word in starts]
    chains.sort(key=lambda chain: min(keywords.index(word) for word in chain))
    return [" ".join(chain) for chain in chains]


def _with(titles: Sequence[str], words: str) -> list[str]:
    """The case-folded titles in which the words stand, and not as a part of others."""
    folded = words.casefold()
    found = [title for title in titles if folded in title]
    if not found:
        # to compile a pattern takes a millisecond, and most pairs of a theme's words stand in no title
        return found
    whole = whole_words(folded)
    return [title for title in found if whole.search(title)]


def _chain(following: dict[str, str], word: str) -> list[str]:
    chain = [word]
    while chain[-1] in following:
        chain.append(following[chain[-1]])
    return chain


def _leads_to(following: dict[str, str], start: str, end: str) -> bool:
    return end in _chain(following, start)
