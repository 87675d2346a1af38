"""The rows of the answer: what each has of its own, beside its headline."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from job.data import Ids, Ints


@dataclass(frozen=True)
class Rows:
    """The rows of the answer, copies too, in the order of the input: which headline each has, and its own facts.

    `headlines` int64 [r]: row numbers of the headlines, -1 where `store.filter` left the row out. `times` float64 [r]:
    seconds since 1970 UTC, NaN where unknown. `sources` int32 [r]: row numbers of `source_names`, -1 where unknown.
    """

    headlines: Ids
    times: npt.NDArray[np.float64]
    sources: Ints
    source_names: list[str]

    def __len__(self) -> int:
        return len(self.headlines)

    def first_source_numbers(self, count: int) -> Ints:
        """For each of `count` headlines the source of its first row that has one, int32: row numbers of
        `source_names`, -1 = none."""
        result = np.full(count, -1, np.int32)
        # of several values for one place, the last one stays
        rows = np.flatnonzero((self.headlines >= 0) & (self.sources >= 0))[::-1]
        result[self.headlines[rows]] = self.sources[rows]
        return result

    def first_sources(self, count: int) -> list[str | None]:
        """The same as names, None = none."""
        names = [*self.source_names, None]
        return [names[number] for number in self.first_source_numbers(count)]

    @classmethod
    def load(cls, path: Path, ids: Ids) -> "Rows":
        """Read a `rows.parquet`; `ids` int64 [n], ascending: of the headlines."""
        table = pq.read_table(path)
        row_ids = np.asarray(table["id"].to_numpy(), np.int64)
        place = np.minimum(np.searchsorted(ids, row_ids), max(len(ids) - 1, 0))
        known = ids[place] == row_ids if len(ids) else np.zeros(len(row_ids), np.bool_)
        source = table["source"].combine_chunks().dictionary_encode()
        codes = np.asarray(source.indices.fill_null(-1), np.int32)
        times = np.asarray(table["time"].to_numpy(zero_copy_only=False), np.float64)
        return cls(np.where(known, place, -1), times, codes, source.dictionary.to_pylist())
