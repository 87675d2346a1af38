"""Where average linkage starts: the pairs of clusters that may merge, and the mean of each cluster."""

import numba as nb
import numpy as np
import numpy.typing as npt

from job.backends.arrays import distinct
from job.backends.graph_hdbscan.row_ranges import map_row_ranges
from job.data import Floats, Ints

Keys = npt.NDArray[np.int64]
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
    """Each pair of clusters that an edge of the graph joins, in either direction, once: int32 [p] smaller, larger."""
    per_range = map_row_ranges(
        lambda start, stop: distinct(_edges_between_clusters(labels, indices, start, stop)), len(labels), threads
    )
    return split_keys(distinct(np.concatenate(per_range)))


def split_keys(keys: Keys) -> tuple[Ints, Ints]:
    """The two clusters of each key, int32 [p]."""
    return (keys >> 32).astype(np.int32), keys.astype(np.int32)


@nb.njit(cache=True, nogil=True)
def _write_means(vectors, members, starts, means, rows, norms, start, stop):  # type: ignore[no-untyped-def]
    total = np.empty(vectors.shape[1])
    for a in range(start, stop):
        total[:] = 0.0
        for i in members[starts[a] : starts[a + 1]]:
            for c in range(len(total)):
                total[c] += vectors[i, c]
        mean, size = means[rows[a]], starts[a + 1] - starts[a]
        square = 0.0
        for c in range(len(total)):
            mean[c] = total[c] / size
            square += np.float64(mean[c]) * np.float64(mean[c])
        norms[a] = np.sqrt(square)


def write_means(vectors: Floats, members: Ints, starts: Keys, means: Floats, rows: Ints, threads: int) -> Doubles:
    """Write the mean of each cluster's vectors to `means[rows[a]]`; returns its Euclidean norms float64 [c].

    The members of cluster a are `members[starts[a] : starts[a + 1]]`, and are added in this order. `means` may be
    `vectors` itself if `rows[a]` is a member of cluster a, because no other cluster reads that row.
    """
    norms = np.empty(len(rows))
    map_row_ranges(
        lambda start, stop: _write_means(vectors, members, starts, means, rows, norms, start, stop), len(rows), threads
    )
    return norms
