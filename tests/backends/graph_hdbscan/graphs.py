"""The graphs that the tests of this folder share, and helpers for them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree
from sklearn.metrics import adjusted_rand_score

from job.backends.graph_hdbscan import Result
from job.data import Clusters, Floats, Ints

Points = np.ndarray
Graph = tuple[Ints, Floats]


def knn(points: Points, k: int) -> Graph:
    """Each row's k nearest others, ties by row number."""
    n = len(points)
    distances = np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1)).astype(np.float32)
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, : min(k, n - 1)].astype(np.int32)
    return order, np.take_along_axis(distances, order, 1)


def without(graph: Graph, rows: list[int], cut: float = np.inf) -> Graph:
    """The graph without any edge to or from `rows` and without edges of length `cut` or more, padded with -1."""
    indices, distances = graph[0].copy(), graph[1].copy()
    gone = np.isin(indices, rows) | np.isin(np.arange(len(indices)), rows)[:, None] | (distances >= cut)
    indices[gone], distances[gone] = -1, np.inf
    order = np.argsort(gone, axis=1, kind="stable")
    return np.take_along_axis(indices, order, 1), np.take_along_axis(distances, order, 1)


def blobs(seed: int, n: int, spread: float = 0.6) -> Points:
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(max(1, n // 20), 4)) * 3
    return centers[rng.integers(0, len(centers), n)] + rng.normal(size=(n, 4)) * spread


def copies(seed: int) -> Points:
    """60 copies of one point among others: with k = 50 a copy does not have all other copies as neighbors."""
    points = np.concatenate([np.zeros((60, 4)), blobs(seed, 140)])
    return np.random.default_rng(seed).permutation(points)


GRAPHS: dict[str, Callable[[], Graph]] = {
    **{f"blobs {s} n={n} k={k}": (lambda s=s, n=n, k=k: knn(blobs(s, n), k)) for s, n, k in (
        (0, 30, 5), (1, 80, 5), (2, 200, 15), (3, 300, 15), (4, 200, 3), (5, 120, 50), (6, 300, 1), (7, 500, 15))},
    **{f"ties {s}": (lambda s=s: knn(np.round(blobs(s, 150)), 15)) for s in range(4)},
    **{f"duplicates {s}": (lambda s=s: knn(np.round(blobs(s, 200) / 2), 10)) for s in range(4)},
    **{f"60 copies, k=50, {s}": (lambda s=s: knn(copies(s), 50)) for s in range(4)},
    **{f"disconnected {s}": (lambda s=s: knn(blobs(s, 150, spread=0.05), 3)) for s in range(3)},
    **{f"isolates {s}": (lambda s=s: without(knn(blobs(s, 120), 8), [0, 5, 60, 119])) for s in range(3)},
    **{f"long edges cut {s}": (lambda s=s: without(knn(blobs(s, 120), 8), [], cut=1.0)) for s in range(3)},
    **{f"fewer than k, n={n}": (lambda n=n: knn(blobs(1, n), 50)) for n in (12, 40)},
    **{f"all identical, n={n}": (lambda n=n: knn(np.ones((n, 4)), 15)) for n in (3, 10, 60)},
    **{f"n={n}": (lambda n=n: knn(blobs(n, n), 3)) for n in range(2, 8)},
}  # fmt: skip

EVERY_GRAPH = pytest.mark.parametrize("name", GRAPHS)
PARAMETERS = pytest.mark.parametrize(("min_samples", "min_cluster_size"), [(3, 3), (2, 5), (1, 2), (5, 4)])


def dense(graph: Graph) -> np.ndarray:
    """The tutorial's matrix: row i holds the squared distances to i's own neighbors, 0 to itself, inf elsewhere."""
    indices, distances = graph
    matrix = np.full((len(indices), len(indices)), np.inf)
    rows, columns = np.nonzero(indices >= 0)
    matrix[rows, indices[rows, columns]] = distances[rows, columns].astype(np.float64) ** 2
    np.fill_diagonal(matrix, 0)
    return matrix


def shuffled(graph: Graph, seed: int) -> tuple[Graph, np.ndarray]:
    """The same graph with its rows in another order: new row r is old row order[r]."""
    indices, distances = graph
    order = np.random.default_rng(seed).permutation(len(indices))
    new = np.empty(len(indices) + 1, np.int32)
    new[order] = np.arange(len(indices))
    new[-1] = -1
    return (new[indices[order]], distances[order]), order


def same(ours: Ints, theirs: Any) -> bool:
    """The same clusters up to their numbers, and the same noise."""
    return adjusted_rand_score(ours, theirs) == 1.0 and bool(((ours < 0) == (np.asarray(theirs) < 0)).all())


def check_form(result: Result, n: int) -> None:
    count = len(result.persistence)
    assert result.labels.dtype == np.int32
    assert result.probabilities.dtype == result.persistence.dtype == np.float32
    assert set(result.labels) - {-1} == set(range(count))
    assert ((result.probabilities >= 0) & (result.probabilities <= 1)).all()
    assert (result.probabilities[result.labels < 0] == 0).all()
    assert ((result.persistence >= 0) & (result.persistence <= 1)).all()
    sizes = np.bincount(result.labels[result.labels >= 0], minlength=count)
    first = [int(np.argmax(result.labels == c)) for c in range(count)]
    keys = list(zip(-sizes, first, strict=True))
    assert keys == sorted(keys), "clusters are not numbered by size, then by first row"
    # the stage's result type accepts the arrays
    Clusters(
        result.labels, result.probabilities, result.persistence, result.labels, np.zeros(n, np.float32), result.tree
    )


def random_graph(seed: int, n: int, k: int, *, levels: int = 0, components: int = 1, missing: float = 0.0) -> Graph:
    """A random graph that is not from a metric space: edges differ by direction, some points are never found.

    `levels`: the number of different distances, 0 among them (0: all distances differ). `components`: point i has edges
    to j only if i % components == j % components. `missing`: the share of neighbors left out.
    """
    rng = np.random.default_rng(seed)
    itself = np.arange(n)[:, None]
    indices = np.sort(rng.integers(0, n // components, (n, k)) * components + itself % components, axis=1).astype(
        np.int32
    )
    distances = rng.integers(0, levels, (n, k)) / levels if levels else rng.random((n, k))
    gone = (rng.random((n, k)) < missing) | (indices == itself)
    gone[:, 1:] |= indices[:, 1:] == indices[:, :-1]
    indices[gone], distances[gone] = -1, np.inf
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(indices, order, 1), np.take_along_axis(distances, order, 1).astype(np.float32)


def row_hub(n: int) -> Graph:
    """One point found all others; the others found no point."""
    indices, distances = np.full((n, n - 1), -1, np.int32), np.full((n, n - 1), np.inf, np.float32)
    indices[0], distances[0] = np.arange(1, n), np.arange(1, n) / n
    return indices, distances


def column_hub(n: int) -> Graph:
    """All points found the same point, which found no point."""
    indices, distances = np.full((n, 1), n - 1, np.int32), (np.arange(n, dtype=np.float32) % 7 / 7)[:, None]
    indices[-1], distances[-1] = -1, np.inf
    return indices, distances


RANDOM: dict[str, Callable[[], Graph]] = {
    **{f"n={n} k={k}": (lambda n=n, k=k: random_graph(n + k, n, k)) for n in (2, 3, 20, 255, 600) for k in (1, 2, 12)},
    **{f"ties {s}": (lambda s=s: random_graph(s, 400, 8, levels=4)) for s in range(3)},
    "all equal": lambda: random_graph(0, 300, 6, levels=1),
    "disconnected": lambda: random_graph(0, 500, 8, components=12),
    "disconnected ties": lambda: random_graph(1, 500, 8, components=12, levels=3),
    "padded": lambda: random_graph(2, 500, 8, missing=0.6),
    "nearly empty": lambda: random_graph(3, 500, 4, missing=0.95),
    "padded ties": lambda: random_graph(4, 500, 8, missing=0.6, levels=2),
    "empty": lambda: (np.full((40, 3), -1, np.int32), np.full((40, 3), np.inf, np.float32)),
    "row hub": lambda: row_hub(700),
    "column hub": lambda: column_hub(700),
}
ALL = {**GRAPHS, **{f"random {name}": make for name, make in RANDOM.items()}}


def reference_forest(graph: Graph, m: int) -> tuple[Floats, Floats]:
    """Core distances [n] and the ascending weights [n-1] of a minimum spanning forest joined at inf, by SciPy."""
    indices, distances = graph
    n = len(indices)
    rows, at = np.nonzero(indices >= 0)
    ends, lengths = indices[rows, at], distances[rows, at]
    low, high = np.minimum(rows, ends), np.maximum(rows, ends)
    order = np.lexsort((lengths, high, low))
    low, high, lengths = low[order], high[order], lengths[order]
    _, first_of_pair = np.unique(low.astype(np.int64) * n + high, return_index=True)
    low, high, lengths = low[first_of_pair], high[first_of_pair], lengths[first_of_pair]
    cores = np.full(n, np.inf, np.float32)
    ends, both = np.concatenate([low, high]), np.concatenate([lengths, lengths])
    order = np.lexsort((both, ends))
    starts = np.searchsorted(ends[order], np.arange(n + 1))
    enough = np.flatnonzero(np.diff(starts) >= m)
    cores[enough] = both[order][starts[enough] + m - 1]
    weights = np.maximum(lengths, np.maximum(cores[low], cores[high]))
    finite = np.isfinite(weights)
    # ranks from 1 instead of weights: SciPy reads a weight of 0 as no edge
    values, ranks = np.unique(weights[finite], return_inverse=True)
    tree = minimum_spanning_tree(coo_array((ranks + 1.0, (low[finite], high[finite])), shape=(n, n)))
    found = np.sort(values[tree.data.astype(int) - 1])
    return cores, np.concatenate([found, np.full(n - 1 - len(found), np.inf, np.float32)])
