"""Outlets' names at the ends of titles: "Ferry crews strike - The Daily Post".

Not all that stands after a dash is one: "- report", "- UN" and "- for now" say who says so, and how long it holds.
An outlet's name recurs, begins with a capital, and stands in titles hardly anywhere else. What the text is ("- live")
goes too.
"""

import re
from collections import Counter
from collections.abc import Sequence

import regex

from job.backends.text.ends import LEAST_CHARS, unclosed
from job.backends.text.function_words import LATIN

# titles that end alike, from which on the end is taken for an outlet's; the share of all titles
_RECURRING, _RECURRING_SHARE = 5, 1e-4
# how often the rarest word of an outlet's name may stand in titles, for each title that ends in the name
_ELSEWHERE = 3
# without the look behind, each space of a long run of them would be tried
_TAIL = regex.compile(r"(?<!\s)\s+[-–—|»·]\s+((?:(?!\s[-–—|»·]\s).){2,40})$")
_NO_LETTERS = regex.compile(r"[^\p{L}\p{M}\p{N}]+")
_DOMAIN = regex.compile(r"[\w-]+(?:\.[\w-]+)*\.\p{L}{2,}")
# a capital, also after a small letter or two, as in iNews
_NAME = regex.compile(r"[^\p{L}\p{N}]*\p{Ll}{0,2}[\p{Lu}\p{Lt}\p{Lo}]")
_WORD = re.compile(r"\w+")
_ARTICLES = frozenset("the der die das le la les el los las il lo gli o de het".split())
# what the text is, whatever else is called so; as `folded`
_FORMATS = frozenset("live liveblog liveupdates video podcast inpictures photos".split())
# who says so, or how it is; as `folded`
_NO_OUTLETS = frozenset(
    "report reports source sources study studies survey poll police official officials minister ministry analyst "
    "analysts experts researchers lawyer family un who imf ceo fed eu nato again fornow update watch review "
    "opinion analysis exclusive".split()
)


def folded(text: str) -> str:
    """Letters and digits alone, in lower case; the text where it has none."""
    return _NO_LETTERS.sub("", text.casefold()) or text


def recurring_tails(titles: Sequence[str]) -> frozenset[str]:
    """The ends of titles after " - ", " | " and the like that are outlets' names, as `folded`."""
    tails = [match[1] for title in titles if (match := _TAIL.search(title)) and _may_be_outlet(match[1])]
    counts = Counter(map(folded, tails))
    least = max(_RECURRING, _RECURRING_SHARE * len(titles))
    frequent = {folded(tail): tail for tail in tails if counts[folded(tail)] >= least}
    if not frequent:
        return frozenset()
    words = {key: _WORD.findall(tail.casefold()) for key, tail in frequent.items()}
    wanted = {word for found in words.values() for word in found}
    anywhere: Counter[str] = Counter()
    for title in titles:
        anywhere.update(word for word in _WORD.findall(title.casefold()) if word in wanted)
    return frozenset(
        key
        for key, found in words.items()
        if key in _FORMATS or min((anywhere[word] for word in found), default=0) <= _ELSEWHERE * counts[key]
    )


def without_tail(title: str, tails: frozenset[str], source: str | None) -> str:
    """The title without an outlet's name at its end: one of `tails`, or its own source."""
    for _ in range(2):
        match = _TAIL.search(title)
        if match is None or match.start() < LEAST_CHARS:
            break
        tail, rest = folded(match[1]), title[: match.start()]
        if (tail not in tails and not _is_source(tail, source)) or unclosed(rest) is not None:
            break
        title = rest
    return title.strip()


def without_any_tail(title: str) -> str:
    """The title without what stands after " - ", " | " and the like, outlet or not."""
    while (match := _TAIL.search(title)) is not None and match.start() >= LEAST_CHARS:
        title = title[: match.start()]
    return title.strip()


def _may_be_outlet(tail: str) -> bool:
    if folded(tail) in _FORMATS:
        return True
    if folded(tail) in _NO_OUTLETS or not (_NAME.match(tail) or _DOMAIN.fullmatch(tail)):
        return False
    words = tail.split()
    if words[0].casefold() in _ARTICLES:
        return True
    # "al" and "den" are articles, and begin Al Jazeera and Den Haag FM
    first = words[:1] if words[0].islower() else words[:2]
    return not all(map(_is_function_word, first))


def _is_function_word(word: str) -> bool:
    return any(word.casefold() in words for words in LATIN.values())


def _is_source(tail: str, source: str | None) -> bool:
    if not source:
        return False
    domain = regex.sub(r"^www\.|\.[\w.]*$", "", source.casefold()) if "." in source and " " not in source else source
    return tail.removeprefix("the") in {folded(each).removeprefix("the") for each in (source, domain)}
