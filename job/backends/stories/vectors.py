"""Story vectors: what a headline says, in which words, and when, in one vector per headline."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from job.backends.arrays import Device, array_module
from job.backends.stories.arrays import quantile_of_products, write_centered
from job.backends.stories.words import lexical_vectors, word_vectors
from job.data import Floats, Vectors

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
    dense: Vectors,
    texts: list[str],
    times: npt.NDArray[np.float64],
    shares: Shares,
    lexical: Any = None,
    device: Device = "cpu",
) -> Floats:
    """Vectors float32 [n, D] with s(i, j) = a cos(dense) + b cos(words) + c exp(-|t_i - t_j| / tau) as dot products.

    `dense` [n, d]: unit vectors, which are centered on their mean and normalized again. `texts`: for the words; with
    `lexical`, a CSR array of BGE-M3's lexical weights, these are used instead. `times` [n]: seconds, NaN where unknown.
    A headline without a time has the mean of the others' time features: it is as near in time as an average headline.
    `device` cuda: the dense vectors are centered on the GPU, with the same result.
    """
    known = np.isfinite(times)
    words, time = (shares.words, shares.time) if known.any() else (shares.words_only, 0.0)
    n, d = dense.shape
    of_words = word_vectors(texts) if lexical is None else lexical_vectors(lexical)
    of_time = _time_features(times / 3600, known, shares.hours) if time else np.zeros((n, 0), np.float32)
    result = np.empty((n, d + of_words.shape[1] + of_time.shape[1]), np.float32)
    write_centered(array_module(device), dense, float(np.sqrt(1 - words - time)), result[:, :d])
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


def background(
    vectors: Floats, seed: int, sample: int = 1_000, quantile: float = 0.8, device: Device = "cpu"
) -> Floats:
    """How similar each headline is to other stories of its topic, float32 [n].

    The `quantile` of its dot products with `sample` random headlines, itself left out. Subtracted from the similarity
    of two clusters, it makes one limit fit corpora of one topic and of many. `device` cuda: the same on the GPU.
    """
    n = len(vectors)
    if n < 2:
        return np.zeros(n, np.float32)
    chosen = np.sort(np.random.default_rng(seed).choice(n, min(sample, n), replace=False))
    return quantile_of_products(array_module(device), vectors, chosen, quantile)
