"""Texts as a reader is to see them: news feeds leave HTML in the titles and descriptions that they send.

Only what is HTML beyond doubt is taken for it: tags of its elements and entities that end in a semicolon. So "<3",
"a < b", "List<int>", "R&D" and a link's "?a=1&copy=2" stay.
"""

import html
import re
from collections.abc import Iterator
from html.entities import html5

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# elements that begin a line, a cell or a picture: the words before and after them are apart
_APART = frozenset(
    "address article aside audio blockquote br button caption center dd details div dl dt embed fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 head header hr html iframe img input legend li main nav noscript object ol "
    "option p picture pre section select source summary table tbody td textarea tfoot th thead tr ul video".split()
)
# elements within a line
_WITHIN = frozenset(
    "a abbr acronym b bdi bdo big body cite code del dfn em font i ins kbd label link mark meta nobr q rp rt "
    "ruby s samp script small span strike strong style sub sup time title tt u var wbr".split()
)
# those whose names are no words: any other, as in "<Video> A dog is saved", needs attributes or an end tag
_NO_WORDS = frozenset(
    "a abbr b blockquote br dd div dl dt em figcaption h1 h2 h3 h4 h5 h6 hr i iframe img li nobr ol p pre s small span "
    "strong sub sup tbody td tfoot th thead tr tt u ul wbr".split()
)
_NOT_SHOWN = ("script", "style")

_HAS_MARKUP = r"<[A-Za-z/!]|&[#A-Za-z]"
_ENTITY = re.compile(r"&(?:#(?:[0-9]{1,7}|[xX][0-9a-fA-F]{1,6})|([A-Za-z][A-Za-z0-9]{1,31}));")
# nothing here reads over the next "<", so a text is read once, however it is made
_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)|<!\[CDATA\[|\]\]>"
    r"|<(?P<end>/?)(?P<name>[A-Za-z][A-Za-z0-9-]{0,11})"
    r"(?P<attributes>\s(?:(?:[^<>\"']++|\"[^\"<]*+\"|'[^'<]*+')*+(?=>)|[^<>]*+))?"
    r"(?:\s?/?>|\Z)",
    re.DOTALL,
)


def plain_texts(column: pa.Array) -> pa.Array:
    """`without_markup` of every text of a column, string [n]; nulls stay."""
    data = column.buffers()[2]
    written = data.to_pybytes() if data is not None else b""
    if b"<" not in written and b"&" not in written:
        return column
    places = np.flatnonzero(np.asarray(pc.match_substring_regex(column, _HAS_MARKUP).fill_null(False)))
    texts = [without_markup(text) for text in column.take(pa.array(places)).to_pylist()]
    mask = np.zeros(len(column), bool)
    mask[places] = True
    return pc.replace_with_mask(column, mask, pa.array(texts, pa.string()))


def without_markup(text: str) -> str:
    """The text without tags, comments and scripts, and with entities such as "&#039;" as their characters.

    Entities are decoded once. What they then write, as "&lt;p&gt;", is taken for a tag too: of feeds that are escaped
    twice. Where there was markup, runs of white space are one space, as in a browser.
    """
    plain = _without_tags(text) if "<" in text else text
    if "&" in plain:
        decoded = _ENTITY.sub(_character, plain)
        plain = _without_tags(decoded) if decoded != plain and "<" in decoded else decoded
    return text if plain == text else " ".join(plain.split())


def _character(entity: re.Match[str]) -> str:
    name = entity[1]
    return entity[0] if name and f"{name};" not in html5 else html.unescape(entity[0])


def _without_tags(text: str) -> str:
    return "".join(_shown_parts(text))


def _shown_parts(text: str) -> Iterator[str]:
    """What stands between the tags of a text, and a space where a tag parts words."""
    at, hidden, ended = 0, "", _Ended(text)
    for tag in _TAG.finditer(text):
        name = (tag["name"] or "").lower()
        if hidden:
            if tag["end"] and name == hidden:
                hidden, at = "", tag.end()
            continue
        if tag["name"] and not _is_html(tag, name, ended):
            continue
        yield text[at : tag.start()]
        if name in _APART:
            yield " "
        at = tag.end()
        if name in _NOT_SHOWN and not tag["end"]:
            hidden = name
    if not hidden:
        yield text[at:]


class _Ended(dict[str, bool]):
    """Whether a text has an end tag of this name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def __missing__(self, name: str) -> bool:
        self[name] = re.search(rf"</{name}\s?>", self._text, re.IGNORECASE) is not None
        return self[name]


def _is_html(tag: re.Match[str], name: str, ended: _Ended) -> bool:
    """Whether a tag is one of HTML. One that is cut off, at the end of the text, needs an attribute."""
    if name not in _APART and name not in _WITHIN:
        return False
    inside = (tag["attributes"] or "").strip(" /\t\r\n")
    if not tag[0].endswith(">"):
        return "=" in inside
    return bool(tag["end"]) or "=" in inside or (not inside and name in _NO_WORDS) or ended[name]
