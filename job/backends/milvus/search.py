"""Neighbor search in Milvus: large batches, several requests in flight, answers as arrays of row numbers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from job.backends.knn.distances import NEAR_TIE, pair_distances, sort_rows
from job.backends.milvus.collection import Milvus
from job.backends.milvus.index_kinds import KINDS, MAX_TOP_K, SearchEffort, first_effort
from job.data import Floats, Ids, Ints
from job.runtime.errors import JobError
from job.runtime.parallel import map_in_order

# of the rows of one request that an approximate index does not find, so many are looked up by their id
_LOOKED_UP = 1_000


class AlteredRowsError(JobError):
    """The collection's rows are not those that this run wrote."""


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
        self.index = index = milvus.index()
        self._metric, self._kind = index.metric, KINDS.get(index.kind)
        self._largest = min(n, self._kind.max_top_k if self._kind else MAX_TOP_K)
        self._top_k = min(settings.top_k, self._largest)
        self._batch = milvus.queries_at_once(settings.batch, index.metric, n, dim, self._top_k)
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
        """`find_all` for the rows of one request.

        Raises:
            AlteredRowsError: not with `shared`: a row is not what this run wrote, or there is one of another.
        """
        hits, scores = self._search(rows, self._top_k)
        if not self._settings.shared:
            self._check_own_rows(rows, hits, scores)
        found = self._row_numbers(hits, rows)
        if self._top_k < self._largest:
            tied = np.flatnonzero(self._ends_in_tie(hits, scores))
            if len(tied):
                found[tied] = self._search_wider(rows[tied])
        return found

    def _search(self, rows: npt.NDArray[np.int64], limit: int) -> tuple[Ids, Floats]:
        effort = self.effort.for_hits(limit)
        return self._milvus.search(self._vectors[rows], limit, self._metric, effort, self._settings.filter)

    @property
    def is_exact(self) -> bool:
        """Whether the index is known to find the nearest rows, whatever the effort."""
        return self._kind is not None and self._kind.search is None

    def _check_own_rows(self, rows: npt.NDArray[np.int64], hits: Ids, scores: Floats) -> None:
        """Compare each row with itself among its hits."""
        ids, own = self._ids[rows], self._vectors[rows]
        if self._metric == "IP":
            expected = np.einsum("md,md->m", own, own)
        else:
            expected = np.full(len(rows), 0.0 if self._metric == "L2" else 1.0, np.float32)
        error = 0.1 if self._kind is None else self._kind.score_error
        is_self = hits == ids[:, None]
        is_found = is_self.any(axis=1)
        score = scores[np.arange(len(rows)), is_self.argmax(axis=1)]
        altered = is_found & ~(abs(score - expected) <= error)
        # rows that are as near as the row itself may take all places
        beyond = (expected - scores[:, -1]) * (-1 if self._metric == "L2" else 1)
        lost = np.flatnonzero(~is_found & ~(beyond <= error))
        if len(lost) and not self.is_exact:
            lost = lost[:_LOOKED_UP]
            stored = self._milvus.vectors(ids[lost])
            lost = np.array([one for one in lost if not np.array_equal(stored.get(int(ids[one]), []), own[one])], int)
        altered[lost] = True
        if altered.any():
            raise AlteredRowsError(
                f"{altered.sum()} of {len(rows)} rows that were looked up are not the ones that this run wrote (id "
                f"{ids[altered][0]} is one)"
            )

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
        while len(open_places):
            limit = min(4 * limit, self._largest)
            step = max(1, self._batch * self._top_k // limit)
            still_tied = []
            for start in range(0, len(open_places), step):
                places = open_places[start : start + step]
                queries = rows[places]
                hits, scores = self._search(queries, limit)
                candidates = self._row_numbers(hits, queries)
                distances = pair_distances(self._vectors, queries, candidates)
                result[places] = sort_rows(candidates, distances, self._top_k)[0]
                if limit < self._largest:
                    still_tied.append(places[self._ends_in_tie(hits, scores)])
            open_places = np.concatenate(still_tied) if still_tied else np.zeros(0, np.int64)
        return result

    def _row_numbers(self, hits: Ids, rows: npt.NDArray[np.int64]) -> Ints:
        """Milvus ids as row numbers; -1 for the row itself, for a missing hit, and for an id unknown to this run."""
        position = np.minimum(np.searchsorted(self._ids, hits), len(self._ids) - 1)
        known = self._ids[position] == hits
        if not self._settings.shared and not (known | (hits < 0)).all():
            raise AlteredRowsError(f"it holds id {hits[~known & (hits >= 0)][0]}, which this run did not write")
        return np.where(known & (position != rows[:, None]), position, -1).astype(np.int32)
