"""Titles whose UTF-8 was read as cp1252 or Latin-1, once or more often: "GrÃ¶ÃŸe", "Obamaâ€™s"."""

import regex

# a first byte of UTF-8 for letters or punctuation and the bytes after it; "é »" with a no-break space is French
_LIKELY = regex.compile(r"[ÂÃÄÅÎÏÐÑØÙ][^\x00-\x7f]|[âãäåæçèé][^\x00-\x7f\xa0][^\x00-\x7f]")
# from the characters that cp1252 has in place of controls to their bytes
_BYTES = {ord(text): byte for byte in range(0x80, 0xA0) if (text := bytes([byte]).decode("cp1252", "ignore"))}


def is_decoded_twice(text: str) -> bool:
    """Whether a part of the text is UTF-8 that was read as cp1252 or Latin-1."""
    return any(map(is_all_decoded_twice, _LIKELY.findall(text)))


def is_all_decoded_twice(text: str) -> bool:
    """Whether the whole text is UTF-8 that was read as cp1252 or Latin-1, or ASCII."""
    try:
        text.translate(_BYTES).encode("latin-1").decode()
    except UnicodeError:
        return False
    return True
