"""The words of headlines as vectors whose dot products are cosines of TF-IDF weights, up to a small random error."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from job.data import Floats

WIDTH = 512
# non-zero entries per term
_ENTRIES = 16
# scripts that are written without spaces: Han, Hiragana, Katakana, Thai, Lao, Myanmar, Khmer
_NO_SPACES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
_RUNS = re.compile(rf"[{_NO_SPACES}]+|[^\W{_NO_SPACES}]+")
_NO_SPACE = re.compile(rf"[{_NO_SPACES}]")


def terms(text: str) -> list[str]:
    """The terms of a text: words in lower case; pairs of characters in scripts that are written without spaces."""
    found: list[str] = []
    for run in _RUNS.findall(unicodedata.normalize("NFKC", text).lower()):
        if _NO_SPACE.match(run):
            found += [run] if len(run) == 1 else [run[i : i + 2] for i in range(len(run) - 1)]
        elif len(run) > 1 or run.isdigit():
            found.append(run)
    return found


def word_vectors(texts: Sequence[str], weights: Mapping[str, float] | None = None) -> Floats:
    """Unit vectors float32 [n, WIDTH] of TF-IDF weights; zero where a text has no term with a weight.

    Weight of a term in a text: (1 + log f) times the term's own weight, f times in the text (scikit-learn's
    `TfidfVectorizer(sublinear_tf=True)`). `weights`: the terms' own, by `term_weights` of other texts; None: of these.
    """
    numbers: dict[str, int] = {}
    counts: list[float] = []
    columns: list[int] = []
    ends = [0]
    for text in texts:
        for term, count in Counter(terms(text)).items():
            columns.append(numbers.setdefault(term, len(numbers)))
            counts.append(count)
        ends.append(len(columns))
    of_term = np.array(columns, np.int64)
    if weights is None:
        idf = _idf(np.bincount(of_term, minlength=len(numbers)), len(texts))
    else:
        idf = np.array([weights.get(term, 0.0) for term in numbers], np.float64)
    products = (1 + np.log(np.array(counts, np.float64))) * idf[of_term]
    hashes = np.array([_hash(term.encode()) for term in numbers], np.uint64)
    return _unit(_projected(hashes[of_term], products, np.array(ends, np.int64)))


def term_weights(texts: Sequence[str]) -> dict[str, float]:
    """The weight of each term: 1 + log((1 + n) / (1 + df)), in df of the n texts; 0 for a term of one text only."""
    df = Counter(term for text in texts for term in set(terms(text)))
    idf = _idf(np.array(list(df.values()), np.int64), len(texts))
    return dict(zip(df, idf.tolist(), strict=True))


def _idf(df: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.float64]:
    return np.where(df > 1, 1 + np.log((1 + n) / (1 + df)), 0.0)


def lexical_vectors(lexical: Any) -> Floats:
    """The same of BGE-M3's lexical weights, a SciPy CSR array [n, vocabulary]."""
    hashes = np.array([_hash(token.to_bytes(8, "little")) for token in range(lexical.shape[1])], np.uint64)
    weights = lexical.data.astype(np.float64)
    return _unit(_projected(hashes[lexical.indices], weights, lexical.indptr.astype(np.int64)))


def _hash(term: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(term, digest_size=8).digest(), "little")


def _projected(hashes: npt.NDArray[np.uint64], weights: npt.NDArray[np.float64], ends: npt.NDArray[np.int64]) -> Floats:
    """Each row's weighted sum of its terms' random vectors, float32 [n, WIDTH].

    A term's vector has `_ENTRIES` entries of +-1 / sqrt(_ENTRIES), at places and with signs that follow from the term
    alone, not from its number: a sparse Johnson-Lindenstrauss projection (Kane, Nelson (2014), "Sparser
    Johnson-Lindenstrauss transforms"). Dot products are kept up to an error of about 1 / sqrt(WIDTH).
    """
    # the sum of a row in the order of its terms' hashes: the same whatever the order of rows and terms
    rows = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    order = np.lexsort((hashes, rows))
    result: Floats = _project(hashes[order], weights[order], ends, WIDTH, _ENTRIES)
    return result


@nb.njit(cache=True)
def _project(hashes, weights, ends, width, entries):  # type: ignore[no-untyped-def]
    n = len(ends) - 1
    out = np.zeros((n, width), np.float32)
    scale = 1.0 / np.sqrt(entries)
    total = np.zeros(width)
    for row in range(n):
        total[:] = 0.0
        for e in range(ends[row], ends[row + 1]):
            state = hashes[e]
            for _ in range(entries):
                # splitmix64
                state += np.uint64(0x9E3779B97F4A7C15)
                z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                z ^= z >> np.uint64(31)
                place = np.int64(z % np.uint64(width))
                total[place] += weights[e] * scale if z >> np.uint64(63) else -weights[e] * scale
        for column in range(width):
            out[row, column] = total[column]
    return out


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.divide(vectors, lengths, out=vectors, where=lengths > 0)
    return vectors
