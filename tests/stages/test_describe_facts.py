"""The figures of clusters: rows, headlines, sources, times, growth, and what they add up to."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from job.rows import Rows
from job.stages.describe_facts import MAX_BINS, cluster_facts, growth, time_bins
from job.topics import TOPICS, TimeBins, save

DAY = 86_400.0
START = 20_000 * DAY


def rows_of(headlines: list[int], times: list[float] | None = None, sources: list[int] | None = None) -> Rows:
    n = len(headlines)
    names = [f"paper {i}" for i in range(max(sources, default=-1) + 1)] if sources else []
    return Rows(
        np.array(headlines, np.int64),
        np.array(times if times else [np.nan] * n),
        np.array(sources if sources else [-1] * n, np.int32),
        names,
    )


def test_copies_count_as_rows_and_sizes_add_up_with_the_noise() -> None:
    assigned = np.array([0, 0, 1, -1], np.int32)
    facts = cluster_facts(assigned, 2, rows_of([0, 0, 0, 1, 2, 3, 3, -1]))
    assert facts.columns["rows"] == [4, 1]
    assert facts.columns["size"] == [2, 1]
    totals = facts.totals
    assert (totals.rows, totals.headlines, totals.noise_rows, totals.noise_headlines) == (8, 4, 2, 1)
    assert totals.hidden_rows == 1
    assert sum(facts.columns["rows"]) + totals.noise_rows + totals.hidden_rows == totals.rows
    assert totals.noise_share == 0.25


def test_a_source_counts_once_however_many_headlines_it_has() -> None:
    assigned = np.array([0, 0, 0, 1], np.int32)
    facts = cluster_facts(assigned, 2, rows_of([0, 0, 1, 2, 3], sources=[0, 1, 0, -1, 1]))
    assert facts.columns["sources"] == [2, 1]
    assert cluster_facts(assigned, 2, rows_of([0, 1, 2, 3])).columns["sources"] == [None, None]


def test_first_and_last_are_over_all_copies_and_unknown_times_are_left_out() -> None:
    times = [START + 5, START + 1, np.nan, START + 9, np.nan]
    facts = cluster_facts(np.array([0, 0, 1], np.int32), 2, rows_of([0, 0, 0, 1, 2], times))
    assert facts.columns["first_seen"] == [START + 1, None]
    assert facts.columns["last_seen"] == [START + 9, None]
    assert [sum(counts) for counts in facts.columns["counts"]] == [3, 0]


def test_where_copies_are_known_of_todays_headlines_only_they_are_no_growth() -> None:
    """Two stories with two headlines on each of four days; of one, today's headlines were read five times."""
    assigned, times = np.repeat(np.arange(2, dtype=np.int32), 8), START + DAY * (np.arange(16) // 2 % 4)
    read = [*range(16), *([6, 7] * 4)]
    rows = rows_of(read, times[read].tolist())
    facts = cluster_facts(assigned, 2, rows, times)
    assert facts.columns["rows"] == [16, 8]
    assert facts.columns["counts"] == [[2, 2, 2, 10], [2, 2, 2, 2]]
    assert facts.columns["growth"] == [1.0, 1.0]
    assert cluster_facts(assigned, 2, rows).columns["growth"] != [1.0, 1.0]


def test_dates_without_a_time_of_day_have_bins_of_days() -> None:
    for days in (1, 2, 3, 7, 40):
        bins = time_bins(START // DAY * DAY + DAY * np.repeat(np.arange(days), 5))
        assert bins is not None
        assert (bins.width, bins.count) == (DAY, days)


def test_without_times_there_are_no_bins_counts_or_growth() -> None:
    facts = cluster_facts(np.array([0, 0], np.int32), 1, rows_of([0, 1]))
    assert facts.bins is None
    assert facts.columns["counts"] == facts.columns["growth"] == facts.columns["first_seen"] == [None]


@pytest.mark.parametrize("span", [0.0, 30.0, 3_600.0, DAY, 9 * DAY, 60 * DAY, 400 * DAY, 9_000 * DAY, 400_000 * DAY])
def test_bins_cover_all_times_in_round_widths(span: float) -> None:
    times = START + 1_000 + np.linspace(0, span, 500)
    bins = time_bins(times)
    assert bins is not None
    assert 1 <= bins.count <= MAX_BINS
    assert bins.start <= times.min()
    assert times.max() < bins.start + bins.count * bins.width
    assert (bins.start / bins.width).is_integer()
    assert (bins.places(times) >= 0).all()


def test_a_wrong_time_far_from_all_others_does_not_stretch_the_bins() -> None:
    times = np.concatenate([START + np.linspace(0, DAY, 300), [86_400.0]])
    bins = time_bins(times)
    assert bins is not None
    assert bins.count * bins.width < 2 * DAY
    outside = int((bins.places(times) < 0).sum())
    assert outside >= 1
    facts = cluster_facts(np.zeros(301, np.int32), 1, rows_of(list(range(301)), times.tolist()))
    assert sum(facts.columns["counts"][0]) + outside == 301
    assert facts.columns["first_seen"] == [86_400.0]


def test_a_wrong_date_does_not_stretch_the_bins_where_all_others_are_of_one_date() -> None:
    bins = time_bins(np.array([0.0] + 300 * [START]))
    assert bins is not None
    assert (bins.start, bins.width, bins.count) == (START, DAY, 1)
    moments = time_bins(np.array([0.0] + 300 * [START + 30_000]))
    assert moments is not None
    assert (moments.start, moments.count) == (START + 30_000, 1)
    # three days are near
    near = time_bins(np.array([START - 3 * DAY] + 300 * [START]))
    assert near is not None
    assert near.count == 4


def test_growth_is_measured_against_all_rows_and_needs_evidence() -> None:
    # 243 rows; the last two bins hold 103 of them, the last one 53
    counts = np.array([[10] * 8, [0] * 6 + [40, 40], [40, 40] + [0] * 6, [0] * 7 + [3]])
    even, late, early, small = growth(counts)
    share = 103 / 243
    assert even == pytest.approx((20 + 2) / (80 * share + 2), abs=1e-3)
    assert late == pytest.approx((80 + 2) / (80 * share + 2), abs=1e-3)
    assert early == pytest.approx(2 / (80 * share + 2), abs=1e-3)
    assert small is not None and late is not None
    assert 1 < small < late
    assert growth(np.array([[5]])) == [None]


def test_a_story_that_follows_all_others_is_even_however_they_run() -> None:
    busy = np.array([1, 2, 4, 8, 200, 30, 0, 0])
    assert growth(np.array([busy, 3 * busy])) == [1.0, 1.0]


def test_the_bins_of_older_runs_are_read(tmp_path: Path) -> None:
    older = SimpleNamespace(start=START, width=DAY, count=3, outside=1)
    save([], TOPICS, tmp_path / "topics.parquet", {"time_bins": older})
    assert TimeBins.load(tmp_path / "topics.parquet") == TimeBins(START, DAY, 3)
