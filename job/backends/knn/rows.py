"""What was found for some headlines, made into rows of the graph: Milvus says who, the vectors say how far."""

from typing import Any

import numpy as np
import numpy.typing as npt

from job.backends.knn.distances import NEAR_TIE, pair_distances, sort_rows
from job.backends.knn.exact import ExactKnn
from job.data import Floats, Ints

# a tie is looked for among so many times more candidates, in so many rows at once
_WIDER, _TIED_ROWS = 4, 256
Rows = npt.NDArray[np.int64]
# structured, of fields `index`, `distance` and `completed`
GraphRows = npt.NDArray[Any]


def row_type(k: int) -> np.dtype[Any]:
    """A row of the graph: `index` int32 [k], `distance` float32 [k] ascending, ties by index, and `completed`,
    whether it was searched exactly since an approximate index found fewer than k."""
    return np.dtype([("index", np.int32, (k,)), ("distance", np.float32, (k,)), ("completed", np.bool_)])


def graph_rows(vectors: Floats, rows: Rows, found: Ints, k: int, exactly: ExactKnn) -> GraphRows:
    """The rows' nearest k among those `found` [m, any], -1 for none, with the vectors' own distances, in order.

    Rows whose last candidate is as near as their k-th are searched exactly, for more that are equal may have been
    left out; so are rows for which fewer than k were found.
    """
    n = len(vectors)
    result = np.zeros(len(rows), row_type(k))

    def put(places: Rows, candidates: Ints) -> Rows:
        """Returns the places whose candidates end in a tie."""
        width = max(k, candidates.shape[1])
        near, far = sort_rows(candidates, pair_distances(vectors, rows[places], candidates), width)
        result["index"][places], result["distance"][places] = near[:, :k], far[:, :k]
        if not k or k == width or width >= n - 1:
            return places[:0]
        return places[(near[:, -1] >= 0) & (far[:, -1] <= far[:, k - 1] + NEAR_TIE)]

    tied, width = put(np.arange(len(rows)), found), max(k, found.shape[1])
    while len(tied):
        width = min(_WIDER * width, n - 1)
        parts = [tied[start : start + _TIED_ROWS] for start in range(0, len(tied), _TIED_ROWS)]
        tied = np.concatenate([put(part, exactly.find(rows[part], width)) for part in parts])
    short = np.flatnonzero((result["index"] < 0).any(axis=1))
    if len(short):
        put(short, exactly.find(rows[short], k))
        result["completed"][short] = True
    return result
