"""Story vectors: what a headline says, in which words, and when, in one vector per headline."""

from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class StorySpace:
    """What the story vectors of a corpus depend on beside the headline itself, so that later headlines get theirs.

    `words`, `time`: the shares in use. `center` float64 [d]: the mean of the dense vectors. `first_hour`, `mean_time`:
    the earliest time, and the mean of the known times' features; None where times are not used.
    """

    words: float
    time: float
    hours: float
    center: npt.NDArray[np.float64]
    first_hour: float = 0.0
    mean_time: npt.NDArray[np.float64] | None = None

    @classmethod
    def of(cls, dense: Vectors, times: npt.NDArray[np.float64], shares: Shares) -> "StorySpace":
        """The space of a corpus with these dense vectors [n, d] and times [n]."""
        hours = times[np.isfinite(times)] / 3600
        words, time = (shares.words, shares.time) if len(hours) else (shares.words_only, 0.0)
        center = np.asarray(np.sum(dense, axis=0, dtype=np.float64) / max(len(dense), 1))
        space = cls(words, time, shares.hours, center)
        if not time:
            return space
        first = float(hours.min())
        mean = _time_features(hours - first, shares.hours).mean(axis=0)
        return replace(space, first_hour=first, mean_time=mean)

    def vectors(self, dense: Vectors, of_words: Floats, times: npt.NDArray[np.float64]) -> Floats:
        """Story vectors float32 [m, D] of headlines with these dense vectors, word vectors and times."""
        n, d = dense.shape
        of_time = self._of_times(times)
        result = np.empty((n, d + of_words.shape[1] + of_time.shape[1]), np.float32)
        for start in range(0, n, _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            moved = dense[rows].astype(np.float64) - self.center
            lengths = np.linalg.norm(moved, axis=1, keepdims=True)
            moved /= np.where(lengths > 0, lengths, 1)
            result[rows, :d] = np.sqrt(1 - self.words - self.time) * moved
        result[:, d : d + of_words.shape[1]] = np.sqrt(self.words, dtype=np.float32) * of_words
        result[:, d + of_words.shape[1] :] = np.sqrt(self.time, dtype=np.float32) * of_time
        return result

    def _of_times(self, times: npt.NDArray[np.float64]) -> Floats:
        if self.mean_time is None:
            return np.zeros((len(times), 0), np.float32)
        known = np.isfinite(times)
        features = _time_features(np.where(known, times / 3600 - self.first_hour, 0.0), self.hours)
        features[~known] = self.mean_time
        result: Floats = features.astype(np.float32)
        return result


def story_vectors(
    dense: Vectors, texts: list[str], times: npt.NDArray[np.float64], shares: Shares, lexical: Any = None
) -> Floats:
    """Vectors float32 [n, D] with s(i, j) = a cos(dense) + b cos(words) + c exp(-|t_i - t_j| / tau) as dot products.

    `dense` [n, d]: unit vectors, which are centered on their mean and normalized again. `texts`: for the words; with
    `lexical`, a CSR array of BGE-M3's lexical weights, these are used instead. `times` [n]: seconds, NaN where unknown.
    A headline without a time has the mean of the others' time features: it is as near in time as an average headline.
    """
    of_words = word_vectors(texts) if lexical is None else lexical_vectors(lexical)
    return StorySpace.of(dense, times, shares).vectors(dense, of_words, times)


def _time_features(hours: npt.NDArray[np.float64], constant: float) -> npt.NDArray[np.float64]:
    """Features [n, 2 x 48] whose dot products are about exp(-|difference| / constant).

    Random Fourier features (Rahimi, Recht (2007), "Random features for large-scale kernel machines"): the spectrum of
    this kernel is a Cauchy distribution. Its quantiles take the place of random numbers: the error is .03 up to 200
    hours, root mean square, where random ones have .10 (constant 72 hours).
    """
    quantiles = (np.arange(_FREQUENCIES) + 0.5) / _FREQUENCIES
    frequencies = np.tan(np.pi * quantiles / 2) / constant
    angles = hours[:, None] * frequencies
    return np.asarray(np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(_FREQUENCIES))


def background(vectors: Floats, seed: int, sample: int = 1_000, quantile: float = 0.8) -> Floats:
    """How similar each headline is to other stories of its topic, float32 [n].

    The `quantile` of its dot products with `sample` random headlines, itself left out. Subtracted from the similarity
    of two clusters, it makes one limit fit corpora of one topic and of many.
    """
    n = len(vectors)
    if n < 2:
        return np.zeros(n, np.float32)
    chosen = background_rows(n, seed, sample)
    place = np.full(n, -1)
    place[chosen] = np.arange(len(chosen))
    return background_of(vectors, vectors[chosen], place, quantile)


def background_rows(n: int, seed: int, sample: int = 1_000) -> npt.NDArray[np.int64]:
    """The random rows that `background` compares with, ascending."""
    return np.sort(np.random.default_rng(seed).choice(n, min(sample, n), replace=False))


def background_of(
    vectors: Floats, others: Floats, place: npt.NDArray[np.int64] | None = None, quantile: float = 0.8
) -> Floats:
    """`background` of some headlines, from the vectors of `background_rows`; also of headlines outside the corpus.

    `place` [m]: where each stands among `others`, -1: it does not; None: none does.
    """
    result = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        products = vectors[start : start + _BLOCK_ROWS] @ others.T
        own = np.full(len(products), -1) if place is None else place[start : start + _BLOCK_ROWS]
        itself = np.flatnonzero(own >= 0)
        products[itself, own[itself]] = -np.inf
        products.sort(axis=1)
        # the headline itself, if it is in the sample, stands first
        first = (own >= 0).astype(np.int64)
        at = first + np.floor(quantile * (len(others) - 1 - first)).astype(np.int64)
        result[start : start + _BLOCK_ROWS] = products[np.arange(len(products)), at]
    return result
