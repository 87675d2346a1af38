"""Where average linkage starts: the pairs of clusters that may merge, the mean of each cluster, their similarities."""

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from job.backends.graph_hdbscan.row_ranges import map_row_ranges
from job.data import Floats, Ints

Doubles = npt.NDArray[np.float64]


@nb.njit(cache=True, nogil=True)
def _edges_between_clusters(labels, indices, start, stop):  # type: ignore[no-untyped-def]
    """The edges of rows start ... stop that join two clusters: smaller cluster * 2^32 + larger cluster."""
    k = indices.shape[1]
    keys = np.empty((stop - start) * k, np.int64)
    count = 0
    for i in range(start, stop):
        a = np.int64(labels[i])
        for t in range(k):
            if indices[i, t] >= 0:
                b = np.int64(labels[indices[i, t]])
                keys[count] = (min(a, b) << 32) | max(a, b)
                count += a != b
    return keys[:count].copy()


def candidate_pairs(labels: Ints, indices: Ints, threads: int) -> tuple[Ints, Ints]:
    """Each pair of clusters that an edge of the graph joins, from either side, once: int32 [p] smaller, larger."""
    per_range = map_row_ranges(
        lambda start, stop: np.unique(_edges_between_clusters(labels, indices, start, stop)), len(labels), threads
    )
    keys = np.unique(np.concatenate([np.zeros(0, np.int64), *per_range]))
    return (keys >> 32).astype(np.int32), keys.astype(np.int32)


# the products are exact in float64, and their sums are rounded afterwards: the order of the sum does not matter
@nb.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for c in range(len(a)):
        total += np.float64(a[c]) * np.float64(b[c])
    return total


@nb.njit(cache=True, nogil=True)
def _write_means(vectors, members, starts, means, rows, norms, start, stop):  # type: ignore[no-untyped-def]
    total = np.empty(vectors.shape[1])
    for a in range(start, stop):
        mean = means[rows[a]]
        size = starts[a + 1] - starts[a]
        if size == 1:
            vector = vectors[members[starts[a]]]
            for c in range(len(mean)):
                mean[c] = vector[c]
        else:
            total[:] = 0.0
            for i in range(starts[a], starts[a + 1]):
                vector = vectors[members[i]]
                for c in range(len(total)):
                    total[c] += vector[c]
            for c in range(len(mean)):
                mean[c] = total[c] / size
        norms[a] = np.sqrt(dot(mean, mean))


def write_means(
    vectors: Floats, members: Ints, starts: npt.NDArray[np.int64], means: Floats, rows: Ints, threads: int
) -> Doubles:
    """Write the mean of each cluster's vectors into `means[rows[a]]`; returns the Euclidean norms float64 [c].

    The members of cluster a are `members[starts[a] : starts[a + 1]]`; they are added in this order. `means` may be
    `vectors` itself if `rows[a]` is a member of cluster a: no other cluster reads that row.
    """
    norms = np.empty(len(rows))
    map_row_ranges(
        lambda start, stop: _write_means(vectors, members, starts, means, rows, norms, start, stop), len(rows), threads
    )
    return norms


@nb.njit(cache=True, nogil=True)
def similarity(means, rows, backgrounds, quantum, a, b):  # type: ignore[no-untyped-def]
    """The similarity of clusters a and b, rounded to a multiple of `quantum`."""
    exact = dot(means[rows[a]], means[rows[b]]) - (backgrounds[a] + backgrounds[b]) / 2.0
    return np.rint(exact / quantum) * quantum


@nb.njit(cache=True, nogil=True)
def _write_similarities(means, rows, backgrounds, quantum, left, right, result, start, stop):  # type: ignore[no-untyped-def]
    for p in range(start, stop):
        result[p] = similarity(means, rows, backgrounds, quantum, left[p], right[p])


def similarities(clusters: Any, means: Floats, quantum: float, left: Ints, right: Ints, threads: int) -> Doubles:
    """The similarities float64 [p] of the pairs of clusters."""
    result = np.empty(len(left))
    map_row_ranges(
        lambda start, stop: _write_similarities(
            means, clusters.row, clusters.background, quantum, left, right, result, start, stop
        ),
        len(left),
        threads,
    )
    return result
