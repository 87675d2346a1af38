"""Story vectors: what a headline says, in which words, and when, in one vector per headline."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from job.backends.stories.words import lexical_vectors, word_vectors
from job.data import Floats, Vectors

_BLOCK_ROWS = 8_192
_FREQUENCIES = 48


@dataclass(frozen=True)
class Shares:
    """How much each kind of evidence counts; the rest is the dense vector's. `hours`: the time constant.

    `words` and `time` are used where there are times, `words_only` where there are none.
    """

    words: float = 0.25
    time: float = 0.15
    words_only: float = 0.3
    hours: float = 72.0


def story_vectors(
    dense: Vectors, texts: list[str], times: npt.NDArray[np.float64], shares: Shares, lexical: Any = None
) -> Floats:
    """Vectors float32 [n, D] with s(i, j) = a cos(dense) + b cos(words) + c exp(-|t_i - t_j| / tau) as dot products.

    `dense` [n, d]: unit vectors, which are centered on their mean and normalized again. `texts`: for the words; with
    `lexical`, a CSR array of BGE-M3's lexical weights, these are used instead. `times` [n]: seconds, NaN where unknown.
    A headline without a time has the mean of the others' time features: it is as near in time as an average headline.
    """
    known = np.isfinite(times)
    words, time = (shares.words, shares.time) if known.any() else (shares.words_only, 0.0)
    n, d = dense.shape
    of_words = word_vectors(texts) if lexical is None else lexical_vectors(lexical)
    of_time = _time_features(times / 3600, known, shares.hours) if time else np.zeros((n, 0), np.float32)
    result = np.empty((n, d + of_words.shape[1] + of_time.shape[1]), np.float32)
    mean = np.sum(dense, axis=0, dtype=np.float64) / max(n, 1)
    for start in range(0, n, _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        moved = dense[rows].astype(np.float64) - mean
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        moved /= np.where(lengths > 0, lengths, 1)
        result[rows, :d] = np.sqrt(1 - words - time) * moved
    result[:, d : d + of_words.shape[1]] = np.sqrt(words, dtype=np.float32) * of_words
    result[:, d + of_words.shape[1] :] = np.sqrt(time, dtype=np.float32) * of_time
    return result


def _time_features(hours: npt.NDArray[np.float64], known: npt.NDArray[np.bool_], constant: float) -> Floats:
    """Features float32 [n, 2 x 48] whose dot products are about exp(-|difference| / constant).

    Random Fourier features (Rahimi, Recht (2007), "Random features for large-scale kernel machines"): the spectrum of
    this kernel is a Cauchy distribution. Its quantiles take the place of random numbers: the error is .03 up to 200
    hours, root mean square, where random ones have .10 (constant 72 hours).
    """
    quantiles = (np.arange(_FREQUENCIES) + 0.5) / _FREQUENCIES
    frequencies = np.tan(np.pi * quantiles / 2) / constant
    since = np.where(known, hours - hours[known].min(), 0.0)
    angles = since[:, None] * frequencies
    features = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(_FREQUENCIES)
    features[~known] = features[known].mean(axis=0)
    result: Floats = features.astype(np.float32)
    return result


def background(vectors: Floats, seed: int, sample: int = 1_000, quantile: float = 0.8) -> Floats:
    """How similar each headline is to other stories of its topic, float32 [n].

    The `quantile` of its dot products with `sample` random headlines, itself left out. Subtracted from the similarity
    of two clusters, it makes one limit fit corpora of one topic and of many.
    """
    n = len(vectors)
    if n < 2:
        return np.zeros(n, np.float32)
    chosen = np.sort(np.random.default_rng(seed).choice(n, min(sample, n), replace=False))
    others = vectors[chosen]
    place = np.full(n, -1)
    place[chosen] = np.arange(len(chosen))
    result = np.empty(n, np.float32)
    for start in range(0, n, _BLOCK_ROWS):
        products = vectors[start : start + _BLOCK_ROWS] @ others.T
        own = place[start : start + _BLOCK_ROWS]
        itself = np.flatnonzero(own >= 0)
        products[itself, own[itself]] = -np.inf
        products.sort(axis=1)
        # the headline itself, if it is in the sample, stands first
        first = (own >= 0).astype(np.int64)
        at = first + np.floor(quantile * (len(chosen) - 1 - first)).astype(np.int64)
        result[start : start + _BLOCK_ROWS] = products[np.arange(len(products)), at]
    return result
