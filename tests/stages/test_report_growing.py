"""Which stories are called growing."""

from typing import Any

import numpy as np

from job.stages.describe_facts import growth
from job.stages.report_growing import growing_topics
from job.topics import Topic


def topics_of(counts: list[list[int]]) -> list[Topic]:
    none: dict[str, Any] = dict.fromkeys(("sources", "first_seen", "last_seen", "theme", "topic"))
    return [
        Topic(number, sum(bins), sum(bins), "", "", [], [], counts=bins, growth=value, **none)
        for number, (bins, value) in enumerate(zip(counts, growth(np.array(counts)), strict=True))
    ]


def growing(counts: list[list[int]]) -> list[int]:
    return [topic.cluster for topic in growing_topics(topics_of(counts))]


def test_a_story_that_ended_long_ago_is_not_growing_however_few_rows_came_later() -> None:
    busy = [100, 100, 100, 60] + 16 * [2]
    ended = [0, 0, 0, 20] + 16 * [0]
    goes_on = [0, 0, 0, 8] + 15 * [0] + [12]
    few = 19 * [0] + [4]
    topics = topics_of([busy, ended, goes_on, few])
    assert (topics[1].growth or 0) > 2 and (topics[3].growth or 0) > 1.25
    assert growing([busy, ended, goes_on, few]) == [2]


def test_the_fastest_is_first_and_one_stray_row_at_the_end_does_not_decide() -> None:
    busy = 10 * [200] + 10 * [0]
    fast = 9 * [0] + [30] + 10 * [0]
    slower = 9 * [2] + [30] + 10 * [0]
    assert growing([busy, slower, fast]) == [2, 1]
    assert growing([[*busy[:-1], 1], slower, fast]) == [2, 1]


def test_without_times_or_topics_none_is_growing() -> None:
    none: dict[str, Any] = dict.fromkeys(("sources", "first_seen", "last_seen", "theme", "topic", "counts", "growth"))
    assert growing_topics([Topic(0, 9, 9, "", "", [], [], **none)]) == growing_topics([]) == []
