"""Describe's figures: rows, headlines, sources, times and growth of each cluster, and what they add up to.

Growth of a cluster with `rows` rows in the bins, of which `late` are in the last bins, which hold a share `q` of all
clusters' rows:

    growth = (late + 2) / (q rows + 2)

The last bins are as many as hold a quarter of all rows. So growth is the share of late rows against that of all
clusters together, drawn toward 1 by two rows of each: 1 is as all others, above 1 has more late rows, and three late
rows do not outdo three hundred. Whether a story still goes on it does not say: the report's pages look at that too.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from job.data import Ids, Ints
from job.rows import Rows
from job.topics import TimeBins, Totals

MAX_BINS = 48
_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0
# widths that a reader can name
_WIDTHS = (
    *(m * _MINUTE for m in (1, 5, 15, 30)),
    *(h * _HOUR for h in (1, 2, 3, 6, 12)),
    *(d * _DAY for d in (1, 2, 7, 14, 28, 91, 365)),
)
# the share of rows at either end whose times may be wrong: they do not stretch the bins
_OUTER, _STRETCH = 0.01, 4.0
_PRIOR, _LATE = 2.0, 0.25


@dataclass(frozen=True)
class ClusterFacts:
    """`columns`: of each column of `Topic` that is a figure, one value per cluster."""

    columns: dict[str, list[Any]]
    bins: TimeBins | None
    totals: Totals

    def of(self, cluster: int) -> dict[str, Any]:
        return {name: values[cluster] for name, values in self.columns.items()}


def cluster_facts(
    assigned: Ints, count: int, rows: Rows, headline_times: npt.NDArray[np.float64] | None = None
) -> ClusterFacts:
    """`assigned` int32 [n]: the cluster of each headline, below `count`, -1 = none; `rows`: of the answer.

    `headline_times` float64 [n], NaN = unknown: where copies are known of some headlines only, growth counts headlines
    instead of rows.
    """
    shown = rows.headlines >= 0
    clusters = np.full(len(rows), -1, np.int64)
    clusters[shown] = assigned[rows.headlines[shown]]
    inside = clusters >= 0
    sizes = np.bincount(assigned[assigned >= 0], minlength=count)
    bins = time_bins(rows.times[shown])
    columns: dict[str, list[Any]] = {
        "rows": np.bincount(clusters[inside], minlength=count).tolist(),
        "size": sizes.tolist(),
        "sources": _sources(clusters, rows, count),
        **_times(clusters, rows.times, count),
        "counts": [None] * count,
        "growth": [None] * count,
    }
    if bins is not None:
        counts = _counts(clusters, rows.times, count, bins)
        grown = counts if headline_times is None else _counts(assigned, headline_times, count, bins)
        columns |= {"counts": counts.tolist(), "growth": growth(grown)}
    noise = int((assigned < 0).sum())
    noise_rows = int((shown & ~inside).sum())
    return ClusterFacts(columns, bins, Totals(len(rows), len(assigned), noise_rows, noise, int((~shown).sum())))


def time_bins(times: npt.NDArray[np.float64]) -> TimeBins | None:
    """At most `MAX_BINS` bins of the smallest width of a round number that cover the times, from a multiple of it.
    Dates without a time of day have bins of a day or more.

    `times` float64 [r], seconds, NaN = unknown. Single times far from all others do not stretch the bins: where the
    outermost hundredth makes the span four times as long, and four days or hours at least, it is left out.
    """
    known = np.sort(times[np.isfinite(times)])
    if not len(known):
        return None
    cut = max(1, int(_OUTER * len(known)))
    low, high = known[0], known[-1]
    inner = known[cut:-cut]
    least = _DAY if (known % _DAY == 0).all() else 0.0
    # all others may be of one moment
    if len(inner) > 1 and high - low > _STRETCH * max(inner[-1] - inner[0], least or _HOUR):
        low, high = inner[0], inner[-1]
    width = next((w for w in _WIDTHS if w >= least and _bins(low, high, w) <= MAX_BINS), 0.0)
    if not width:
        width = _WIDTHS[-1] * (1 + (high - low) // (_WIDTHS[-1] * (MAX_BINS - 1)))
    start = float(np.floor(low / width) * width)
    return TimeBins(start, float(width), _bins(low, high, width))


def _bins(low: float, high: float, width: float) -> int:
    return int(np.floor(high / width) - np.floor(low / width)) + 1


def growth(counts: npt.NDArray[np.int64]) -> list[float | None]:
    """See the module's docstring. `counts` int64 [c, bins]; None where no bin lies before the last ones."""
    totals = counts.sum(axis=0)
    rows = int(totals.sum())
    # rows from each bin on
    from_here = totals[::-1].cumsum()[::-1]
    first = int(np.flatnonzero(from_here >= _LATE * rows).max(initial=0))
    if not rows or not totals[:first].any():
        return [None] * len(counts)
    late, even = counts[:, first:].sum(axis=1), counts.sum(axis=1) * from_here[first] / rows
    return [round(float(value), 4) for value in (late + _PRIOR) / (even + _PRIOR)]


def _sources(clusters: Ids, rows: Rows, count: int) -> list[int] | list[None]:
    known = (clusters >= 0) & (rows.sources >= 0)
    if not len(rows.source_names):
        return [None] * count
    pairs = np.unique(clusters[known] * len(rows.source_names) + rows.sources[known])
    result: list[int] = np.bincount(pairs // len(rows.source_names), minlength=count).tolist()
    return result


def _times(clusters: Ids, times: npt.NDArray[np.float64], count: int) -> dict[str, list[float | None]]:
    known = (clusters >= 0) & np.isfinite(times)
    first, last = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(first, clusters[known], times[known])
    np.maximum.at(last, clusters[known], times[known])
    return {
        name: [float(value) if np.isfinite(value) else None for value in values]
        for name, values in (("first_seen", first), ("last_seen", last))
    }


def _counts(clusters: Ids | Ints, times: npt.NDArray[np.float64], count: int, bins: TimeBins) -> npt.NDArray[np.int64]:
    """Rows or headlines int64 [count, bins]."""
    places = bins.places(times)
    there = (clusters >= 0) & (places >= 0)
    flat = clusters[there] * bins.count + places[there]
    return np.bincount(flat, minlength=count * bins.count).reshape(count, bins.count).astype(np.int64)
