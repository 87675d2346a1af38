"""Addresses of articles in few bytes: a word that the title has too is one character.

Most addresses repeat their title (".../ferry-crews-walk-off-the-job"): so they take three fifths of what gzip alone
makes of them. `static/addresses.js` reads them.
"""

import re

_WORD, _TITLE_WORD, _APOSTROPHE = re.compile("[a-z0-9]+"), re.compile("[A-Za-z0-9]+"), re.compile("['’]")
# of the title's first words: no address has a control character, and a line end parts the addresses
_MARKS = [chr(code) for code in range(1, 32) if chr(code) != "\n"]


def coded(address: str, title: str) -> str:
    """The address, with each word that is among the first 30 of the title as the mark of its place there.

    `title`: as the page has it. `address`: as from `web_address`.
    """
    marks: dict[str, str] = {}
    for word, mark in zip(_TITLE_WORD.findall(_APOSTROPHE.sub("", title)), _MARKS, strict=False):
        marks.setdefault(word.lower(), mark)
    return _WORD.sub(lambda word: marks.get(word.group(), word.group()), address)
