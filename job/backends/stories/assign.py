"""New headlines to the stories of a finished corpus, by the measure that made the stories.

The contract
- A new headline's story vector is made in the corpus's own space: its center, its words' weights, its times.
- Groups: the corpus's clusters at the limit, as `merge_tree.cut` numbers them. The first `stories` of them are stories,
  the others are too small to be one. The similarity of a headline and a group is that of `linkage`: the dot product
  with the group's mean, less the mean of the headline's background and the group's.
- Candidates are the groups of the headline's neighbors, as in `linkage`. The most similar one that reaches the limit
  takes the headline. If that one is too small for a story, the two together are compared with the other candidates.
- Each headline is assigned by itself: the answer does not depend on the others, and the corpus does not change.

Cost: the vectors of the rows of all candidate groups, once; memory: their means, and one block of vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from job.backends.stories.vectors import Shares, StorySpace, background_of, background_rows
from job.backends.stories.words import lexical_vectors, term_weights, word_vectors
from job.data import Floats, Ints, Vectors

_BLOCK_ROWS = 8_192
Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Texts:
    """Headlines before they are story vectors: `dense` [n, d] unit vectors, `texts`, `times` [n] seconds, NaN where
    unknown, and `lexical`, a CSR array of lexical weights or None."""

    dense: Vectors
    texts: Sequence[str]
    times: npt.NDArray[np.float64]
    lexical: Any = None

    def take(self, rows: Numbers) -> "Texts":
        """Some of the headlines, by row number."""
        lexical = None if self.lexical is None else self.lexical[rows]
        return Texts(self.dense[rows], [self.texts[row] for row in rows], self.times[rows], lexical)


class StoryCorpus:
    """The story vectors of a finished corpus, made again for some of its rows at a time, and those of new headlines.

    `seed`: that of the run's `background`.
    """

    def __init__(self, corpus: Texts, shares: Shares, seed: int) -> None:
        self._corpus = corpus
        self._space = StorySpace.of(corpus.dense, corpus.times, shares)
        self._weights = term_weights(corpus.texts) if corpus.lexical is None else {}
        chosen = background_rows(len(corpus.texts), seed)
        self._place = np.full(len(corpus.texts), -1)
        self._place[chosen] = np.arange(len(chosen))
        self._sample = self.vectors(corpus.take(chosen))

    def vectors(self, headlines: Texts) -> Floats:
        """Story vectors float32 [m, D], of the corpus's own headlines or of new ones."""
        if headlines.lexical is None:
            words = word_vectors(headlines.texts, self._weights)
        else:
            words = lexical_vectors(headlines.lexical)
        return self._space.vectors(headlines.dense, words, headlines.times)

    def background(self, vectors: Floats, rows: Numbers | None = None) -> Floats:
        """The background float32 [m] of story vectors; `rows`: the corpus's rows that they belong to, None: new."""
        if len(self._place) < 2:
            return np.zeros(len(vectors), np.float32)
        return background_of(vectors, self._sample, None if rows is None else self._place[rows])

    def groups(self, labels: Ints, wanted: Numbers) -> "Groups":
        """The groups with the numbers `wanted`, ascending, of `labels` int32 [n]."""
        rows = np.flatnonzero(np.isin(labels, wanted))
        places = np.searchsorted(wanted, labels[rows])
        sums = np.zeros((len(wanted), self._sample.shape[1]))
        background = np.zeros(len(wanted))
        for start in range(0, len(rows), _BLOCK_ROWS):
            some, group = rows[start : start + _BLOCK_ROWS], places[start : start + _BLOCK_ROWS]
            vectors = self.vectors(self._corpus.take(some))
            np.add.at(sums, group, vectors)
            np.add.at(background, group, self.background(vectors, some))
        sizes = np.bincount(places, minlength=len(wanted))
        return Groups(wanted, sums / sizes[:, None], background / sizes, sizes)


@dataclass(frozen=True)
class Groups:
    """Groups of a corpus: their `numbers` int64 [g], ascending, mean vectors float64 [g, D], mean backgrounds float64
    [g], and sizes int64 [g]."""

    numbers: Numbers
    means: Doubles
    background: Doubles
    sizes: Numbers

    def similarity(self, left: Numbers, right: Numbers) -> Doubles:
        """Of pairs of groups, by place."""
        products = np.einsum("pd,pd->p", self.means[left], self.means[right])
        result: Doubles = products - (self.background[left] + self.background[right]) / 2
        return result


@dataclass(frozen=True)
class Assigned:
    """`labels` int32 [m]: the story of each headline, -1 = none. `similarity` float32 [m]: to it, at least the limit;
    or, where there is none, to the most similar story among the candidates, below the limit; NaN without candidates.
    `probability` float32 [m]: 0 at the limit, 1 for a headline as similar to the story as its own are on average; 0
    where there is none."""

    labels: Ints
    similarity: Floats
    probability: Floats


def assign_to_stories(
    new: Texts, neighbors: Ints, corpus: StoryCorpus, labels: Ints, stories: int, limit: float
) -> Assigned:
    """The story of each of the m new headlines; see the module's contract.

    `neighbors` int32 [m, k]: rows of the corpus, -1 = none. `labels` int32 [n]: each row's group; the first `stories`
    groups are stories.
    """
    m = len(new.texts)
    found = np.where(neighbors >= 0, labels[neighbors], -1)
    groups = corpus.groups(labels, np.unique(found[found >= 0]).astype(np.int64))
    headline, place = _pairs(found, groups.numbers)
    vectors = corpus.vectors(new)
    similarity = _similarities(vectors, corpus.background(vectors), groups, headline, place)
    chosen, level = np.full(m, -1), np.full(m, np.nan)
    ends = np.searchsorted(headline, np.arange(m + 1))
    for i in range(m):
        some = slice(ends[i], ends[i + 1])
        chosen[i], level[i] = _choose(place[some], similarity[some], groups, stories, limit)
    joined = chosen >= 0
    own = groups.similarity(chosen[joined], chosen[joined])
    probability = np.zeros(m, np.float32)
    probability[joined] = np.clip((level[joined] - limit) / np.maximum(own - limit, 1e-6), 0, 1)
    assigned = np.full(m, -1, np.int32)
    assigned[joined] = groups.numbers[chosen[joined]]
    return Assigned(assigned, level.astype(np.float32), probability)


def _pairs(found: Ints, numbers: Numbers) -> tuple[Numbers, Numbers]:
    """The distinct pairs of a headline and a group in its row of `found`, by place in `numbers`; in order."""
    headline = np.repeat(np.arange(len(found)), found.shape[1])[found.ravel() >= 0]
    place = np.searchsorted(numbers, found.ravel()[found.ravel() >= 0])
    keys = np.unique(headline * max(len(numbers), 1) + place)
    return keys // max(len(numbers), 1), keys % max(len(numbers), 1)


def _similarities(vectors: Floats, level: Floats, groups: Groups, headline: Numbers, place: Numbers) -> Doubles:
    """Of each pair of a headline and a group."""
    result = np.empty(len(headline))
    for start in range(0, len(headline), _BLOCK_ROWS):
        some = slice(start, start + _BLOCK_ROWS)
        i, g = headline[some], place[some]
        result[some] = np.einsum("pd,pd->p", vectors[i].astype(np.float64), groups.means[g])
        result[some] -= (level[i] + groups.background[g]) / 2
    return result


def _choose(place: Numbers, similarity: Doubles, groups: Groups, stories: int, limit: float) -> tuple[int, float]:
    """The place of the story that a headline joins, -1 = none, and the similarity: of the two, or, where the headline
    joins a group that is too small first, of both together with the story."""
    is_story = groups.numbers[place] < stories
    if not len(place):
        return -1, np.nan
    best = int(np.argmax(similarity))
    if similarity[best] >= limit and is_story[best]:
        return int(place[best]), float(similarity[best])
    if not is_story.any():
        return -1, np.nan
    if similarity[best] >= limit:
        others = place[is_story]
        size = groups.sizes[place[best]]
        of_group = groups.similarity(np.full(len(others), place[best]), others)
        together = (size * of_group + similarity[is_story]) / (size + 1)
        if together.max() >= limit:
            return int(others[np.argmax(together)]), float(together.max())
        return -1, float(together.max())
    return -1, float(similarity[is_story].max())
