"""Rows of the neighbor graph from the candidates that a search found; their distances come from the vectors."""

from typing import Any

import numpy as np
import numpy.typing as npt

from job.backends.knn.distances import NEAR_TIE, pair_distances, sort_rows
from job.backends.knn.exact import ExactSearch
from job.data import Floats, Ints

# a search for ties asks for so many times more candidates, for so many rows at once
_WIDER, _TIED_ROWS = 4, 256
RowNumbers = npt.NDArray[np.int64]
# structured array with the fields of `row_type`
GraphRows = npt.NDArray[Any]


def row_type(k: int) -> np.dtype[Any]:
    """A row of the graph: `index` int32 [k], `distance` float32 [k], ascending, ties by index, and `completed`:
    whether it was searched exactly because an approximate index found fewer than k neighbors."""
    return np.dtype([("index", np.int32, (k,)), ("distance", np.float32, (k,)), ("completed", np.bool_)])


def graph_rows(vectors: Floats, rows: RowNumbers, found: Ints, k: int, exact_search: ExactSearch) -> GraphRows:
    """For each row the k nearest of the candidates `found` [m, any], -1 for none, with distances from the vectors.

    A row is searched exactly if its last candidate is as near as its k-th, up to the rounding of scores, because more
    neighbors at the same distance may have been left out, and if fewer than k candidates were found.
    """
    n = len(vectors)
    result = np.zeros(len(rows), row_type(k))

    def fill(places: RowNumbers, candidates: Ints) -> RowNumbers:
        """Fill the rows of the result at `places`; returns the places whose candidates end in a tie."""
        width = max(k, candidates.shape[1])
        near, far = sort_rows(candidates, pair_distances(vectors, rows[places], candidates), width)
        result["index"][places], result["distance"][places] = near[:, :k], far[:, :k]
        if not k or k == width or width >= n - 1:
            return places[:0]
        # a score is half of a squared distance, less what is the same for all candidates
        return places[(near[:, -1] >= 0) & (far[:, -1] ** 2 <= far[:, k - 1] ** 2 + 2 * NEAR_TIE)]

    def search(places: RowNumbers, width: int) -> None:
        """Search the rows at `places` exactly, for ever more candidates until they end in no tie."""
        while len(places):
            width = min(_WIDER * width, n - 1)
            batches = [places[start : start + _TIED_ROWS] for start in range(0, len(places), _TIED_ROWS)]
            places = np.concatenate([fill(batch, exact_search.find(rows[batch], width)) for batch in batches])

    search(fill(np.arange(len(rows)), found), max(k, found.shape[1]))
    short = np.flatnonzero((result["index"] < 0).any(axis=1))
    result["completed"][short] = True
    search(short, k)
    return result
