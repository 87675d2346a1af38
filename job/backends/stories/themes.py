"""Themes and topics: two coarser levels above the stories, for the map's labels and for readers who start at the top.

    stories, lone headlines -> at most 5,000 groups -> smoothed centroids -> one tree -> cut at two numbers of themes

The contract
- Input: `vectors` float16 or float32 [n, d] of unit length, the dense vectors; `labels` int32 [n], the story of each
  headline, 0 ... s-1, -1 = a lone headline.
- Groups: every story and every lone headline is a group. The 5,000 largest are clustered. Any other group joins the
  one whose centroid is nearest; centroids are centered on their mean, weighted by the root of size, and normalized.
- Smoothing: each centroid x moves toward its 15 nearest neighbors, y <- 0.05 x + 0.95 P y, 20 times. P averages over
  the neighbors in either direction, with weight cosine^2 * size^0.25. This is personalized PageRank of the vectors
  (Gasteiger et al. (2019), "Predict then propagate"). It makes the groups of a topic more alike, as UMAP does, but it
  needs no random numbers.
- Linkage: average linkage of squared distances (weights size^0.25), where the distance of two clusters of weights v and
  w is multiplied by (v w / (v + w))^0.25. With power 0 this is average linkage, whose largest theme takes up to half of
  the headlines; with power 1 it behaves as Ward's method, which splits large topics to make themes of equal size.
- Both levels are cuts of the same tree: each topic lies in one theme, and each story in one topic. A theme of fewer
  than 0.5% of the headlines then joins the larger theme at the smallest mean distance, and so does a topic of fewer
  than 0.1% in its theme, unless it is the largest there. So there can be fewer of both than asked for.
- A lone headline has no theme (-1) if the cosine to the nearest other group is not positive: it is not more alike than
  two average headlines.
- Ties: products are rounded; of equal ones the larger group comes first, then the one with the smaller first rank.
  With `ranks` (default: row numbers) the result does not depend on the order of rows.

Cost: O(n d), plus one product of the remaining groups with 5,000 centroids, plus O(m^2) memory for m = 5,000 groups
(some 500 MB). Sums are taken in order of rank.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from job.backends.arrays import Device, array_module
from job.backends.graph_hdbscan import by_size
from job.backends.stories import arrays
from job.backends.stories.theme_linkage import cut_merges, join_small, size_penalized_linkage
from job.data import Floats, Ints, Vectors
from job.topics import Themes

Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

GROUPS = 5_000
_BLOCK_ROWS = 8_192
_NEIGHBORS = 15
_STEPS = 20
_TOWARDS_NEIGHBORS = 0.95
_WEIGHT = 0.25
_SIZE_PENALTY = 0.25
# the smallest theme's and the smallest topic's share of all headlines
_SMALLEST = (0.005, 0.001)
# products are rounded to multiples of 1 / _PARTS, which hides the order in which a library adds
_PARTS = 2.0**18


def default_counts(stories: int) -> tuple[int, int]:
    """The number of themes and of topics for a number of stories.

    Themes: the root of the number of stories, at least 8 and at most 20. Topics: 4 times as many. Few stories make
    fewer of both: at least 4 stories per theme and 2 per topic, on average.
    """
    themes = min(max(round(stories**0.5), 8), 20)
    return max(min(themes, stories // 4), 1), max(min(4 * themes, stories // 2), 1)


def find_themes(
    vectors: Vectors,
    labels: Ints,
    *,
    counts: tuple[int, int] | None = None,
    ranks: npt.NDArray[np.integer] | None = None,
    max_groups: int = GROUPS,
    device: Device = "cpu",
) -> Themes:
    """Themes of all stories and headlines; see the module's contract.

    `counts`: how many themes and topics, by default `default_counts` of the stories, or of the lone headlines if
    there is no story. There are fewer if there are fewer groups, or small themes. `ranks` [n]: a different integer for
    each row. `device` cuda: the groups beyond the largest find theirs on the GPU, with the same result.

    Raises:
        ValueError: the arrays do not match, a story has no headline, or a number is out of range.
    """
    stories = _check(vectors, labels, counts, ranks, max_groups)
    n = len(vectors)
    order = np.arange(n) if ranks is None else np.argsort(ranks)
    groups, sizes = _groups(labels[order], stories)
    if not len(sizes):
        return Themes(*(np.zeros(0, np.int32) for _ in range(5)))
    means, center = _centroids(vectors, order, groups, sizes, min(max(stories, max_groups), len(sizes)))
    nodes = _unit(means[:max_groups] - center)
    joined, lonely = _join(vectors, order, groups, means, center, nodes, array_module(device))
    weights: Doubles = np.bincount(joined, sizes, len(nodes)).astype(np.float64) ** _WEIGHT
    neighbors, cosines = _nearest_nodes(nodes)
    lonely[: len(nodes)] = cosines.max(axis=1, initial=0) <= 0
    lone = np.zeros(len(sizes), np.bool_)
    lone[groups[labels[order] < 0]] = True
    smoothed, headlines = _smooth(nodes, neighbors, cosines, weights), np.bincount(joined, sizes).astype(np.int64)
    merges = size_penalized_linkage(_squared_distances(smoothed), weights, _SIZE_PENALTY)
    levels, within = [], np.zeros(len(nodes), np.int64)
    for count, share in zip(counts or default_counts(stories or n), _SMALLEST, strict=True):
        within = join_small(cut_merges(merges, count), within, smoothed, weights, headlines, share * n)
        levels.append(within)
    return _themes(labels, order, groups, joined, lonely & lone, levels)


def _groups(labels: Ints, stories: int) -> tuple[Numbers, Numbers]:
    """The group of each position int64 [n] and the sizes, largest first, then by the first position."""
    numbers = labels.astype(np.int64)
    lone = np.flatnonzero(labels < 0)
    numbers[lone] = stories + np.arange(len(lone))
    numbered, _ = by_size(numbers, stories + len(lone))
    groups = numbered.astype(np.int64)
    return groups, np.bincount(groups)


def _centroids(vectors: Vectors, order: Numbers, groups: Numbers, sizes: Numbers, count: int) -> tuple[Floats, Floats]:
    """The means float32 [count, d] of the first groups, and their mean [d], weighted by the root of size."""
    positions = np.argsort(groups, kind="stable")[: int(sizes[:count].sum())]
    sums = np.zeros((count, vectors.shape[1]), np.float32)
    for start in range(0, len(positions), _BLOCK_ROWS):
        block = positions[start : start + _BLOCK_ROWS]
        first = np.flatnonzero(np.diff(groups[block], prepend=-1))
        added = np.add.reduceat(vectors[order[block]].astype(np.float64), first, axis=0)
        sums[groups[block[first]]] += added.astype(np.float32)
    sums /= sizes[:count, None]
    weights = np.sqrt(sizes[:count].astype(np.float64))
    center = np.zeros(vectors.shape[1])
    for start in range(0, count, _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        center += (sums[rows] * weights[rows, None]).sum(axis=0)
    return sums, (center / weights.sum()).astype(np.float32)


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    result: Floats = (rows / np.where(lengths > 1e-6, lengths, np.inf)).astype(np.float32)
    return result


def _rounded(products: Floats) -> Floats:
    products *= _PARTS
    np.rint(products, out=products)
    products /= _PARTS
    return products


def _join(
    vectors: Vectors,
    order: Numbers,
    groups: Numbers,
    means: Floats,
    center: Floats,
    nodes: Floats,
    xp: Any = np,
) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """The node of each group int64 [g], and whether its cosine to that node is not positive."""
    count = int(groups.max()) + 1
    on_device = arrays.rounded(xp, nodes)
    joined = np.arange(count)
    lonely = np.zeros(count, np.bool_)
    position_of = np.empty(count, np.int64)
    position_of[groups[::-1]] = np.arange(len(groups))[::-1]
    for start in range(len(nodes), count, _BLOCK_ROWS):
        rows = np.arange(start, min(start + _BLOCK_ROWS, count))
        # groups without a mean are lone headlines
        alone = rows >= len(means)
        own = np.empty((len(rows), nodes.shape[1]), np.float32)
        own[~alone] = means[rows[~alone]]
        own[alone] = vectors[order[position_of[rows[alone]]]]
        joined[rows], cosines = arrays.most_similar(xp, _unit(own - center), on_device)
        lonely[rows] = cosines <= 0
    return joined, lonely


def _nearest_nodes(nodes: Floats) -> tuple[Numbers, Floats]:
    """The nearest other nodes int64 [m, k] and their cosines, nearest first, of equal ones the first."""
    m = len(nodes)
    k = min(_NEIGHBORS, m - 1)
    neighbors, cosines = np.empty((m, k), np.int64), np.empty((m, k), np.float32)
    for start in range(0, m, 1_024):
        products = _rounded(nodes[start : start + 1_024] @ nodes.T)
        rows = np.arange(len(products))
        # rounded products are multiples of 1 / _PARTS: with the place as the last digit no two are equal
        keys = (products * _PARTS).astype(np.int64) * m + np.arange(m)[::-1]
        keys[rows, start + rows] = np.iinfo(np.int64).min
        chosen = np.argpartition(keys, m - k, axis=1)[:, m - k :] if k else np.zeros((len(rows), 0), np.int64)
        order = np.argsort(-np.take_along_axis(keys, chosen, axis=1), axis=1)
        chosen = np.take_along_axis(chosen, order, axis=1)
        neighbors[start : start + len(products)] = chosen
        cosines[start : start + len(products)] = np.take_along_axis(products, chosen, axis=1)
    return neighbors, cosines


def _smooth(nodes: Floats, neighbors: Numbers, cosines: Floats, weights: Doubles) -> Doubles:
    """The nodes after `_STEPS` steps toward their neighbors: unit vectors float64 [m, d]."""
    from scipy.sparse import csr_array

    m, k = neighbors.shape
    edges = (np.repeat(np.arange(m), k), neighbors.ravel())
    affinity = csr_array((np.maximum(cosines, 0).ravel().astype(np.float64) ** 2, edges), shape=(m, m))
    affinity = affinity.maximum(affinity.T).tocsr()
    affinity.data *= weights[affinity.indices]
    totals = affinity.sum(axis=1)
    affinity.data /= np.repeat(np.where(totals > 0, totals, 1), np.diff(affinity.indptr))
    start = nodes.astype(np.float64)
    result = start
    for _ in range(_STEPS):
        result = (1 - _TOWARDS_NEIGHBORS) * start + _TOWARDS_NEIGHBORS * (affinity @ result)
    lengths = np.linalg.norm(result, axis=1, keepdims=True)
    smoothed: Doubles = result / np.where(lengths > 0, lengths, 1)
    return smoothed


def _squared_distances(rows: Doubles) -> Doubles:
    result = rows @ rows.T
    result *= -2
    squares = np.einsum("ij,ij->i", rows, rows)
    result += squares[:, None]
    result += squares[None, :]
    result *= _PARTS * _PARTS
    np.rint(result, out=result)
    result /= _PARTS * _PARTS
    np.maximum(result, 0, out=result)
    return result


def _themes(
    labels: Ints,
    order: Numbers,
    groups: Numbers,
    joined: Numbers,
    lonely: npt.NDArray[np.bool_],
    levels: list[Numbers],
) -> Themes:
    """The answer, from the cluster of each node at each of the two levels."""
    of_headlines, of_stories = [], []
    stories = int(labels.max(initial=-1)) + 1
    for roots in levels:
        of_groups = np.where(lonely, -1, roots[joined])
        clusters = np.empty(len(labels), np.int64)
        clusters[order] = of_groups[groups]
        found, at = np.unique(clusters[clusters >= 0], return_inverse=True)
        clusters[clusters >= 0] = at
        # ties of size go by the order of ranks, as everything else does
        numbered, _ = by_size(clusters[order], len(found))
        headline = np.empty(len(labels), np.int32)
        headline[order] = numbered
        story = np.full(stories, -1, np.int32)
        story[labels[labels >= 0]] = headline[labels >= 0]
        of_headlines.append(headline)
        of_stories.append(story)
    parents = np.full(int(of_headlines[1].max(initial=-1)) + 1, -1, np.int32)
    has = of_headlines[1] >= 0
    parents[of_headlines[1][has]] = of_headlines[0][has]
    return Themes(of_headlines[0], of_headlines[1], of_stories[0], of_stories[1], parents)


def _check(
    vectors: Vectors,
    labels: Ints,
    counts: tuple[int, int] | None,
    ranks: npt.NDArray[np.integer] | None,
    max_groups: int,
) -> int:
    """The number of stories, if the input is as the contract says."""
    n = len(vectors)
    if vectors.ndim != 2 or labels.shape != (n,):
        raise ValueError(f"vectors {vectors.shape} and labels {labels.shape} must be [n, d] and [n]")
    if vectors.dtype not in (np.float16, np.float32) or labels.dtype != np.int32:
        raise ValueError(f"expected float16 or float32 vectors and int32 labels, got {vectors.dtype}, {labels.dtype}")
    if ranks is not None and (ranks.shape != (n,) or len(np.unique(ranks)) < n):
        raise ValueError(f"ranks {ranks.shape} must be [n] different integers, for {n} rows")
    if counts is not None and not 1 <= counts[0] <= counts[1]:
        raise ValueError(f"counts={counts} must be 1 or more themes and at least as many topics")
    if max_groups < 2:
        raise ValueError(f"max_groups={max_groups} must be at least 2")
    if n and (labels.min() < -1 or (np.bincount(labels[labels >= 0]) == 0).any()):
        raise ValueError(
            f"labels from {labels.min()} to {labels.max()} must use every number from 0 on; -1 is no story"
        )
    return int(labels.max(initial=-1)) + 1
