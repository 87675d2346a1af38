"""Story vectors: what a headline says, in which words, and when, in one vector per headline.

The dot product of the vectors of headlines i and j is about

    ((1 - words) cos(dense) + words cos(words)) ((1 - time) + time exp(-|t_i - t_j| / hours))

- dense: the embedding, centered on the mean of the headlines that are clustered and normalized again. Centering makes
  the similarities of different models and corpora comparable: unrelated headlines are near 0 (Mu, Viswanath 2018,
  "All-but-the-top: simple and effective postprocessing for word representations").
  But the mean of a few headlines is mostly these headlines: of two, centered, one is the opposite of the other. So it
  is shrunk (James, Stein 1961, "Estimation with quadratic loss") toward the part of it that all texts of the model
  have in common, the part along `background`, which counts as `_PRIOR` headlines do.
- words: TF-IDF weights or BGE-M3's lexical weights, projected to `WIDTH` numbers (`words.project`).
- time multiplies: headlines that are far apart in time lose up to the share `time` of their similarity, and headlines
  of the same hour gain nothing by it.

The factor for time costs no memory. Each pair of neighboring coordinates of a vector is turned by an angle of frequency
times time. Dot products of two vectors then depend on the difference of their times, by the mean cosine of frequency
times difference. Frequencies from a Cauchy distribution make it exp(-|difference| / hours): random Fourier features
(Rahimi, Recht 2007, "Random features for large-scale kernel machines") in place, as in rotary position embedding (Su et
al. 2021, "RoFormer"). The pairs that are not turned, a share of 1 - time, keep their similarity for ever. For two
headlines about one event the factor is off by 0.03 after six hours, 0.06 after three days and 0.1 from a week on (root
mean square); with five times the frequencies by 0.02, 0.06 and 0.07, and the stories are no better.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job.backends.graph_hdbscan.row_ranges import map_row_ranges, usable_cores
from job.backends.stories.words import Terms, lexical_terms, project, text_terms
from job.data import Floats, Vectors

WIDTH = 256
Times = npt.NDArray[np.float64]
_BLOCK_ROWS = 8_192
_FREQUENCIES = 64
# by measurement: with 10 a dozen headlines about one event are parted still; with 30, lone ones are taken together
_PRIOR = 20
# sums of integers do not depend on their order; 2^38 times a number of at most 1 leaves room for 2^25 of them in int64
_UNIT = 2.0**38
_SEED = 0


@dataclass(frozen=True)
class Shares:
    """How much each kind of evidence counts.

    `words`: the words' share of the similarity; the rest is the embedding's. `time`: the share of the similarity that
    headlines lose when they are far apart in time. `hours`: the time constant.
    """

    words: float = 0.3
    time: float = 0.75
    hours: float = 72.0


def story_vectors(
    dense: Vectors,
    texts: Sequence[str] | pa.Array,
    times: Times,
    shares: Shares,
    lexical: Any = None,
    threads: int | None = None,
    background: Floats | None = None,
) -> Floats:
    """Story vectors float32 [n, d + WIDTH] of length 1; see the module's formula.

    `dense` [n, d]: embeddings of length 1. `texts`: for the words; with `lexical`, a CSR array [n, vocabulary] of
    BGE-M3's lexical weights, these are used instead. `background` as in `StorySpace.of`. `times` [n]: seconds, NaN
    where unknown. A headline without a time is turned by the mean of all turns, and its length made 1 again: two of
    them lose nothing, and one of them and a headline with a time lose less than two headlines of any times do on
    average. Without any time the factor is 1. `threads` None: all usable cores; the result does not depend on it.

    The vector of a headline depends on the order of rows in nothing. Time: O(n d). Memory: the result, 32 bytes per
    term, and blocks.
    """
    threads = usable_cores() if threads is None else threads
    terms = text_terms(texts, threads) if lexical is None else lexical_terms(lexical)
    return StorySpace.of(dense, times, shares, background).vectors(dense, terms, times, threads)


@dataclass(frozen=True)
class StorySpace:
    """What the story vectors of a corpus depend on beside the headline itself and its terms, so that later headlines
    get theirs.

    `mean` float64 [d]: of the embeddings, shrunk. `first_hour`, `mean_turn`: the earliest time in hours, and the mean
    of `_mean_turn`; None where times are not used.
    """

    shares: Shares
    mean: npt.NDArray[np.float64]
    first_hour: float = 0.0
    mean_turn: npt.NDArray[np.float64] | None = None

    @classmethod
    def of(cls, dense: Vectors, times: Times, shares: Shares, background: Floats | None = None) -> "StorySpace":
        """The space of a corpus with these embeddings [n, d] and times [n].

        `background` [d]: the mean vector of some texts about nothing in common, by the same model. None: unknown, the
        mean is not shrunk.
        """
        mean = _mean(dense)
        if background is not None:
            mean += (_along(mean, background.astype(np.float64)) - mean) * (_PRIOR / (len(dense) + _PRIOR))
        hours = times[np.isfinite(times)] / 3600
        if not len(hours) or shares.time <= 0:
            return cls(shares, mean)
        first = float(hours.min())
        frequencies, _ = _frequencies(0, shares)
        return cls(shares, mean, first, _mean_turn(hours - first, frequencies))

    def vectors(self, dense: Vectors, terms: Terms, times: Times, threads: int = 1) -> Floats:
        """Story vectors float32 [m, d + WIDTH] of headlines with these embeddings, terms and times."""
        n, d = dense.shape
        if len(terms.offsets) != n + 1 or times.shape != (n,):
            raise ValueError(
                f"{n} embeddings with {len(terms.offsets) - 1} texts and times {times.shape}: expected as many of each"
            )
        result = np.empty((n, d + WIDTH), np.float32)
        _write_centered(dense, self.mean, np.sqrt(1 - self.shares.words), result[:, :d], threads)
        project(terms, np.sqrt(self.shares.words), result[:, d:], threads)
        if self.mean_turn is not None:
            self._turn_by_time(result, times / 3600, threads)
        return result

    def _turn_by_time(self, vectors: Floats, hours: Times, threads: int) -> None:
        frequencies, of_pair = _frequencies(vectors.shape[1] // 2, self.shares)
        since = np.where(np.isfinite(hours), hours - self.first_hour, np.nan)
        mean = self.mean_turn
        map_row_ranges(
            lambda start, stop: _turn(vectors, since, frequencies, of_pair, mean, start, stop), len(vectors), threads
        )


def _mean(dense: Vectors) -> npt.NDArray[np.float64]:
    blocks = (dense[start : start + _BLOCK_ROWS] for start in range(0, len(dense), _BLOCK_ROWS))
    return _mean_of_blocks(blocks, (dense.shape[1],), len(dense))


def _mean_of_blocks(
    blocks: Iterable[npt.NDArray[np.floating]], shape: tuple[int, ...], count: int
) -> npt.NDArray[np.float64]:
    """The mean of `count` arrays of this shape and of numbers of at most 1, which come in blocks."""
    # Python's integers: there may be more than 2^25
    total = np.zeros(shape, object)
    for block in blocks:
        total += np.rint(block * np.float64(_UNIT)).astype(np.int64).sum(axis=0)
    return np.asarray(total.astype(np.float64) / (_UNIT * max(count, 1)))


def _along(vector: npt.NDArray[np.float64], direction: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The part of the vector along the direction; zeros where it points the other way."""
    length = (direction * direction).sum()
    return np.asarray(direction * (max((vector * direction).sum(), 0.0) / length if length > 0 else 0.0))


def _write_centered(dense: Vectors, mean: npt.NDArray[np.float64], length: float, out: Floats, threads: int) -> None:
    """Write the vectors, centered and of the given length, into `out`; zeros for a vector that equals the mean."""

    def write(first: int, last: int) -> None:
        for start in range(first, last, _BLOCK_ROWS):
            stop = min(start + _BLOCK_ROWS, last)
            _center(np.ascontiguousarray(dense[start:stop], np.float32), mean, length, out[start:stop])

    map_row_ranges(write, len(dense), threads)


def _frequencies(pairs: int, shares: Shares) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """A few frequencies in radians per hour, and which of them each pair of coordinates is turned with.

    Quantiles of the Cauchy distribution take the place of random numbers: the error of the kernel is smaller.
    """
    still = round((1 - shares.time) * _FREQUENCIES)
    quantiles = (np.arange(_FREQUENCIES - still) + 0.5) / (_FREQUENCIES - still)
    frequencies = np.concatenate([np.zeros(still), np.tan(np.pi * (quantiles - 0.5)) / shares.hours])
    return frequencies, np.random.default_rng(_SEED).permutation(np.resize(np.arange(_FREQUENCIES), pairs))


def _mean_turn(hours: Times, frequencies: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean cosine and sine of each frequency over all times, float64 [f, 2]."""

    def turns() -> Iterator[npt.NDArray[np.float64]]:
        for start in range(0, len(hours), _BLOCK_ROWS):
            angles = hours[start : start + _BLOCK_ROWS, None] * frequencies
            yield np.stack([np.cos(angles), np.sin(angles)], axis=2)

    return _mean_of_blocks(turns(), (len(frequencies), 2), len(hours))


@nb.njit(cache=True, nogil=True)
def _center(vectors, mean, length, out):  # type: ignore[no-untyped-def]
    for i in range(len(vectors)):
        squares = 0.0
        for c in range(len(mean)):
            moved = vectors[i, c] - mean[c]
            squares += moved * moved
        # what is left of a vector that equals the mean is rounding
        factor = length / np.sqrt(squares) if squares > 1e-10 else 0.0
        for c in range(len(mean)):
            out[i, c] = (vectors[i, c] - mean[c]) * factor


@nb.njit(cache=True, nogil=True)
def _turn(vectors, hours, frequencies, of_pair, mean, start, stop):  # type: ignore[no-untyped-def]
    turns = np.empty((len(frequencies), 2))
    for i in range(start, stop):
        vector = vectors[i]
        known = np.isfinite(hours[i])
        before = after = 0.0
        for f in range(len(frequencies)):
            if known:
                angle = hours[i] * frequencies[f]
                turns[f, 0], turns[f, 1] = np.cos(angle), np.sin(angle)
            else:
                turns[f, 0], turns[f, 1] = mean[f, 0], mean[f, 1]
        for p in range(len(of_pair)):
            x, y = np.float64(vector[2 * p]), np.float64(vector[2 * p + 1])
            cos, sin = turns[of_pair[p], 0], turns[of_pair[p], 1]
            before += x * x + y * y
            x, y = cos * x - sin * y, sin * x + cos * y
            after += x * x + y * y
            vector[2 * p], vector[2 * p + 1] = x, y
        if not known and after > 0.0:
            # the mean of turned vectors is shorter
            factor = np.sqrt(before / after)
            for c in range(2 * len(of_pair)):
                vector[c] *= factor
