"""What the page's data hold: the same points as were given, in the page's order, in the bytes there are."""

import base64
import gzip
import json
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

from job.backends.pages.payload import HUES, MIN_TEXTS, Payload, pack, spread_hues, stratified_sample
from job.backends.pages.points import MapStory
from job.runtime.errors import JobError
from pages.map_points import hostile, points

PLENTY = 10_000_000


def unpacked(payload: Payload, name: str) -> bytes:
    return gzip.decompress(base64.b64decode(payload.strings[name]))


def columns(payload: Payload) -> dict[str, Any]:
    """The columns as the page reads them: all high bytes first."""
    n, at, found = payload.about["points"], 0, {}
    data = np.frombuffer(unpacked(payload, "cloud"), np.uint8)
    for name, size in payload.about["columns"]:
        values = np.zeros(n, np.int64)
        for _ in range(size):
            values = values * 256 + data[at : at + n]
            at += n
        found[name] = values
    assert at == len(data)
    return found


def stories(payload: Payload) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(unpacked(payload, "data"))["stories"]
    return found


def titles(payload: Payload) -> list[str]:
    return unpacked(payload, "titles").decode().split("\n")


@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_point_has_its_place_time_source_copies_and_texts(dimensions: int) -> None:
    given = points(dimensions=dimensions)
    payload = pack(given, PLENTY)
    found, about = columns(payload), payload.about
    rows = np.array([int(title.split()[1]) for title in titles(payload)])
    assert sorted(rows) == list(range(240))
    for axis, name in enumerate("xyz"[:dimensions]):
        low, high = given.layout[:, axis].min(), given.layout[:, axis].max()
        there = low + found[name] / (256**3 - 1) * (high - low)
        assert np.abs(there - given.layout[rows, axis]).max() < 1e-5 * (high - low)
    assert given.times is not None and given.sources is not None
    there = about["times"]["start"] + (found["time"] - 1) * about["times"]["unit"]
    assert np.abs(there - given.times[rows]).max() <= 1
    assert (found["source"] - 1 == given.sources[rows]).all()
    assert (found["copies"] == given.copies[rows]).all()
    assert unpacked(payload, "descriptions").decode().split("\n") == [given.descriptions[row] or "" for row in rows]
    assert about["texts"] == 240 and about["descriptions"]


def test_a_story_is_a_range_of_rows_newest_first_and_noise_is_last() -> None:
    given = points()
    payload = pack(given, PLENTY)
    rows = np.array([int(title.split()[1]) for title in titles(payload)])
    times = columns(payload)["time"]
    for number, story in enumerate(stories(payload)):
        mine = slice(story["start"], story["start"] + story["size"])
        assert set(rows[mine]) == set(np.flatnonzero(given.labels == number))
        assert (np.diff(times[mine]) <= 0).all()
    assert set(rows[-payload.about["noise"] :]) == set(np.flatnonzero(given.labels < 0))
    assert sum(payload.about["hues"]) == 240 and payload.about["hues"][-1] == payload.about["noise"]


def test_what_the_caller_knows_of_a_story_is_kept_and_the_rest_comes_from_the_points() -> None:
    known = MapStory(0, "Known", rows=99, sources=3, first_seen=1.0, last_seen=2.0, counts=[1, 2], growth=1.5)
    first, second = stories(pack(points(groups=2, stories=[known, MapStory(1, "Unknown")]), PLENTY))
    assert [first[name] for name in ("rows", "sources", "first", "counts", "growth")] == [99, 3, 1.0, [1, 2], 1.5]
    # row 5, in story 1, has seven copies
    assert (second["rows"], second["sources"]) == (second["size"] + 6, 4)
    assert second["first"] < second["last"] and len(second["counts"]) == 48


def test_counts_over_time_add_up_to_the_headlines() -> None:
    payload = pack(points(), PLENTY)
    assert payload.about["bins"]["count"] == 48
    assert all(sum(story["counts"]) == story["size"] for story in stories(payload))


def test_one_wrong_time_does_not_stretch_the_bins() -> None:
    times = points().times
    assert times is not None
    times[7] = 0.0
    about = pack(points(times=times), PLENTY).about
    assert about["bins"]["width"] * about["bins"]["count"] < 4 * 86_400
    first, last = about["period"]
    assert about["bins"]["start"] <= first == times[times >= about["bins"]["start"]].min()
    assert last == times.max()


@pytest.mark.parametrize(
    "times", [None, np.full(240, np.nan), np.full(240, 5.0), np.where(np.arange(240) == 7, 0.0, 1.7e9)]
)
def test_without_several_times_there_are_no_bins(times: Any) -> None:
    payload = pack(points(times=times), PLENTY)
    assert payload.about["bins"] is payload.about["period"] is None
    assert all("counts" not in story for story in stories(payload))


def test_a_few_times_far_apart_are_all_in_the_bins() -> None:
    about = pack(points(3, groups=0, times=1.7e9 + 86_400.0 * np.array([0, 2, 9])), PLENTY).about
    assert about["period"] == (1.7e9, 1.7e9 + 9 * 86_400)


def test_a_name_on_the_map_is_never_a_cut_one() -> None:
    names = [
        MapStory(0, "A whole title", short_name="A whole …"),
        MapStory(1, "A cut title …", short_name="Short"),
        MapStory(2, "A cut title...", keywords=["a", "b", "c", "d"]),
        MapStory(3, "A cut title …"),
    ]
    found = stories(pack(points(groups=4, stories=names), PLENTY))
    assert [story.get("label") for story in found] == ["A whole title", "Short", "a · b · c", None]


# ---- the limit


def test_first_the_descriptions_are_left_out_then_titles() -> None:
    many = points(20_000, titles=[sha256(bytes([row % 256, row // 256])).hexdigest() for row in range(20_000)])
    everything = pack(many, PLENTY)
    size = everything.size
    without = pack(many, size - 1)
    assert without.about["texts"] == 20_000 and not without.about["descriptions"]
    sample = pack(many, int(size * 0.6))
    assert MIN_TEXTS <= sample.about["texts"] < 20_000
    assert sample.size <= size * 0.6
    assert len(titles(sample)) == sample.about["texts"] == columns(sample)["text"].sum()
    assert sample.about["points"] == 20_000


def test_a_sample_has_a_text_of_every_story() -> None:
    labels = np.concatenate([np.full(2_000, -1, np.int32), np.repeat(np.arange(3, dtype=np.int32), [1_990, 5, 5])])
    chosen = stratified_sample(labels, 40)
    assert chosen.sum() == 40
    assert all(chosen[labels == story].any() for story in range(3))


def test_points_alone_above_the_limit_still_make_a_page() -> None:
    payload = pack(points(5_000), 10)
    assert payload.about["points"] == 5_000 and payload.about["texts"] == MIN_TEXTS


def test_the_same_points_make_the_same_strings() -> None:
    assert pack(hostile(), PLENTY) == pack(hostile(), PLENTY)


def test_hostile_texts_stay_one_line_each() -> None:
    payload = pack(hostile(), PLENTY)
    assert len(titles(payload)) == 240
    assert "(no title)" in titles(payload)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_next_to_nothing_is_a_map(n: int) -> None:
    payload = pack(points(n, groups=0), PLENTY)
    assert payload.about["points"] == n == payload.about["noise"]
    assert len(columns(payload)["x"]) == n


def test_headlines_on_a_line_lie_in_the_middle_of_the_map() -> None:
    layout = np.array([[3, 1], [3, 2], [3, 4]], np.float32)
    found = columns(pack(points(3, groups=0, layout=layout), PLENTY))
    assert set(found["x"]) == {round(0.5 * (256**3 - 1))}
    assert (found["y"].min(), found["y"].max()) == (0, 256**3 - 1)


def test_neighbors_have_different_colors_and_each_of_the_first_has_its_own() -> None:
    rng = np.random.default_rng(3)
    assert list(spread_hues(rng.random((1, 3)))) == [0]
    for count in (HUES, 60, 700):
        places = rng.random((count, 2))
        hues = spread_hues(places)
        assert len(set(hues[:HUES])) == min(count, HUES)
        distances = np.hypot(*(places[:, None] - places[None]).T) + np.eye(count) * 9
        nearest = np.argsort(distances, axis=1)[:, :3]
        assert (hues[nearest] != hues[:, None]).all()
        assert np.bincount(hues).max() <= max(1, 0.2 * count)


def test_the_stories_of_a_theme_have_its_color() -> None:
    found = stories(pack(points(600, groups=30), PLENTY))
    assert [story["hue"] for story in found] == [number % 3 for number in range(30)]
    apart = stories(pack(points(600, groups=30, stories=[MapStory(s, "name") for s in range(30)]), PLENTY))
    assert {story["hue"] for story in apart} == set(range(HUES))


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(JobError, match="240 labels with 3 titles"):
        points(titles=["a", "b", "c"])
    with pytest.raises(JobError, match="labels beyond 3 stories"):
        points(stories=points().stories[:3])
