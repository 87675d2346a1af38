"""The terms of headlines and their weights, for texts of any language.

A text is folded (compatibility forms, accents off, lower case) and cut into terms by script:
- scripts with spaces (Latin, Cyrillic, Arabic, Hebrew, Devanagari ...): words, that is runs of letters, marks, digits;
- Han, Hiragana, Katakana and Hangul: pairs of neighboring characters, as in Lucene's CJKAnalyzer;
- Thai, Lao, Tibetan, Myanmar and Khmer, alphabets without spaces: groups of three neighboring characters.
A run shorter than a pair or a group is one term. There is no list of stop words: a word that many headlines have
weighs little.

A term is a 64-bit hash of its characters, so nothing depends on the order in which terms are met.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from job.backends.graph_hdbscan.row_ranges import map_row_ranges
from job.data import Floats

Hashes = npt.NDArray[np.uint64]
# kinds of characters
_SEPARATOR, _WORD, _PAIRS, _GROUPS, _SKIPPED = range(5)
_PAIR_SCRIPTS = (
    *((0x1100, 0x11FF), (0x3005, 0x3007), (0x3040, 0x30FA), (0x30FC, 0x30FF), (0x3130, 0x318F), (0x31F0, 0x31FF)),
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0x20000, 0x3FFFD)),
)
_GROUP_SCRIPTS = ((0x0E00, 0x0EFF), (0x0F00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0xA9E0, 0xA9FF))
# Hebrew and Arabic vowel points, and the line that stretches Arabic words: most texts leave them out; and what makes a
# symbol an emoji
_POINTS = ((0x0591, 0x05C7), (0x0610, 0x061A), (0x0640, 0x0640), (0x064B, 0x065F), (0x0670, 0x0670), (0xFE00, 0xFE0F))
_ACCENTS = "[\u0300-\u036f]"
_LAST = 0x3FFFF


@dataclass(frozen=True)
class Terms:
    """The distinct terms of n texts: those of text i are `offsets[i] : offsets[i + 1]`, ascending by hash.

    `hashes` uint64 [m], `weights` float64 [m], `offsets` int64 [n + 1].
    """

    hashes: Hashes
    weights: npt.NDArray[np.float64]
    offsets: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Frequencies:
    """In how many of `texts` texts each term is: `hashes` uint64 [t], ascending, and `counts` int64 [t]."""

    hashes: Hashes
    counts: npt.NDArray[np.int64]
    texts: int

    @classmethod
    def of(cls, texts: Sequence[str] | pa.Array, threads: int = 1) -> "Frequencies":
        """Those of a corpus."""
        hashes, counts = np.unique(_count_all(texts, threads)[0], return_counts=True)
        return cls(hashes, counts.astype(np.int64), len(texts))

    def of_terms(self, hashes: Hashes) -> npt.NDArray[np.int64]:
        """The count of each of these terms; of one that no text has, 1: the text that it stands in."""
        if not len(self.hashes):
            return np.ones(len(hashes), np.int64)
        place = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[place] == hashes, self.counts[place], 1)


def text_terms(texts: Sequence[str] | pa.Array, threads: int = 1, corpus: Frequencies | None = None) -> Terms:
    """The terms of texts and their TF-IDF weights. `corpus`: that of other texts, None: these are the corpus.

    The weight of a term that stands f times in a text and in df of the n texts is
    (1 + ln f) (1 + ln((1 + n) / (1 + df))), as in scikit-learn's `TfidfVectorizer(sublinear_tf=True)`.
    """
    hashes, counts, lengths = _count_all(texts, threads)
    if corpus is None:
        n, df = len(texts), _document_frequencies(hashes)
    else:
        n, df = corpus.texts, corpus.of_terms(hashes)
    weights = (1 + np.log(counts)) * (1 + np.log((1 + n) / (1 + df)))
    return Terms(hashes, weights, np.cumsum(lengths))


def _count_all(
    texts: Sequence[str] | pa.Array, threads: int
) -> tuple[Hashes, npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """`_count_terms` of all texts; the lengths with a 0 in front."""
    column = texts if isinstance(texts, pa.Array | pa.ChunkedArray) else pa.array(texts, pa.string())
    ranges = map_row_ranges(lambda start, stop: _count_terms(column[start:stop]), len(column), threads)
    hashes = np.concatenate([np.zeros(0, np.uint64), *(found[0] for found in ranges)])
    counts = np.concatenate([np.zeros(0, np.int32), *(found[1] for found in ranges)])
    return hashes, counts, np.concatenate([np.zeros(1, np.int64), *(found[2] for found in ranges)])


def lexical_terms(lexical: Any) -> Terms:
    """BGE-M3's lexical weights, a SciPy CSR array [n, vocabulary], as terms: a hash of the token's number for each."""
    numbers = np.arange(1, lexical.shape[1] + 1, dtype=np.uint64)
    ordered = lexical.sorted_indices()
    hashes = _hash_numbers(numbers)[ordered.indices]
    return Terms(hashes, ordered.data.astype(np.float64), ordered.indptr.astype(np.int64))


def project(terms: Terms, scale: float, out: Floats, threads: int = 1) -> None:
    """Write a vector of length `scale` for each text into `out` [n, width]; zeros for a text without terms.

    Dot products are scale^2 times the cosines of the terms' weights, up to a random error of 1 / sqrt(width): a sparse
    Johnson-Lindenstrauss projection (Achlioptas 2003, "Database-friendly random projections"; Kane, Nelson 2014,
    "Sparser Johnson-Lindenstrauss transforms"). A term's vector is a few entries of +1 or -1, at places and with signs
    that follow from its hash.
    """
    map_row_ranges(
        lambda start, stop: _project(terms.hashes, terms.weights, terms.offsets, scale, out, start, stop),
        len(out),
        threads,
    )


def _count_terms(texts: pa.Array) -> tuple[Hashes, npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The hashes of the terms, ascending in each text, how often each stands in its text, and their number per text."""
    column = texts.cast(pa.large_string())
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    column = pc.utf8_normalize(pc.fill_null(column, ""), "NFKD")
    column = pc.utf8_lower(pc.utf8_normalize(pc.replace_substring_regex(column, _ACCENTS, ""), "NFKC"))
    offsets = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
    data = column.buffers()[2]
    bytes_ = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    hashes, counts, lengths = _find_terms(bytes_, offsets, _kinds())
    return hashes, counts, lengths


def _document_frequencies(hashes: Hashes) -> npt.NDArray[np.int64]:
    """For each entry the number of texts with its term. A text has an entry for each of its terms once."""
    order = np.argsort(hashes)
    ordered = hashes[order]
    first = np.flatnonzero(np.diff(ordered, prepend=~ordered[:1]))
    lengths = np.diff(first, append=len(hashes))
    result = np.empty(len(hashes), np.int64)
    result[order] = np.repeat(lengths, lengths)
    return result


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """The kind of each character: how it takes part in terms."""
    kinds = np.array([unicodedata.category(chr(code))[0] in "LMN" for code in range(0x20000)], np.uint8) * _WORD
    kinds = np.concatenate([kinds, np.zeros(_LAST + 1 - len(kinds), np.uint8)])
    for kind, ranges in ((_PAIRS, _PAIR_SCRIPTS), (_GROUPS, _GROUP_SCRIPTS), (_SKIPPED, _POINTS)):
        for first, last in ranges:
            span = kinds[first : last + 1]
            span[(span > 0) | (first >= 0x20000)] = kind
    return kinds


@nb.njit(cache=True, nogil=True)
def _mix(x):  # type: ignore[no-untyped-def]
    """The finalizer of splitmix64: all bits of the result depend on all bits of x."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@nb.njit(cache=True, nogil=True)
def _add(state, code):  # type: ignore[no-untyped-def]
    return _mix(state + np.uint64(0x9E3779B97F4A7C15) + np.uint64(code))


@nb.njit(cache=True, nogil=True)
def _hash_numbers(numbers):  # type: ignore[no-untyped-def]
    result = np.empty(len(numbers), np.uint64)
    for i in range(len(numbers)):
        result[i] = _add(np.uint64(0), numbers[i])
    return result


@nb.njit(cache=True, nogil=True)
def _decode(data, at):  # type: ignore[no-untyped-def]
    """The code point of the UTF-8 character at `at`, and where the next one starts."""
    lead = np.int64(data[at])
    if lead < 0x80:
        return lead, at + 1
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | data[at + 1] & 0x3F, at + 2
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | (data[at + 1] & 0x3F) << 6 | data[at + 2] & 0x3F, at + 3
    high = (lead & 0x07) << 18 | (data[at + 1] & 0x3F) << 12
    return high | (data[at + 2] & 0x3F) << 6 | data[at + 3] & 0x3F, at + 4


@nb.njit(cache=True, nogil=True)
def _terms_of(data, start, stop, kinds, out):  # type: ignore[no-untyped-def]
    """Write the hashes of a text's terms into `out`; returns their number, at most stop - start + 1."""
    none = np.uint64(0)
    found, run_kind, run = 0, _SEPARATOR, 0
    word = none
    before = before_that = np.int64(0)
    at = start
    while at <= stop:
        if at < stop:
            code, at = _decode(data, at)
            kind = kinds[code] if code < len(kinds) else _SEPARATOR
        else:
            code, at, kind = 0, stop + 1, _SEPARATOR
        if kind == _SKIPPED:
            continue
        if kind != run_kind:
            if run > 0 and (run_kind == _WORD or (run_kind == _PAIRS and run < 2) or (run_kind == _GROUPS and run < 3)):
                out[found] = word
                found += 1
            run_kind, run, word = kind, 0, none
        if kind == _SEPARATOR:
            continue
        word = _add(word, code)
        run += 1
        if kind == _PAIRS and run >= 2:
            out[found] = _add(_add(none, before), code)
            found += 1
        elif kind == _GROUPS and run >= 3:
            out[found] = _add(_add(_add(none, before_that), before), code)
            found += 1
        before_that, before = before, code
    return found


@nb.njit(cache=True, nogil=True)
def _find_terms(data, offsets, kinds):  # type: ignore[no-untyped-def]
    n = len(offsets) - 1
    hashes = np.empty(offsets[n] - offsets[0] + n, np.uint64)
    counts = np.empty(len(hashes), np.int32)
    lengths = np.empty(n, np.int64)
    total = 0
    for i in range(n):
        found = _terms_of(data, offsets[i], offsets[i + 1], kinds, hashes[total:])
        terms = np.sort(hashes[total : total + found])
        first = total
        for t in range(found):
            if t > 0 and terms[t] == terms[t - 1]:
                counts[total - 1] += 1
            else:
                hashes[total], counts[total] = terms[t], 1
                total += 1
        lengths[i] = total - first
    return hashes[:total].copy(), counts[:total].copy(), lengths


@nb.njit(cache=True, nogil=True)
def _project(hashes, weights, offsets, scale, out, start, stop):  # type: ignore[no-untyped-def]
    width = np.uint64(out.shape[1])
    total = np.empty(out.shape[1])
    for i in range(start, stop):
        total[:] = 0.0
        for e in range(offsets[i], offsets[i + 1]):
            state = hashes[e]
            for _ in range(8):
                state = _add(state, 0)
                sign = 1.0 if state >> np.uint64(63) else -1.0
                total[np.int64((state & np.uint64(0xFFFFFFFF)) % width)] += sign * weights[e]
        squares = 0.0
        for c in range(len(total)):
            squares += total[c] * total[c]
        factor = scale / np.sqrt(squares) if squares > 0 else 0.0
        for c in range(len(total)):
            out[i, c] = factor * total[c]
