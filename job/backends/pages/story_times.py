"""What a map says of a story's times and sources where its caller does not know better: from the points alone."""

from dataclasses import replace

import numpy as np

from job.backends.pages.points import MapPoints, MapStory
from job.topics import TimeBins

MAX_BINS = 48
_STRETCH = 4.0
_HOUR, _DAY = 3_600.0, 86_400.0


def map_bins(points: MapPoints) -> TimeBins | None:
    """`points.bins`, or 48 equal bins over the times; None where there are no times, or one time only.

    Single times far from all others do not stretch the bins: where the outermost hundredth makes the span four times
    as long, and four days or hours at least, it is left out.
    """
    if points.bins is not None or points.times is None:
        return points.bins
    known = np.sort(points.times[np.isfinite(points.times)])
    if not len(known) or known[0] == known[-1]:
        return None
    cut = 1 + len(known) // 100
    inner = known[cut:-cut] if len(known) > 2 * cut else known
    least = _DAY if (known % _DAY == 0).all() else _HOUR
    if len(inner) > 1 and known[-1] - known[0] > _STRETCH * max(inner[-1] - inner[0], least):
        known = inner
        if known[0] == known[-1]:
            return None
    return TimeBins(float(known[0]), float(known[-1] - known[0]) / (MAX_BINS - 1), MAX_BINS)


def with_times(points: MapPoints, bins: TimeBins | None) -> list[MapStory]:
    """The stories with rows, sources, first and last seen, and counts filled in where they are None."""
    order = np.argsort(points.labels, kind="stable")
    starts = np.searchsorted(points.labels[order], np.arange(len(points.stories) + 1))
    return [_filled(story, order[starts[i] : starts[i + 1]], points, bins) for i, story in enumerate(points.stories)]


def _filled(story: MapStory, rows: np.ndarray, points: MapPoints, bins: TimeBins | None) -> MapStory:
    found: dict[str, object] = {"rows": int(points.copies[rows].sum())}
    if points.sources is not None:
        found["sources"] = len(np.unique(points.sources[rows][points.sources[rows] >= 0]))
    if points.times is not None and np.isfinite(points.times[rows]).any():
        times = points.times[rows][np.isfinite(points.times[rows])]
        found |= {"first_seen": float(times.min()), "last_seen": float(times.max())}
        if bins is not None:
            places = bins.places(times)
            counts = np.bincount(places[places >= 0], minlength=bins.count)
            found["counts"] = counts.tolist()
    return replace(story, **{name: value for name, value in found.items() if getattr(story, name) is None})  # type: ignore[arg-type]
