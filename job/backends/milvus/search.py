"""Nearest neighbors from Milvus: large batches, several in flight, answers as arrays of row numbers."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from job.backends.knn.distances import NEAR_TIE, pair_distances, sort_rows
from job.backends.milvus.collection import Milvus
from job.backends.milvus.index_kinds import MAX_TOP_K, Effort, first_effort
from job.data import Floats, Ids, Ints
from job.runtime.errors import JobError
from job.runtime.parallel import in_flight


class MilvusKnn:
    """The nearest of each row by the collection's index.

    `top_k`: hits asked for a query, the row itself among them. `living`: other programs write there too, so that ids
    which this run does not know are passed over.
    """

    def __init__(
        self,
        milvus: Milvus,
        ids: Ids,
        vectors: Floats,
        k: int,
        top_k: int,
        batch: int | None,
        parallel: int,
        nprobe: int | None,
        filter: str,
        living: bool,
    ) -> None:
        n, dim = vectors.shape
        self._milvus, self._ids, self._vectors, self._k = milvus, ids, vectors, k
        self._filter, self._living, self._parallel = filter, living, parallel
        index = milvus.index()
        self.kind, self._metric = index.kind, index.metric
        self._top_k = min(top_k, n, MAX_TOP_K)
        self._size = milvus.queries_at_once(batch, index.metric, n, dim)
        self.effort: Effort = first_effort(index.kind, index.build, self._top_k, nprobe)
        self.tied = 0

    def try_harder(self) -> bool:
        """Double the effort of every search from now on; False where it cannot be."""
        harder = self.effort.harder()
        if harder is not None:
            self.effort = harder
        return harder is not None

    def find_all(self, pieces: Iterable[npt.NDArray[np.int64]]) -> Iterator[Ints]:
        """For each array of rows, int32 [m, top_k] unordered row numbers, -1 for the row itself and for none."""
        for _, found in in_flight(pieces, self.find, self._parallel):
            yield found

    @property
    def rows_at_once(self) -> int:
        return self._size

    def find(self, rows: npt.NDArray[np.int64]) -> Ints:
        """The same for rows of one request."""
        hits, scores = self._milvus.search(self._vectors[rows], self._top_k, self._metric, self.effort, self._filter)
        found = self._as_rows(hits, rows)
        if self._top_k < min(len(self._ids), MAX_TOP_K):
            tied = np.flatnonzero(self._cut_in_a_tie(hits, scores))
            if len(tied):
                found[tied] = self._more(rows[tied])
        return found

    def _cut_in_a_tie(self, hits: Ids, scores: Floats) -> npt.NDArray[np.bool_]:
        """Rows whose last hit is as near as their k-th: Milvus chose among equals, which the row numbers are to do."""
        last = scores[:, -1]
        near = abs(scores[:, min(self._k, scores.shape[1] - 1)] - last) <= NEAR_TIE
        return np.asarray((hits[:, -1] >= 0) & near)

    def _more(self, rows: npt.NDArray[np.int64]) -> Ints:
        """`top_k` candidates of rows whose ties were cut, chosen among all that tie, by distance and row number."""
        self.tied += len(rows)
        result = np.full((len(rows), self._top_k), -1, np.int32)
        limit, left = self._top_k, np.arange(len(rows))
        most = min(len(self._ids), MAX_TOP_K)
        while len(left):
            limit = min(4 * limit, most)
            step = max(1, self._size * self._top_k // limit)
            again = []
            for start in range(0, len(left), step):
                part = left[start : start + step]
                mine = rows[part]
                hits, scores = self._milvus.search(self._vectors[mine], limit, self._metric, self.effort, self._filter)
                candidates = self._as_rows(hits, mine)
                distances = pair_distances(self._vectors, mine, candidates)
                result[part] = sort_rows(candidates, distances, self._top_k)[0]
                if limit < most:
                    again.append(part[self._cut_in_a_tie(hits, scores)])
            left = np.concatenate(again) if again else np.zeros(0, np.int64)
        return result

    def _as_rows(self, found: Ids, rows: npt.NDArray[np.int64]) -> Ints:
        """Milvus ids as row numbers, with the row itself and what is missing as -1."""
        position = np.minimum(np.searchsorted(self._ids, found), len(self._ids) - 1)
        known = self._ids[position] == found
        if not self._living and not (known | (found < 0)).all():
            raise JobError(
                f"neighbors: Milvus answered with id {found[~known & (found >= 0)][0]}, which this run did not write"
            )
        return np.where(known & (position != rows[:, None]), position, -1).astype(np.int32)
