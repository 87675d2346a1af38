"""Untrusted text made plain: one line, without characters that act on the text around them."""

import re

_CONTROLS = dict.fromkeys((*range(32), *range(127, 160), 8232, 8233), " ")
# U+061C, U+200E-F, U+202A-E and U+2066-9 turn the direction of what follows; the others are invisible, and hide a word
# from a search. The joiners U+200C and U+200D stay: Persian and emoji need them
_INVISIBLE = dict.fromkeys(
    (0xAD, 0x61C, 0x180E, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF), ""
)
_TABLE: dict[int, str] = {**_CONTROLS, **_INVISIBLE, **dict.fromkeys(range(0xD800, 0xE000), "\ufffd")}
# more marks on a letter than any language has: they reach far out of the line
_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_PILES = re.compile(f"([{_MARKS}]{{4}})[{_MARKS}]+")
# without a user's name, which only makes an address look like another one; browsers take a backslash for a slash
_ADDRESS = re.compile(r"https?://[^\s/?#@\\]+([/?#][^\s\\]*)?", re.IGNORECASE)
_ADDRESS_CHARS = 2_000


def plain(text: str | None, limit: int) -> str:
    """The text on one line, of at most `limit` characters, "" for None; "…" at the end says that it was cut.

    Control characters become spaces, and spaces one space. Direction controls and other invisible characters are
    left out, as is each mark after the fourth on a letter. Lone surrogates become U+FFFD.
    """
    if not text:
        return ""
    if not (text.isascii() and text.isprintable()):
        text = _PILES.sub(r"\1", text[: 4 * limit].translate(_TABLE))
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def web_address(text: str | None) -> str:
    """The address if it is one of a web page that may be linked to, else "".

    That is: http or https, a host without a user's name before it, no spaces, backslashes or invisible characters, and
    at most 2,000 characters.
    """
    text = (text or "").strip()
    if len(text) > _ADDRESS_CHARS or not _ADDRESS.fullmatch(text) or text.translate(_TABLE) != text:
        return ""
    return text
