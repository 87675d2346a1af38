"""Titles as a reader is to see them: news feeds leave HTML's entities and tags in the texts that they send."""

import html
import re

_TAG = re.compile(r"</?(?:a|b|br|em|i|small|span|strong|sub|sup|u)(?:\s[^<>]*)?/?>", re.IGNORECASE)


def without_markup(text: str) -> str:
    """The text with entities such as "&#039;" as their characters, and without the tags of words, such as "<i>"."""
    if "<" in text:
        text = _TAG.sub("", text)
    return html.unescape(text) if "&" in text else text
