"""At which level of the tree of merges the stories are: the rule that follows the data of the run.

Each level is scored by the mean margin of the headlines: how similar a headline is to the other headlines of its story
on average (0 if it has none), less how similar it is to the most similar other story among its neighbors'. Too low a
level mixes stories, which lowers the first; too high a level cuts stories in two, which raises the second. This is the
numerator of the silhouette (Rousseeuw 1987, "Silhouettes: a graphical aid to the interpretation and validation of
cluster analysis") with average similarities; a lone headline counts as a loss there, not as zero.

Versions of a headline ("UPDATE 1-...", the same with its outlet's name) count as one headline, and are not the others
of each other's story: otherwise a pair of them would be the best story there is, and many pairs raise the level until
nothing else is left.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt

from job.backends.graph_hdbscan.row_ranges import map_row_ranges, usable_cores
from job.backends.stories.candidates import write_means
from job.backends.stories.dot import dot
from job.backends.stories.merge_tree import MergeTree, roots
from job.data import Floats, Ints
from job.runtime.files import atomic

Doubles = npt.NDArray[np.float64]
# each level is a tenth above the one before: 0.04 to 0.58
_LEVELS: Doubles = 0.04 * 1.1 ** np.arange(29, dtype=np.float64)
# levels whose score is within this share of the best one's are as good
_AS_GOOD = 0.02
# headlines that merge above this similarity are versions of one
_VERSIONS = 0.8
_SAMPLE = 20_000
_ROWS_PER_RANGE = 512
# the checksum of dot.py, whose kernel those here contain
DOT_CRC32 = 2372281026


@dataclass(frozen=True)
class Levels:
    """`levels` float64, ascending, and the score of each; `best`: the middle of those about as good as the best."""

    levels: Doubles
    scores: Doubles

    @property
    def best(self) -> float:
        top = int(np.argmax(self.scores))
        good = self.scores >= self.scores[top] - _AS_GOOD * abs(self.scores[top])
        first = last = top
        while first > 0 and good[first - 1]:
            first -= 1
        while last + 1 < len(good) and good[last + 1]:
            last += 1
        return float(np.sqrt(self.levels[first] * self.levels[last]))

    def save(self, path: Path) -> None:
        with atomic(path) as temporary:
            np.savez(temporary, levels=self.levels, scores=self.scores)

    @classmethod
    def load(cls, path: Path) -> "Levels":
        with np.load(path) as file:
            return cls(file["levels"], file["scores"])


def score_levels(
    tree: MergeTree,
    vectors: Floats,
    indices: Ints,
    *,
    ranks: npt.NDArray[np.integer] | None = None,
    seed: int = 0,
    threads: int | None = None,
    overwrite_vectors: bool = False,
) -> Levels:
    """Score the levels of a tree that `linkage.average_linkage` made of the same vectors and neighbors.

    `vectors` float32 [n, d], `indices` int32 [n, k]. Above 20,000 rows a random sample of them is scored. `ranks` as in
    `average_linkage`. `overwrite_vectors`: the vectors may be destroyed, which saves the memory of the means.
    Time: O(n d) and one dot product per sampled row, level and story among its neighbors.
    """
    if vectors.shape[0] != tree.n or len(indices) != tree.n:
        raise ValueError(f"a tree of {tree.n} rows with vectors {vectors.shape} and indices {indices.shape}")
    threads = usable_cores() if threads is None else threads
    by_rank = np.arange(tree.n) if ranks is None else np.argsort(ranks)
    rows = by_rank
    if tree.n > _SAMPLE:
        rows = by_rank[np.sort(np.random.default_rng(seed).choice(tree.n, _SAMPLE, replace=False))]
    sample = vectors[rows]
    means, place = _leaf_means(tree, vectors, by_rank, overwrite_vectors, threads)
    sizes = np.pad(np.bincount(tree.leaves, minlength=tree.leaf_count), (0, len(tree.merges)))
    own, near = tree.leaves[rows], np.where(indices[rows] >= 0, tree.leaves[indices[rows]], -1)
    done = _until(tree, _VERSIONS)
    _merge(tree.merges, 0, done, tree.leaf_count, place, means, sizes)
    versions = roots(tree.merges[:done, :2].astype(np.int64), tree.leaf_count)[own]
    count = sizes[versions]
    total = count * np.einsum("ij,ij->i", sample, means[place[versions]])
    scores = np.zeros(len(_LEVELS))
    for level in range(len(_LEVELS) - 1, -1, -1):
        until = _until(tree, _LEVELS[level])
        _merge(tree.merges, done, until, tree.leaf_count, place, means, sizes)
        done = until
        topmost = roots(tree.merges[:until, :2].astype(np.int64), tree.leaf_count)
        kernel = partial(_margins, sample, own, near, topmost, place, means, sizes, count, total)
        margins = map_row_ranges(kernel, len(rows), threads, _ROWS_PER_RANGE)
        scores[level] = np.average(np.concatenate(margins), weights=1 / count) if len(rows) else 0.0
    return Levels(_LEVELS, scores)


def _until(tree: MergeTree, level: float) -> int:
    """How many merges are at or above the level: the first ones."""
    return int(np.searchsorted(-tree.merges[:, 2], -level, side="right"))


def _leaf_means(
    tree: MergeTree, vectors: Floats, by_rank: npt.NDArray[np.int64], overwrite: bool, threads: int
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The mean vector of each initial cluster, and the row of that array for each node of the tree."""
    members = by_rank[np.argsort(tree.leaves[by_rank], kind="stable")].astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(np.bincount(tree.leaves, minlength=tree.leaf_count))])
    place = members[starts[:-1]] if overwrite else np.arange(tree.leaf_count, dtype=np.int32)
    means = vectors if overwrite else np.empty((tree.leaf_count, vectors.shape[1]), np.float32)
    write_means(vectors, members, starts, means, place, threads)
    return means, np.pad(place.astype(np.int64), (0, len(tree.merges)))


@nb.njit(cache=True, nogil=True)
def _merge(merges, first, last, leaf_count, place, means, sizes):  # type: ignore[no-untyped-def]
    """Carry out merges first ... last: the mean of a node is at `place[node]`, its size in `sizes[node]`."""
    for e in range(first, last):
        a, b, node = np.int64(merges[e, 0]), np.int64(merges[e, 1]), leaf_count + e
        left, right = means[place[a]], means[place[b]]
        share = sizes[a] / (sizes[a] + sizes[b])
        for c in range(len(left)):
            left[c] = share * left[c] + (1.0 - share) * right[c]
        place[node], sizes[node] = place[a], sizes[a] + sizes[b]


@nb.njit(cache=True, nogil=True)
def _margins(vectors, own, near, roots, place, means, sizes, versions, total, start, stop):  # type: ignore[no-untyped-def]
    """For rows start ... stop the mean similarity to the rest of the row's story, less the largest one to another story
    near it. Of each row there are so many `versions`, to which its similarities add up to `total`."""
    result = np.empty(stop - start)
    others = np.empty(near.shape[1], np.int64)
    for i in range(start, stop):
        story, count, best = roots[own[i]], 0, -np.inf
        for t in range(near.shape[1]):
            other = roots[near[i, t]] if near[i, t] >= 0 else story
            known = other == story
            for s in range(count):
                known = known or others[s] == other
            if not known:
                others[count] = other
                count += 1
                best = max(best, dot(vectors[i], means[place[other]]))
        inside = 0.0
        if sizes[story] > versions[i]:
            all_of_it = dot(vectors[i], means[place[story]]) * sizes[story]
            inside = (all_of_it - total[i]) / (sizes[story] - versions[i])
        result[i - start] = inside - best if count else inside
    return result
