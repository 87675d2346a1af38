"""From the input's titles and descriptions to distinct headlines with ids of their own."""

import hashlib
from collections import Counter

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from job.backends.tables.missing import are_missing, is_missing
from job.backends.tables.take import take_rows
from job.backends.text.markup import plain_texts
from job.backends.text.mojibake import is_all_decoded_twice
from job.data import HEADLINES, Headlines, Ids
from job.runtime.errors import JobError

# line ends and tabs separate words, so they become spaces; other control characters are removed, and the byte order
# marks of files that were joined
_SPACING = "[\t\n\x0b\x0c\r\x85\u2028\u2029]"
_CONTROL = r"[\p{Cc}\x{FEFF}]"
# behind these it is a byte of UTF-8 that was read in another encoding, as in "polÃ\u00adtica"
_SOFT_HYPHEN = r"(^|[^ÂÃÄÅÎÏÐÑØÙ])\x{AD}+"
# neither controls, spaces and marks, nor the letters and symbols that show nothing (Hangul fillers, blank braille)
_VISIBLE = r"[^\p{Cc}\p{Cf}\p{Z}\p{M}\x{115F}\x{1160}\x{3164}\x{FFA0}\x{2800}]"

# first bytes of UTF-8 for letters and punctuation, read as cp1252 or Latin-1
_DECODED_TWICE = "[ÂÃÄÅÎÏÐÑØÙâãäåæçèé][^\\x{00}-\\x{7F}]"


def clean_text(column: pa.Array) -> pa.Array:
    """Without HTML, in Unicode NFC, line ends and tabs to spaces, other control characters, soft hyphens and byte order
    marks dropped, trimmed; null becomes ''."""
    column = pc.utf8_normalize(plain_texts(pc.fill_null(column, "")), "NFC")
    column = pc.replace_substring_regex(column, _SPACING, " ")
    column = pc.replace_substring_regex(column, _CONTROL, "")
    if pc.any(pc.match_substring(column, "\u00ad")).as_py():
        column = pc.replace_substring_regex(column, _SOFT_HYPHEN, r"\1")
    return pc.utf8_trim_whitespace(column)


def decoded_twice(column: pa.Array) -> list[str]:
    """The texts that are UTF-8 which was read as cp1252 or Latin-1, as "GrÃ¶ÃŸe" for "Größe"."""
    likely = column.filter(pc.match_substring_regex(column, _DECODED_TWICE))
    return [text for text in likely.to_pylist() if is_all_decoded_twice(text)]


def says_something(column: pa.Array) -> pa.Array:
    """Whether each clean text has a character that a reader sees, and is no word for a missing value."""
    return pc.and_not(pc.match_substring_regex(column, _VISIBLE), are_missing(column))


def why_unusable(title: str | None) -> str:
    """The reason of the reject of a title that says nothing once it is clean."""
    if title is None:
        return "title is missing"
    if is_missing(title.strip()) and title.strip():
        return f"title is missing: it is '{title.strip()}'"
    return "title is HTML without text" if "<" in title or "&" in title else "title is blank"


def texts_table(
    titles: pa.Array, descriptions: pa.Array, times: npt.NDArray[np.float64], seen: Counter[str] | None
) -> pa.Table:
    """id, title, description, text and time of each row.

    `seen` counts equal texts where each copy becomes a headline of its own; None merges copies.
    """
    no_description = pc.equal(descriptions, "")
    texts = pc.if_else(no_description, titles, pc.binary_join_element_wise(titles, descriptions, "\n"))
    ids = []
    for text in texts.to_pylist():
        ids.append(headline_id(text, seen[text] if seen is not None else 0))
        if seen is not None:
            seen[text] += 1
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "title": titles,
            "description": pc.if_else(no_description, None, descriptions),
            "text": texts,
            "time": pa.array(times, from_pandas=True),
        }
    )


def headline_id(text: str, copy: int = 0) -> int:
    """A 63-bit id from BLAKE2b of the normalized text; `copy` distinguishes equal texts where copies are kept."""
    salt = copy.to_bytes(8, "big")
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, salt=salt).digest(), "big") >> 1


def distinct(texts: pa.Table) -> Headlines:
    """One row per text, ascending by id, with the number of its copies and the earliest of their times."""
    ids: Ids = texts["id"].to_numpy()
    order = np.argsort(ids, kind="stable")
    new = np.concatenate([[True], ids[order][1:] != ids[order][:-1]])
    first = order[new]
    group = np.cumsum(new) - 1
    copies = np.bincount(group).astype(np.int32)
    repeats = np.flatnonzero(~new)
    if len(repeats):
        text = texts.select(["text"])
        if not take_rows(text, order[repeats]).equals(take_rows(text, first[group[repeats]])):
            raise JobError("two different headlines have the same 63-bit id: please report these two texts")
    times = np.full(len(first), np.inf)
    known = np.nan_to_num(texts["time"].to_numpy(), nan=np.inf)
    np.minimum.at(times, group, known[order])
    table = take_rows(texts, first).append_column("copies", pa.array(copies))
    earliest = pa.array(np.where(np.isfinite(times), times, np.nan), from_pandas=True)
    table = table.set_column(table.column_names.index("time"), "time", earliest)
    return Headlines(table.select(HEADLINES.names).combine_chunks().cast(HEADLINES))
