"""The recall of a neighbor graph, measured on a sample of rows against exact search."""

from dataclasses import dataclass

import numpy as np

from job.backends.knn.distances import pair_distances
from job.backends.knn.exact import ExactSearch
from job.backends.knn.rows import RowNumbers
from job.data import Floats


@dataclass(frozen=True)
class RecallSample:
    """Row numbers int64 [m], ascending, and the distance of each row's exact k-th neighbor, float32 [m]."""

    rows: RowNumbers
    kth_distances: Floats

    def __len__(self) -> int:
        return len(self.rows)

    def recall(self, distances: Floats) -> float | None:
        """The share of found neighbors that are no farther than the exact k-th; ties count as found.

        `distances` [m, k]: from the sample's rows to their neighbors. None for an empty sample.
        """
        if not distances.size:
            return None
        return float((distances <= self.kth_distances[:, None]).mean())

    def within(self, start: int, stop: int) -> tuple[slice, "RecallSample"]:
        """Where the rows from `start` to `stop` stand in the sample, and the sample of only those."""
        part = slice(*np.searchsorted(self.rows, [start, stop]))
        return part, RecallSample(self.rows[part], self.kth_distances[part])


def draw_sample(size: int, seed: int, vectors: Floats, exact_search: ExactSearch, k: int) -> RecallSample:
    """A random sample of `size` of the n rows; an empty one if `size` or `k` is 0."""
    n = len(vectors)
    if not size or not k:
        return RecallSample(np.zeros(0, np.int64), np.zeros(0, np.float32))
    rows = np.sort(np.random.default_rng(seed).choice(n, min(size, n), replace=False))
    return RecallSample(rows, pair_distances(vectors, rows, exact_search.find(rows, k)).max(axis=1))
