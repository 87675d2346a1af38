"""Neighbor search in Milvus: large batches, several requests in flight, answers as arrays of row numbers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from job.backends.knn.distances import NEAR_TIE, pair_distances, sort_rows
from job.backends.milvus.collection import Milvus
from job.backends.milvus.index_kinds import MAX_TOP_K, SearchEffort, first_effort
from job.data import Floats, Ids, Ints
from job.runtime.errors import JobError
from job.runtime.parallel import map_in_order


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """`k`: neighbors wanted per row. `top_k`: hits requested per query, the row itself among them. `parallel`:
    requests in flight. `batch`: queries per request, None: as many as is fast. `nprobe`: the first value, None: by
    the index. `shared`: other programs write to this collection too, so ids that this run does not know are skipped."""

    k: int
    top_k: int
    parallel: int
    batch: int | None = None
    nprobe: int | None = None
    filter: str = ""
    shared: bool = False


class MilvusSearch:
    """The nearest neighbors of rows, found by the collection's index.

    `ids` int64 [n], ascending; `vectors` float32 [n, d]. Every array of row numbers is an index into these.
    """

    def __init__(self, milvus: Milvus, ids: Ids, vectors: Floats, settings: SearchSettings) -> None:
        n, dim = vectors.shape
        self._milvus, self._ids, self._vectors, self._settings = milvus, ids, vectors, settings
        index = milvus.index()
        self._metric = index.metric
        self._top_k = min(settings.top_k, n, MAX_TOP_K)
        self._batch = milvus.queries_at_once(settings.batch, index.metric, n, dim)
        self.effort: SearchEffort = first_effort(index.kind, index.build, self._top_k, settings.nprobe)

    def try_harder(self) -> bool:
        """Double the effort of all further searches; False if it is the largest already."""
        harder = self.effort.harder()
        if harder is not None:
            self.effort = harder
        return harder is not None

    def find_all(self, batches: Iterable[npt.NDArray[np.int64]]) -> Iterator[Ints]:
        """For each array of m rows, int32 [m, top_k] neighbor rows, unordered; -1 for the row itself and where
        there is no hit."""
        for _, found in map_in_order(batches, self.find, self._settings.parallel):
            yield found

    @property
    def rows_at_once(self) -> int:
        """Rows per request."""
        return self._batch

    def find(self, rows: npt.NDArray[np.int64]) -> Ints:
        """`find_all` for the rows of one request."""
        hits, scores = self._search(rows, self._top_k)
        found = self._row_numbers(hits, rows)
        if self._top_k < min(len(self._ids), MAX_TOP_K):
            tied = np.flatnonzero(self._ends_in_tie(hits, scores))
            if len(tied):
                found[tied] = self._search_wider(rows[tied])
        return found

    def _search(self, rows: npt.NDArray[np.int64], limit: int) -> tuple[Ids, Floats]:
        return self._milvus.search(self._vectors[rows], limit, self._metric, self.effort, self._settings.filter)

    def _ends_in_tie(self, hits: Ids, scores: Floats) -> npt.NDArray[np.bool_]:
        """Rows whose last hit is as near as the k-th: Milvus cut the hits among ties, which we break by row number."""
        last = scores[:, -1]
        near = abs(scores[:, min(self._settings.k, scores.shape[1] - 1)] - last) <= NEAR_TIE
        return np.asarray((hits[:, -1] >= 0) & near)

    def _search_wider(self, rows: npt.NDArray[np.int64]) -> Ints:
        """The nearest `top_k` by distance and row number, int32 [m, top_k], with more hits requested until no tie
        is cut."""
        result = np.full((len(rows), self._top_k), -1, np.int32)
        limit, open_places = self._top_k, np.arange(len(rows))
        largest = min(len(self._ids), MAX_TOP_K)
        while len(open_places):
            limit = min(4 * limit, largest)
            step = max(1, self._batch * self._top_k // limit)
            still_tied = []
            for start in range(0, len(open_places), step):
                places = open_places[start : start + step]
                queries = rows[places]
                hits, scores = self._search(queries, limit)
                candidates = self._row_numbers(hits, queries)
                distances = pair_distances(self._vectors, queries, candidates)
                result[places] = sort_rows(candidates, distances, self._top_k)[0]
                if limit < largest:
                    still_tied.append(places[self._ends_in_tie(hits, scores)])
            open_places = np.concatenate(still_tied) if still_tied else np.zeros(0, np.int64)
        return result

    def _row_numbers(self, hits: Ids, rows: npt.NDArray[np.int64]) -> Ints:
        """Milvus ids as row numbers; -1 for the row itself, for a missing hit, and for an id unknown to this run."""
        position = np.minimum(np.searchsorted(self._ids, hits), len(self._ids) - 1)
        known = self._ids[position] == hits
        if not self._settings.shared and not (known | (hits < 0)).all():
            raise JobError(
                f"neighbors: Milvus returned id {hits[~known & (hits >= 0)][0]}, which this run did not write"
            )
        return np.where(known & (position != rows[:, None]), position, -1).astype(np.int32)
