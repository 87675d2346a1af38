"""The map's data as a few short strings: what a page of limited size can hold of it.

The points are put in the order noise last, then hue, story, newest first. So each story and each hue is a range of
rows, and alike texts lie next to each other, which compresses well. Each column is split into bytes of equal weight
(all high bytes, then all middle ones, ...), and everything is gzip in base64, which browsers unpack by themselves
(`DecompressionStream`).
"""

import base64
import gzip
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from job.backends.pages.addresses import coded
from job.backends.pages.plain import plain, web_address
from job.backends.pages.points import MapPoints, MapStory, MapTheme
from job.backends.pages.story_times import map_bins, with_times
from job.data import Ids, Ints

HUES = 10
# neighbors of a theme that its hue is compared with
_NEAR = 40
TITLE_CHARS, DESCRIPTION_CHARS, NAME_CHARS, SOURCE_CHARS = 400, 300, 400, 80
# texts that a page has even where its points alone exceed the limit
MIN_TEXTS = 1_000
# coordinates and times as whole numbers of this many bytes
_PLACE_BYTES, _TIME_BYTES, _NUMBER_BYTES = 3, 4, 3

Columns = list[tuple[str, int, npt.NDArray[np.int64]]]


@dataclass(frozen=True)
class Payload:
    """`about`: small JSON values, `strings`: gzip in base64 by name. `texts`: rows with a text; `whole`: all of them
    with their descriptions."""

    about: dict[str, Any]
    strings: dict[str, str]

    @property
    def size(self) -> int:
        return sum(map(len, self.strings.values()))


def pack(points: MapPoints, limit: int) -> Payload:
    """Pack a map into at most `limit` bytes, in which `about` says what there is.

    All points, which may be larger; all titles, or those of a sample and nothing else; then all addresses, and all
    descriptions, each where they fit. Addresses that do not fit are those of a sample.
    """
    bins = map_bins(points)
    stories = with_times(points, bins)
    hues = _story_hues(points)
    order = _order(points, hues)
    labels = points.labels[order]
    titles = [plain(points.titles[row], TITLE_CHARS) or "(no title)" for row in order]
    descriptions = [plain(points.descriptions[row], DESCRIPTION_CHARS) for row in order]
    addresses = [] if points.addresses is None else [web_address(points.addresses[row]) for row in order]
    columns, times = _columns(points, order)
    about = {
        "points": len(points),
        "dimensions": points.dimensions,
        "noise": int((labels < 0).sum()),
        "rows": int(points.copies.sum()),
        "times": times,
        "bins": {"start": bins.start, "width": bins.width, "count": bins.count} if bins else None,
        "period": bins.ends(points.times) if bins and points.times is not None else None,
        "hues": np.bincount(np.where(labels < 0, HUES, hues[labels]), minlength=HUES + 1).tolist(),
    }
    data = {
        "stories": _stories(stories, labels, hues),
        "themes": [_theme(theme, points.stories) for theme in points.themes],
        "sources": [plain(name, SOURCE_CHARS) for name in points.source_names],
    }
    strings = {"data": _packed(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())}
    cloud = _packed(_planes(columns))
    linked = [coded(address, title) for address, title in zip(addresses, titles, strict=False)]
    left = limit - len(strings["data"]) - len(cloud)
    texts, kept, links = _texts(titles, linked, descriptions, labels, left)
    if kept is not None:
        columns.append(("text", 1, kept.astype(np.int64)))
        cloud = _packed(_planes(columns))
    about["columns"] = [[name, size] for name, size, _ in columns]
    about["texts"] = len(points) if kept is None else int(kept.sum())
    about["descriptions"] = "descriptions" in texts or not any(descriptions)
    about["addresses"] = [links, sum(map(bool, addresses))]
    return Payload(about, strings | {"cloud": cloud} | texts)


def _order(points: MapPoints, hues: Ints) -> Ids:
    """Row numbers in the page's order."""
    times = np.zeros(len(points)) if points.times is None else np.nan_to_num(-points.times, nan=np.inf)
    hue = np.where(points.labels < 0, HUES, hues[points.labels])
    return np.lexsort((np.arange(len(points)), times, points.labels, hue)).astype(np.int64)


def _story_hues(points: MapPoints) -> Ints:
    """The hue of each story, int32 [c + 1]: that of its theme, or its own; the last one serves noise's label -1."""
    groups = [("theme", s.theme) if s.theme >= 0 else ("story", s.number) for s in points.stories]
    names = sorted(set(groups), key=lambda group: (group[0] == "story", group[1]))
    if not names:
        return np.zeros(1, np.int32)
    numbers = {group: number for number, group in enumerate(names)}
    group_of = np.array([numbers[group] for group in groups])
    inside = points.labels >= 0
    members = group_of[points.labels[inside]]
    sizes = np.maximum(np.bincount(members, minlength=len(names)), 1)
    places = np.stack([np.bincount(members, axis, len(names)) / sizes for axis in points.layout[inside].T], axis=1)
    return np.append(spread_hues(places)[group_of], 0).astype(np.int32)


def spread_hues(places: npt.NDArray[np.floating[Any]]) -> Ints:
    """A hue for each place float [g, 2 or 3], int32 [g]: each of the first `HUES` has its own, and each later one that
    of which the nearest place before it is farthest."""
    from scipy.spatial import cKDTree

    nearest = cKDTree(places).query(places, min(_NEAR, len(places)))[1].reshape(len(places), -1)
    hues, used = np.full(len(places), -1, np.int32), np.zeros(HUES, np.int64)
    for place, others in enumerate(nearest):
        # how many other places are nearer than the first one of a hue
        rank = np.full(HUES, len(places))
        for at in reversed(range(len(others))):
            if hues[others[at]] >= 0:
                rank[hues[others[at]]] = at
        hue = int(np.lexsort((used, -rank))[0])
        hues[place] = hue
        used[hue] += 1
    return hues


def _columns(points: MapPoints, order: Ids) -> tuple[Columns, dict[str, float] | None]:
    """The columns of whole numbers, and what times are measured in: seconds = `start` + (value - 1) `unit`."""
    columns: Columns = []
    for axis, values in zip("xyz", points.layout[order].T.astype(np.float64), strict=False):
        low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
        # where all lie on a line, it is in the middle
        shares = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
        columns.append((axis, _PLACE_BYTES, np.round(shares * (256**_PLACE_BYTES - 1)).astype(np.int64)))
    if (points.copies > 1).any():
        columns.append(("copies", _NUMBER_BYTES, points.copies[order].astype(np.int64)))
    if points.sources is not None:
        columns.append(("source", _NUMBER_BYTES, points.sources[order].astype(np.int64) + 1))
    if points.times is None or not np.isfinite(points.times).any():
        return columns, None
    times = points.times[order]
    known = np.isfinite(times)
    start = float(times[known].min())
    unit = max(1.0, float(times[known].max() - start) / (256**_TIME_BYTES - 2))
    values = np.zeros(len(times), np.int64)
    values[known] = 1 + np.floor((times[known] - start) / unit).astype(np.int64)
    columns.append(("time", _TIME_BYTES, values))
    return columns, {"start": start, "unit": unit}


def _planes(columns: Columns) -> bytes:
    """Each column's bytes, those of the highest weight first."""
    parts = []
    for _, size, values in columns:
        values = np.clip(values, 0, 256**size - 1)
        parts += [((values >> 8 * place) & 255).astype(np.uint8).tobytes() for place in reversed(range(size))]
    return b"".join(parts)


def _stories(stories: list[MapStory], labels: Ints, hues: Ints) -> list[dict[str, Any]]:
    """Each story's range of rows (`start`, `size`) and what is known of it; without what is not."""
    by_label = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[by_label], np.arange(len(stories) + 1))
    result = []
    for story in stories:
        first, last = starts[story.number], starts[story.number + 1]
        name = plain(story.name, NAME_CHARS) or f"story {story.number}"
        facts = {
            "start": int(by_label[first]) if last > first else 0,
            "size": int(last - first),
            "hue": int(hues[story.number]),
            # a string: JavaScript's numbers have 53 bits
            "id": str(story.number if story.id is None else story.id),
            "name": name,
            "label": _label(story),
            "keywords": [plain(word, SOURCE_CHARS) for word in story.keywords],
            "rows": story.rows,
            "sources": story.sources,
            "first": story.first_seen,
            "last": story.last_seen,
            "counts": list(story.counts) if story.counts is not None else None,
            "growth": story.growth,
            "growing": story.growing or None,
            "theme": story.theme,
            "topic": story.topic,
        }
        result.append({key: value for key, value in facts.items() if value is not None and value != ""})
    return result


def _label(story: MapStory) -> str:
    """The name on the map: one that is not cut; keywords where all are."""
    names = [plain(name, NAME_CHARS) for name in (story.short_name, story.name)]
    whole = [name for name in names if name and not name.endswith(("…", "..."))]
    return [*whole, plain(" · ".join(story.keywords[:3]), NAME_CHARS), ""][0]


def _theme(theme: MapTheme, stories: Any) -> dict[str, Any]:
    mine = [story.number for story in stories if getattr(story, theme.level) == theme.number]
    name = plain(theme.name, NAME_CHARS)
    return {"level": theme.level, "number": theme.number, "parent": theme.parent, "name": name, "stories": mine}


def _texts(
    titles: list[str], addresses: list[str], descriptions: list[str], labels: Ints, limit: int
) -> tuple[dict[str, str], npt.NDArray[np.bool_] | None, int]:
    """The packed texts, a mask of the rows that have a title (None: all), and how many have an address."""
    found = {"titles": _packed_lines(titles)}
    left = limit - len(found["titles"])
    if left < 0:
        # which rows have a title takes a bit per point at most
        found["titles"], kept = _sampled(titles, labels, limit - len(labels) // 6, MIN_TEXTS)
        return found, kept, 0
    for name, lines in (("addresses", addresses), ("descriptions", descriptions)):
        packed = _packed_lines(lines) if any(lines) else ""
        if packed and len(packed) <= left:
            found[name] = packed
            left -= len(packed)
    rows = np.flatnonzero(list(map(bool, addresses)))
    if len(rows) and "addresses" not in found:
        # and so does which lines are empty
        some = _sampled([addresses[row] for row in rows], labels[rows], left - len(labels) // 6, 0)[1]
        rows = rows[some]
        chosen = set(rows.tolist())
        if chosen:
            found["addresses"] = _packed_lines([line if row in chosen else "" for row, line in enumerate(addresses)])
    return found, None, len(rows)


def _sampled(lines: list[str], labels: Ints, limit: int, least: int) -> tuple[str, npt.NDArray[np.bool_]]:
    """As many of the lines as fit into `limit` bytes, of every story, and a mask of them; at least `least`."""
    count = len(lines)
    packed, kept = _packed_lines(lines), np.ones(count, np.bool_)
    while len(packed) > limit and count > least:
        count = max(int(count * min(0.95, max(limit, 0) / len(packed))), min(least, len(lines)))
        kept = stratified_sample(labels, count)
        packed = _packed_lines([lines[row] for row in np.flatnonzero(kept)])
    return packed, kept


def stratified_sample(labels: Ints, count: int) -> npt.NDArray[np.bool_]:
    """A mask of `count` rows: first one of every story (while they last), then in proportion to size."""
    order = np.argsort(labels, kind="stable")
    firsts = np.flatnonzero(np.diff(labels[order], prepend=labels.min() - 1))[:count]
    chosen = np.zeros(len(labels), np.bool_)
    chosen[order[firsts]] = True
    others = np.delete(order, firsts)
    chosen[others[np.linspace(0, len(others) - 1, count - len(firsts)).astype(np.int64)]] = True
    return chosen


def _packed_lines(lines: list[str]) -> str:
    return _packed("\n".join(lines).encode())


def _packed(data: bytes) -> str:
    # without a time stamp: the same points make the same bytes
    return base64.b64encode(gzip.compress(data, 9 if len(data) < 1 << 22 else 6, mtime=0)).decode("ascii")
