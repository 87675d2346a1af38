"""New headlines to the stories of a finished corpus, by the measure that made the stories.

The contract
- A new headline's story vector is made in the corpus's own space: its mean, its terms' frequencies, its times.
- Groups: the corpus's clusters at the limit, as `merge_tree.cut` numbers them. Some of them are stories, the others are
  too small or too loose to be one. The similarity of a headline and a group is that of `linkage`: the dot product with
  the group's mean vector.
- Candidates are the groups of the headline's neighbors, as in `linkage`. The most similar one that reaches the limit
  takes the headline. If that one is no story, the two together are compared with the stories among the candidates.
- It also needs a core, as a story does: one of its neighbors in that story must be more similar than the limit asks
  for, by `CORE` of what is missing to 1. One headline alone says less than a story's many: without that rule, about
  half of the headlines of stories that the corpus has never seen join one (measured once, by hand).
- Each headline is assigned by itself: the answer does not depend on the others, and the corpus does not change.

Cost: the vectors of the rows of all candidate groups, once; memory: their means, and one block of vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from job.backends.graph_hdbscan.row_ranges import usable_cores
from job.backends.stories.vectors import Shares, StorySpace
from job.backends.stories.words import Frequencies, lexical_terms, text_terms
from job.data import Floats, Ints, Vectors

# by measurement, of UCI's first days: .25 leaves more headlines of unseen stories, .3 loses 2% more of the others
CORE = 0.3
_BLOCK_ROWS = 8_192
_BLOCK_NEW = 1_024
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
    """The story vectors of a finished corpus, made again for some of its rows at a time, and those of new headlines."""

    def __init__(self, corpus: Texts, shares: Shares, background: Floats | None = None) -> None:
        """`background` as in `StorySpace.of`."""
        self._corpus = corpus
        self._threads = usable_cores()
        self._space = StorySpace.of(corpus.dense, corpus.times, shares, background)
        self._frequencies = Frequencies.of(corpus.texts, self._threads) if corpus.lexical is None else None

    def vectors(self, headlines: Texts) -> Floats:
        """Story vectors float32 [m, D], of the corpus's own headlines or of new ones."""
        if headlines.lexical is None:
            terms = text_terms(headlines.texts, self._threads, self._frequencies)
        else:
            terms = lexical_terms(headlines.lexical)
        return self._space.vectors(headlines.dense, terms, headlines.times, self._threads)

    def vectors_of(self, rows: Numbers) -> Floats:
        """Those of the corpus's own rows with these numbers."""
        return self.vectors(self._corpus.take(rows))

    def groups(self, labels: Ints, wanted: Numbers) -> "Groups":
        """The groups with the numbers `wanted`, ascending, of `labels` int32 [n]."""
        rows = np.flatnonzero(np.isin(labels, wanted))
        places = np.searchsorted(wanted, labels[rows])
        sums: Doubles | None = None
        for start in range(0, len(rows), _BLOCK_ROWS):
            vectors = self.vectors_of(rows[start : start + _BLOCK_ROWS])
            sums = np.zeros((len(wanted), vectors.shape[1])) if sums is None else sums
            np.add.at(sums, places[start : start + _BLOCK_ROWS], vectors)
        sizes = np.bincount(places, minlength=len(wanted))
        means = np.zeros((0, 1)) if sums is None else sums / sizes[:, None]
        return Groups(wanted, means, sizes)


@dataclass(frozen=True)
class Groups:
    """Groups of a corpus: their `numbers` int64 [g], ascending, mean vectors float64 [g, D], and sizes int64 [g]."""

    numbers: Numbers
    means: Doubles
    sizes: Numbers

    def similarity(self, left: Numbers, right: Numbers) -> Doubles:
        """Of pairs of groups, by place."""
        result: Doubles = np.einsum("pd,pd->p", self.means[left], self.means[right])
        return result


@dataclass(frozen=True)
class Assigned:
    """`labels` int32 [m]: the story of each headline, -1 = none. `nearest` int32 [m]: the same or, where there is none,
    the most similar story among the candidates. `similarity` float32 [m]: to that, NaN without candidates.
    `probability` float32 [m]: 0 at the limit, 1 for a headline as similar to the story as its own are on average; 0
    where there is none."""

    labels: Ints
    nearest: Ints
    similarity: Floats
    probability: Floats


def assign_to_stories(
    new: Texts, neighbors: Ints, corpus: StoryCorpus, groups: Ints, labels: Ints, limit: float
) -> Assigned:
    """The story of each of the m new headlines; see the module's contract.

    `neighbors` int32 [m, k]: rows of the corpus, -1 = none. `groups`, `labels` int32 [n]: each row's group at `limit`,
    and its story, -1 = none; a story is a group.
    """
    m = len(new.texts)
    if not len(groups):
        # no row of the corpus is a neighbor; -1 would still be looked up
        neighbors = neighbors[:, :0]
    found = np.where(neighbors >= 0, groups[neighbors], -1)
    candidates = corpus.groups(groups, np.unique(found[found >= 0]).astype(np.int64))
    story_of = np.full(int(groups.max(initial=-1)) + 1, -1, np.int32)
    story_of[groups] = labels
    stories = story_of[candidates.numbers]
    headline, place = _pairs(found, candidates.numbers)
    vectors = corpus.vectors(new)
    similarity = _similarities(vectors, candidates, headline, place)
    chosen, nearest, level = np.full(m, -1), np.full(m, -1), np.full(m, np.nan)
    ends = np.searchsorted(headline, np.arange(m + 1))
    for i in range(m):
        some = slice(ends[i], ends[i + 1])
        chosen[i], nearest[i], level[i] = _choose(place[some], similarity[some], candidates, stories, limit)
    assigned, most_similar = np.append(stories, np.int32(-1))[chosen], np.append(stories, np.int32(-1))[nearest]
    core = _core_similarity(vectors, neighbors, corpus, labels, assigned)
    assigned[core < limit + CORE * (1 - limit)] = -1
    joined = assigned >= 0
    own = candidates.similarity(chosen[joined], chosen[joined])
    probability = np.zeros(m, np.float32)
    probability[joined] = np.clip((level[joined] - limit) / np.maximum(own - limit, 1e-6), 0, 1)
    return Assigned(assigned, most_similar, level.astype(np.float32), probability)


def _core_similarity(vectors: Floats, neighbors: Ints, corpus: StoryCorpus, labels: Ints, assigned: Ints) -> Doubles:
    """The similarity of each headline to the most similar one of its neighbors in its story, -inf = none."""
    result = np.full(len(vectors), -np.inf)
    inside = (neighbors >= 0) & (assigned >= 0)[:, None] & (labels[neighbors] == assigned[:, None])
    for start in range(0, len(vectors), _BLOCK_NEW):
        headline, column = np.nonzero(inside[start : start + _BLOCK_NEW])
        headline += start
        rows, place = np.unique(neighbors[headline, column], return_inverse=True)
        if len(rows):
            theirs = corpus.vectors_of(rows.astype(np.int64))
            products = np.einsum("pd,pd->p", vectors[headline], theirs[place], dtype=np.float64)
            np.maximum.at(result, headline, products)
    return result


def _pairs(found: Ints, numbers: Numbers) -> tuple[Numbers, Numbers]:
    """The distinct pairs of a headline and a group in its row of `found`, by place in `numbers`; in order."""
    headline = np.repeat(np.arange(len(found)), found.shape[1])[found.ravel() >= 0]
    place = np.searchsorted(numbers, found.ravel()[found.ravel() >= 0])
    keys = np.unique(headline * max(len(numbers), 1) + place)
    return keys // max(len(numbers), 1), keys % max(len(numbers), 1)


def _similarities(vectors: Floats, groups: Groups, headline: Numbers, place: Numbers) -> Doubles:
    """Of each pair of a headline and a group."""
    result = np.empty(len(headline))
    for start in range(0, len(headline), _BLOCK_ROWS):
        some = slice(start, start + _BLOCK_ROWS)
        left = vectors[headline[some]].astype(np.float64)
        result[some] = np.einsum("pd,pd->p", left, groups.means[place[some]])
    return result


def _choose(place: Numbers, similarity: Doubles, groups: Groups, stories: Ints, limit: float) -> tuple[int, int, float]:
    """The place of the story that a headline joins, -1 = none; of the most similar story; and the similarity to it: of
    the two, or, where the headline joins a group that is no story first, of both together with the story."""
    is_story = stories[place] >= 0
    if not is_story.any():
        return -1, -1, np.nan
    best, others = int(np.argmax(similarity)), place[is_story]
    together = similarity[is_story]
    if similarity[best] >= limit and not is_story[best]:
        size = groups.sizes[place[best]]
        of_group = groups.similarity(np.full(len(others), place[best]), others)
        together = (size * of_group + together) / (size + 1)
    nearest, level = int(others[np.argmax(together)]), float(together.max())
    return nearest if level >= limit else -1, nearest, level
