"""What is remembered of stories from one run to the next, so that their ids stay.

A story's id is that of its earliest headline when it is born. It is never given to another story. A story that is not
seen for seven days, by publication times, is retired; without times, for seven runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from job.backends.stories.identity import Matched, match_stories
from job.data import Ids, Ints
from job.runtime.files import atomic, digest

RETIRE_DAYS = RETIRE_RUNS = 7
# the clock is not the latest time: one date that is too late would retire everything
CLOCK_QUANTILE = 0.99
ALIVE, MERGED, ENDED, RETIRED = "alive", "merged", "ended", "retired"

_SCHEMA = pa.schema(
    [
        ("story_id", pa.int64()),
        ("parent", pa.int64()),
        ("into", pa.int64()),
        ("state", pa.string()),
        ("title", pa.string()),
        ("born_run", pa.int32()),
        ("seen_run", pa.int32()),
        ("seen", pa.float64()),
        ("headlines", pa.list_(pa.int64())),
    ]
)


@dataclass
class Story:
    """One story. `parent`: that it split from; `into`: that it merged into. `title`: of the headline that its id is
    from. `seen`: the clock of the run that saw it last, seconds, None = without times. `headlines`: the ids that it had
    there; empty unless it is alive."""

    story_id: int
    parent: int | None
    title: str
    born_run: int
    seen_run: int
    seen: float | None
    headlines: list[int]
    into: int | None = None
    state: str = ALIVE


@dataclass
class StoryState:
    """All stories there ever were, in the order of their births, after `run` runs; `data`: digest of the last run's
    headlines. `found_in`: of a copy, the run folder that it is from, as the configuration names it."""

    run: int = 0
    data: str = ""
    stories: list[Story] = field(default_factory=list)
    found_in: str = ""

    @property
    def digest(self) -> str:
        """A digest of all but where it was found."""
        stories = [{**vars(story), "headlines": len(story.headlines)} for story in self.stories]
        headlines = [np.array(story.headlines, np.int64) for story in self.stories]
        return digest(self.run, self.data, stories, *headlines)

    def save(self, path: Path) -> None:
        about = {b"run": str(self.run).encode(), b"data": self.data.encode(), b"found_in": self.found_in.encode()}
        table = pa.Table.from_pylist([vars(story) for story in self.stories], _SCHEMA.with_metadata(about))
        with atomic(path) as temporary:
            pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)

    @classmethod
    def load(cls, path: Path) -> "StoryState | None":
        """The state in a file; None where there is no such file."""
        if not path.exists():
            return None
        table = pq.read_table(path, page_checksum_verification=True)
        about = table.schema.metadata
        stories, found_in = [Story(**row) for row in table.to_pylist()], about.get(b"found_in", b"").decode()
        return cls(int(about[b"run"]), about[b"data"].decode(), stories, found_in)


@dataclass(frozen=True)
class Today:
    """A run's stories. `ids` int64 [n], ascending; `titles`; `times` float64 [n], NaN where unknown; `labels` int32 [n]
    of `count` stories, -1 = none; `data`: a digest of the headlines; `latest`: seconds, later times are wrong."""

    ids: Ids
    titles: Sequence[str]
    times: npt.NDArray[np.float64]
    labels: Ints
    count: int
    data: str
    latest: float = np.inf

    @cached_property
    def clock(self) -> float | None:
        """When it is, by the publication times, seconds; None without times that can be right."""
        known = self.times[np.isfinite(self.times) & (self.times <= self.latest)]
        return float(np.quantile(known, CLOCK_QUANTILE, method="lower")) if len(known) else None


@dataclass(frozen=True)
class Change:
    """What happened to a story: `change` is born, split (`other`: the parent), merged (`other`: into which), ended (its
    headlines went to several others), returned (after runs without it) or retired. `cluster`: its number in this run,
    None = it has none; `headlines`: how many it has there."""

    change: str
    story_id: int
    other: int | None
    cluster: int | None
    headlines: int
    title: str


@dataclass(frozen=True)
class StoryIds:
    """Of each story of a run its `story_id` int64 [c], and the `parent` int64 [c] that it split from, -1 = none."""

    story_id: Ids
    parent: Ids

    def columns(self, labels: Ints) -> dict[str, pa.Array]:
        """`story_id` and `parent` for each of these stories, -1 = none.

        Not null: readers such as pandas make a column of integers with nulls one of floats, which hold 53 bits.
        """
        return {
            "story_id": pa.array(np.append(self.story_id, -1)[labels]),
            "parent": pa.array(np.append(self.parent, -1)[labels]),
        }

    def save(self, path: Path) -> None:
        numbers = np.arange(len(self.story_id), dtype=np.int32)
        with atomic(path) as temporary:
            pq.write_table(pa.table({"cluster": numbers, **self.columns(numbers)}), temporary)

    @classmethod
    def load(cls, path: Path) -> "StoryIds":
        table = pq.read_table(path)
        return cls(table["story_id"].to_numpy(), table["parent"].fill_null(-1).to_numpy())


def next_day(before: StoryState | None, today: Today) -> tuple[StoryState, StoryIds, list[Change]]:
    """Match today's stories with those of `before`, which is not changed; None: every story is born."""
    old = before or StoryState()
    alive = [story for story in old.stories if story.state == ALIVE]
    matched = match_stories(_last_story(alive, today.ids), today.labels, (len(alive), today.count))
    members = earliest(today.ids, today.times, today.labels, today.count)
    state = StoryState(old.run + 1, today.data, [Story(**vars(story)) for story in old.stories])
    alive = [story for story in state.stories if story.state == ALIVE]
    changes: list[Change] = []
    used = {story.story_id for story in state.stories}
    now: list[Story] = []
    for cluster in range(today.count):
        rows, same, parent = members[cluster], int(matched.same[cluster]), int(matched.parent[cluster])
        if same >= 0:
            story = alive[same]
            if story.seen_run < old.run:
                changes.append(Change("returned", story.story_id, None, cluster, len(rows), story.title))
        else:
            story = _born(today, rows, alive[parent].story_id if parent >= 0 else None, used, state.run)
            used.add(story.story_id)
            state.stories.append(story)
            kind = "split" if parent >= 0 else "born"
            changes.append(Change(kind, story.story_id, story.parent, cluster, len(rows), story.title))
        story.seen_run, story.seen, story.headlines = state.run, today.clock, today.ids[rows].tolist()
        now.append(story)
    changes += _deaths(alive, matched, now, state.run, today)
    ids = np.array([story.story_id for story in now], np.int64)
    parents = np.array([-1 if story.parent is None else story.parent for story in now], np.int64)
    return state, StoryIds(ids, parents), changes


def _deaths(alive: list[Story], matched: Matched, now: list[Story], run: int, today: Today) -> list[Change]:
    """End the stories that are no longer there: merged, split up, or unseen for too long."""
    changes = []
    # -1 for the row -1, which is of a headline that is not there
    labels = np.append(today.labels, -1)
    for number, story in enumerate(alive):
        if story.seen_run == run:
            continue
        into = int(matched.into[number])
        if into >= 0:
            story.state, story.into = MERGED, now[into].story_id
        elif matched.seen[number]:
            story.state = ENDED
        elif _unseen_too_long(story, run, today.clock):
            story.state = RETIRED
        else:
            # a headline is in one story only
            headlines = np.array(story.headlines, np.int64)
            story.headlines = headlines[labels[_rows_of(today.ids, headlines)] < 0].tolist()
            continue
        story.headlines = []
        changes.append(Change(story.state, story.story_id, story.into, None, 0, story.title))
    return changes


def _unseen_too_long(story: Story, run: int, clock: float | None) -> bool:
    if clock is not None and story.seen is not None:
        return clock - story.seen >= RETIRE_DAYS * 86_400
    return run - story.seen_run >= RETIRE_RUNS


def _rows_of(ids: Ids, wanted: Ids) -> npt.NDArray[np.int64]:
    """The rows [m] of these ids in `ids` [n], ascending; -1 for one that is not there."""
    if not len(ids):
        return np.full(len(wanted), -1)
    place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[place] == wanted, place, -1)


def _last_story(alive: list[Story], ids: Ids) -> Ints:
    """Of each headline the place of the story that last held it, -1 = none, int32 [n]."""
    result = np.full(len(ids), -1, np.int32)
    for number, story in enumerate(alive):
        rows = _rows_of(ids, np.array(story.headlines, np.int64))
        result[rows[rows >= 0]] = number
    return result


def earliest(ids: Ids, times: npt.NDArray[np.float64], labels: Ints, count: int) -> list[npt.NDArray[np.int64]]:
    """Row numbers of each of `count` stories, the earliest headline first: by time, unknown ones last, then by id."""
    order = np.lexsort((ids, np.where(np.isfinite(times), times, np.inf)))
    order = order[np.argsort(labels[order], kind="stable")]
    starts = np.searchsorted(labels[order], np.arange(count + 1))
    return [order[starts[c] : starts[c + 1]] for c in range(count)]


def _born(today: Today, rows: npt.NDArray[np.int64], parent: int | None, used: set[int], run: int) -> Story:
    """A new story, with the id of its earliest headline that names no other story."""
    row = next((row for row in rows if int(today.ids[row]) not in used), None)
    if row is not None:
        return Story(int(today.ids[row]), parent, today.titles[row], run, run, today.clock, [])
    # each of its headlines has named a story already: the next free number
    story_id = int(today.ids[rows[0]])
    while story_id in used:
        story_id = (story_id + 1) % 2**63
    return Story(story_id, parent, today.titles[rows[0]], run, run, today.clock, [])


def changes_table(changes: list[Change]) -> pa.Table:
    """The changes, one row each; -1 = none, as in `StoryIds.columns`."""
    kinds = {"other": pa.int64(), "cluster": pa.int32()}
    names = ("change", "story_id", "other", "cluster", "headlines", "title")
    columns = {name: pa.array([getattr(one, name) for one in changes], kinds.get(name)) for name in names}
    texts = {name: columns[name].cast(pa.string()) for name in ("change", "title")}
    numbers = {name: columns[name].cast(pa.int64()) for name in ("story_id", "headlines")}
    numbers |= {name: columns[name].fill_null(-1) for name in kinds}
    return pa.table(columns | texts | numbers)


def describe(changes: list[Change]) -> str:
    """How many of each kind, for the log."""
    kinds = [one.change for one in changes]
    counted = {kind: kinds.count(kind) for kind in ("born", "split", "merged", "ended", "returned", "retired")}
    return ", ".join(f"{count:,} {kind}" for kind, count in counted.items() if count) or "nothing changed"
