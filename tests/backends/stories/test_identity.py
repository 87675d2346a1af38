"""Which story of yesterday a story of today is, and what is remembered from day to day."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from job.backends.stories import story_state
from job.backends.stories.identity import match_stories
from job.backends.stories.story_state import Change, StoryIds, StoryState, Today, changes_table, next_day

DAY = 86_400.0


def matched(pairs: dict[tuple[int, int], int]) -> tuple[list[int], list[int], list[int]]:
    """Match stories that share so many headlines, by numbers of yesterday and today."""
    x = np.repeat([pair[0] for pair in pairs], list(pairs.values())).astype(np.int32)
    y = np.repeat([pair[1] for pair in pairs], list(pairs.values())).astype(np.int32)
    found = match_stories(x, y, (x.max() + 1, y.max() + 1))
    return found.same.tolist(), found.parent.tolist(), found.into.tolist()


def test_a_story_keeps_its_id_where_at_least_half_of_the_union_is_shared() -> None:
    assert matched({(0, 0): 10, (0, 1): 5, (1, 1): 10}) == ([0, 1], [-1, -1], [-1, -1])
    # 5 / (5 + 5 + 0): exactly half
    assert matched({(0, 0): 5, (1, 0): 5, (1, 1): 20})[0][0] == 0


def test_a_story_in_two_halves_has_two_children_with_ids_of_their_own() -> None:
    assert matched({(0, 0): 45, (0, 1): 40, (0, 2): 15}) == ([-1, -1, -1], [0, 0, -1], [-1])
    assert matched({(0, 0): 60, (0, 1): 40}) == ([0, -1], [-1, 0], [-1])


def test_of_several_stories_in_one_the_largest_keeps_its_id_and_the_others_merged_into_it() -> None:
    assert matched({(0, 0): 30, (1, 0): 40, (2, 0): 35}) == ([1], [-1], [0, -1, 0])
    assert matched({(0, 0): 60, (1, 0): 20}) == ([0], [-1], [-1, 0])


def test_noise_does_not_count_and_a_story_without_shared_headlines_is_nothings() -> None:
    yesterday, today = np.array([0, 0, 0, -1, -1], np.int32), np.array([0, 0, -1, 0, 1], np.int32)
    found = match_stories(yesterday, today, (2, 2))
    assert found.same.tolist() == [0, -1]
    assert found.seen.tolist() == [True, False]
    nothing = match_stories(np.zeros(0, np.int32), np.zeros(0, np.int32), (0, 0))
    assert (len(nothing.same), len(nothing.into)) == (0, 0)


@pytest.mark.parametrize(
    ("in_y", "noise", "others", "same", "parent", "seen"),
    [
        (4, 6, 0, 0, -1, False),
        (3, 7, 0, 0, -1, False),
        (2, 8, 0, -1, -1, False),
        (4, 6, 30, -1, 0, False),
        (4, 2, 30, -1, 0, True),
        (2, 2, 30, -1, -1, True),
    ],
)
def test_a_storys_noise_counts_among_its_headlines(
    in_y: int, noise: int, others: int, same: int, parent: int, seen: bool
) -> None:
    """Story 0 has `in_y` headlines in today's story 0, beside `others` of story 1, and the rest in small stories."""
    rest = 10 - in_y - noise
    yesterday = np.array([0] * 10 + [1] * (others + 90), np.int32)
    today = np.array([0] * in_y + [-1] * noise + [2] * rest + [0] * others + [1] * 90, np.int32)
    found = match_stories(yesterday, today, (2, 3))
    assert (found.same[0], found.parent[0], found.seen[0], found.into[0]) == (same, parent, seen, -1)


@pytest.mark.parametrize("seed", range(5))
def test_every_id_is_kept_at_most_once_and_no_story_is_two_things(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(-1, 12, 300).astype(np.int32), rng.integers(-1, 9, 300).astype(np.int32)
    y = np.where(rng.random(300) < 0.7, np.where(x >= 0, x % 9, -1), y).astype(np.int32)
    found = match_stories(x, y, (12, 9))
    kept = found.same[found.same >= 0].tolist()
    assert len(kept) == len(set(kept))
    assert not ((found.same >= 0) & (found.parent >= 0)).any()
    assert all(found.into[old] < 0 for old in kept)
    assert all(found.same[into] >= 0 for into in found.into if into >= 0)


def day(stories: dict[int, list[int]], at: float | None = None, noise: tuple[int, ...] = ()) -> Today:
    """Headlines by their numbers; a headline's time is its number in seconds after `at` days."""
    labels = {row: label for label, rows in stories.items() for row in rows} | dict.fromkeys(noise, -1)
    ids = np.array(sorted(labels), np.int64)
    times = np.full(len(ids), np.nan) if at is None else at * DAY + ids
    of_each = np.array([labels[row] for row in sorted(labels)], np.int32)
    return Today(ids, [f"title {row}" for row in ids], times, of_each, len(stories), str(at))


def kinds(changes: list[Change]) -> list[tuple[str, int, int | None]]:
    return [(one.change, one.story_id, one.other) for one in changes]


def test_an_id_is_that_of_the_earliest_headline_and_is_never_given_again() -> None:
    first, ids, changes = next_day(None, day({0: [5, 3, 9], 1: [1, 2]}, 0))
    assert ids.story_id.tolist() == [3, 1]
    assert kinds(changes) == [("born", 3, None), ("born", 1, None)]
    # the rest goes on without 3; the part with 3 is new, and 3 is taken
    _, ids, changes = next_day(first, day({0: [5, 9, 11], 1: [3, 20, 21], 2: [1, 2]}, 1))
    assert ids.story_id.tolist() == [3, 20, 1]
    assert ids.parent.tolist() == [-1, 3, -1]
    assert kinds(changes) == [("split", 20, 3)]


def test_a_story_that_is_not_seen_for_seven_days_is_retired_and_one_that_comes_back_before_is_itself() -> None:
    state, _, _ = next_day(None, day({0: [1, 2, 3], 1: [4, 5, 6]}, 0))
    for at in (1, 3, 6):
        state, ids, changes = next_day(state, day({0: [1, 2, 3]}, at))
        assert (ids.story_id.tolist(), changes) == ([1], [])
    _, ids, changes = next_day(state, day({0: [1, 2, 3], 1: [4, 5, 6]}, 6.5))
    assert ids.story_id.tolist() == [1, 4]
    assert kinds(changes) == [("returned", 4, None)]
    state, _, changes = next_day(state, day({0: [1, 2, 3]}, 7.1))
    assert kinds(changes) == [("retired", 4, None)]
    _, ids, changes = next_day(state, day({0: [1, 2, 3], 1: [4, 5, 6]}, 7.2))
    assert ids.story_id.tolist() == [1, 5]
    assert kinds(changes) == [("born", 5, None)]


def test_without_times_seven_runs_count() -> None:
    state, _, _ = next_day(None, day({0: [1, 2, 3], 1: [4, 5, 6]}))
    for _ in range(6):
        state, _, changes = next_day(state, day({0: [1, 2, 3]}))
        assert changes == []
    _, _, changes = next_day(state, day({0: [1, 2, 3]}))
    assert kinds(changes) == [("retired", 4, None)]


A, B = list(range(10)), list(range(10, 20))


@pytest.mark.parametrize("lost", [[], [9]], ids=["all noise", "one of them in another story"])
def test_a_story_whose_headlines_are_noise_for_a_day_is_itself_the_day_after(lost: list[int]) -> None:
    state, ids, _ = next_day(None, day({0: A, 1: B}, 0))
    assert ids.story_id.tolist() == [0, 10]
    state, ids, changes = next_day(state, day({0: B + lost}, 1, noise=tuple(row for row in A if row not in lost)))
    assert (ids.story_id.tolist(), changes) == ([10], [])
    _, ids, changes = next_day(state, day({0: A, 1: B}, 2))
    assert ids.story_id.tolist() == [0, 10]
    assert kinds(changes) == [("returned", 0, None)]


def test_one_headline_does_not_make_a_story_of_others_the_one_of_yesterday() -> None:
    state, _, _ = next_day(None, day({0: A}, 0))
    state, ids, changes = next_day(state, day({0: [9, *range(50, 100)]}, 1, noise=tuple(A[:9])))
    assert ids.story_id.tolist() == [9]
    assert kinds(changes) == [("born", 9, None)]
    assert [story.state for story in state.stories] == ["alive", "alive"]


def test_merged_and_ended_stories_are_told_once() -> None:
    state, _, _ = next_day(None, day({0: list(range(10)), 1: list(range(10, 16)), 2: list(range(20, 30))}, 0))
    later = day({0: list(range(16)), 1: [20, 21, 22, 23, 24], 2: [25, 26, 27, 28, 29]}, 1)
    state, ids, changes = next_day(state, later)
    assert ids.story_id.tolist() == [0, 20, 25]
    told = [("merged", 10, 0), ("split", 25, 20)]
    assert sorted(kinds(changes)) == told
    assert [story.state for story in state.stories] == ["alive", "merged", "alive", "alive"]
    assert next_day(state, later)[2] == []


def test_one_wrong_date_in_the_future_retires_nothing() -> None:
    state, _, _ = next_day(None, day({0: list(range(200)), 1: [300, 301, 302]}, 0))
    today = day({0: list(range(200))}, 1)
    today.times[7] = 1e12
    assert next_day(state, today)[2] == []


def test_many_times_that_are_too_late_retire_nothing() -> None:
    at = 10_000.0
    state, _, _ = next_day(None, day({0: list(range(200)), 1: [300, 301, 302]}, at))
    today = day({0: list(range(200))}, at + 1)
    today.times[:20] = (at + 30_000) * DAY
    assert kinds(next_day(state, today)[2]) == [("retired", 300, None)]
    today = replace(today, latest=(at + 2) * DAY)
    assert next_day(state, today)[2] == []
    # a day is over all the same
    assert today.clock == pytest.approx((at + 1) * DAY, abs=200)
    assert replace(today, latest=0).clock is None


def test_state_and_ids_are_the_same_after_saving(tmp_path: Path) -> None:
    state, ids, changes = next_day(None, day({0: [5, 3, 9], 1: [1, 2]}, 0, noise=(7, 8)))
    state, ids, changes = next_day(state, day({0: [5, 9, 11], 1: [3, 20, 21], 2: [1, 2]}, 1))
    state.save(tmp_path / "state.parquet")
    assert StoryState.load(tmp_path / "state.parquet") == state
    assert StoryState.load(tmp_path / "nothing.parquet") is None
    ids.save(tmp_path / "ids.parquet")
    again = StoryIds.load(tmp_path / "ids.parquet")
    assert (again.story_id.tolist(), again.parent.tolist()) == (ids.story_id.tolist(), ids.parent.tolist())
    assert ids.columns(np.array([1, -1], np.int32))["parent"].to_pylist() == [3, -1]
    assert changes_table(changes).num_rows == 1
    assert changes_table([]).schema == changes_table(changes).schema
    assert story_state.describe([]) == "nothing changed"


def test_the_state_before_is_not_changed() -> None:
    state, _, _ = next_day(None, day({0: [1, 2, 3], 1: [4, 5, 6]}, 0))
    before = StoryState(state.run, state.data, [story_state.Story(**vars(story)) for story in state.stories])
    next_day(state, day({0: [1, 2, 3, 4, 5, 6]}, 1))
    assert state == before
