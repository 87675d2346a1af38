"""The map in a real browser: the search, the list, a story's panel, the time line."""

import numpy as np
import pytest

from job.backends.pages.points import MapStory
from job.topics import TimeBins
from pages.map_browser import (
    NOISE,
    Open,
    box,
    click,
    in_a_browser,
    is_quiet,
    on_screen,
    pixels,
    ranges,
    search,
    slow,
    texts,
)
from pages.map_points import points

pytestmark = in_a_browser


@slow
def test_search_finds_titles_descriptions_and_names_of_stories(opened: Open) -> None:
    others = {
        33: "Über café",
        34: "ドル高が進む",
        35: "トルコで地震",
        36: "दिल्ली में",
        37: "Straße",
        38: "산불 확산",
        39: "كِتَاب",
        41: "O’Brien in Łódź",
        42: "Ørsted",
        43: "mid‑May",
    }
    page = opened(points(titles=[others.get(row, f"Headline {row} about") for row in range(240)]))
    # accents do not count, the marks of other scripts make other letters
    for words, found in (
        *[("cafe uber", 1), ("ドル", 1), ("トル", 1), ("दल", 0), ("दिल", 1), ("strasse", 1), ("사", 0), ("산", 1)],
        *[("كتاب", 1), ("o'brien lodz", 1), ("orsted", 1), ("mid-may", 1)],
    ):
        search(page, words)
        assert texts(page, "#found") == ["1 headline in 1 story" if found else "Nothing found"], words
    search(page, "description 101")
    assert texts(page, "#found") == ["1 headline in 1 story"]
    search(page, "key3 name")
    assert texts(page, "#found")[0].endswith("in 1 story")
    assert page.evaluate("document.querySelectorAll('#list .story').length") == 1
    assert page.evaluate("document.getElementById('plot').classList.contains('faded')")
    drawn = page.evaluate(
        "(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v))"
        "(document.getElementById('highlight'))"
    )
    assert drawn
    search(page, "nothing has this")
    assert texts(page, "#found") == ["Nothing found"]
    page.press("Escape", 27)
    page.settle(0.3)
    assert page.evaluate("document.querySelectorAll('#list .story').length") == 12
    assert not page.evaluate("document.getElementById('plot').classList.contains('faded')")


@slow
def test_the_list_is_sorted_and_leads_to_a_story_and_back_by_the_keyboard(opened: Open) -> None:
    page = opened(points())
    sizes = [int(text.split("\n")[-1].split()[0]) for text in texts(page, "#list .story .about")]
    assert sizes == sorted(sizes, reverse=True)
    assert len(texts(page, "#list .sparkline")) == 12
    click(page, "[data-sort=newest]")
    newest = page.evaluate("document.querySelector('#list .story').dataset.story")
    before = ranges(page)
    page.evaluate("document.querySelector('#list .story').focus()")
    page.press("ArrowDown", 40)
    page.press("ArrowUp", 38)
    page.press("Enter", 13, "\r")
    page.settle(0.6)
    assert ranges(page) != before
    assert texts(page, "#panel h2") == [f"The name of story {newest}"]
    assert texts(page, "#panel h3")[0].endswith("headlines")
    rows = texts(page, "#panel .row")
    assert len(rows) == int(texts(page, "#panel h3")[0].split()[0])
    assert "Apr 2024" in rows[0]
    assert f"The name of story {newest}" in texts(page, ".name.chosen:not(.off)")
    # the story's times stand over their dates
    line, dates = box(page, "#panel .line"), box(page, "#panel .ends")
    assert dates[0] <= line[0] < dates[0] + 8 and dates[2] - 8 < line[2] <= dates[2]
    page.press("Escape", 27)
    page.settle(0.3)
    assert texts(page, "#panel h2") == []
    assert page.evaluate("document.activeElement.dataset.story") == newest


@slow
def test_the_brush_leaves_only_headlines_of_its_range(opened: Open) -> None:
    page = opened(points())
    left, top, right, bottom = box(page, ".track")
    y = (top + bottom) / 2
    found = "parseInt(document.getElementById('found').textContent)"
    # beside the handle of its start
    page.drag((left + 8, y), (left + (right - left) / 3, y))
    page.wait(f"{found} >= 70 && {found} <= 90")
    assert texts(page, "#brush button") == ["All times"]
    click(page, "#list .story")
    assert " of " in texts(page, "#panel h3")[0]
    click(page, "#brush button")
    page.wait("document.getElementById('found').textContent === ''")
    page.evaluate("document.querySelector('.handle.last').focus()")
    page.press("PageDown", 34)
    page.wait(f"{found} < 240")
    assert is_quiet(page)


def test_each_end_of_the_time_line_is_dragged_from_the_start_and_a_click_on_it_keeps_the_range(opened: Open) -> None:
    page = opened(points())
    left, top, right, bottom = box(page, ".track")
    y, third = (top + bottom) / 2, (right - left) / 3
    window = "(s => [s.left, s.width].map(parseFloat))(document.querySelector('.window').style)"
    page.drag((left + 1, y), (left + third, y))
    page.settle(0.3)
    assert page.evaluate(window) == pytest.approx([100 / 3, 200 / 3], abs=2.2)
    click(page, ".handle.first")
    assert page.evaluate(window) == pytest.approx([100 / 3, 200 / 3], abs=2.2)
    page.drag((right - 1, y), (right - third, y))
    page.settle(0.3)
    assert page.evaluate(window) == pytest.approx([100 / 3, 100 / 3], abs=4.2)
    page.click((left + right) / 2, y)
    page.settle(0.3)
    assert texts(page, "#brush button") == []


@slow
def test_what_a_time_range_or_the_switch_leaves_is_in_the_list(opened: Open) -> None:
    # one story that ends before the noise begins
    shown = points(
        40, groups=1, times=1.714e9 + np.arange(40) * 3_600.0, labels=np.array([0] * 36 + [-1] * 4, np.int32)
    )
    page = opened(shown)
    assert texts(page, "#list .row") == []
    left, top, right, bottom = box(page, ".track")
    page.drag((right - 1, (top + bottom) / 2), (left + (right - left) * 0.5, (top + bottom) / 2))
    page.settle(0.3)
    (text,) = texts(page, "#list .story .meta")
    assert text.split("\n")[0].endswith(" of 36 headlines")
    assert texts(page, "#list .sparkline") == []
    click(page, "#brush button")
    page.drag((left + 1, (top + bottom) / 2), (right - (right - left) * 0.08, (top + bottom) / 2))
    page.settle(0.3)
    assert texts(page, "#list .heading") == ["In no story"]
    assert len(texts(page, "#list .row")) == int(texts(page, "#found")[0].split()[0]) > 0
    click(page, "#noise")
    assert texts(page, "#list .row") == [] and texts(page, "#list .none") == ["No headline is left"]
    click(page, "#noise")
    assert len(texts(page, "#list .row")) > 0


def test_the_list_is_one_stop_of_the_tab_key_and_names_a_story_as_the_map_does(opened: Open) -> None:
    stories = [
        MapStory(s, f"The whole long name of story {s}", short_name=f"Story {s}", growth=2.0 - s / 10, growing=s == 5)
        for s in range(12)
    ]
    page = opened(points(stories=stories))
    assert all(name.startswith("Story ") for name in texts(page, ".of-story:not(.off)"))
    assert all(name.startswith("Story ") for name in texts(page, ".story-name"))
    assert texts(page, "#list .note") == []
    click(page, "[data-sort=growing]")
    assert texts(page, ".story-name")[:3] == ["Story 5", "Story 0", "Story 1"]
    assert texts(page, "#list .growth") == ["growing"]
    assert "late rows" in texts(page, "#list .note")[0]
    page.press("Tab", 9)
    for key, wanted in (("End", "Story 11"), ("ArrowUp", "Story 10"), ("Home", "Story 5"), ("ArrowDown", "Story 0")):
        if key == "End":
            assert page.evaluate("document.activeElement.innerText").startswith("Story 5")
        page.press(key)
        assert page.evaluate("document.activeElement.innerText").startswith(wanted)
    page.press("Tab", 9)
    assert page.evaluate("document.activeElement.id") == "map"
    click(page, "#list .story")
    assert texts(page, "#panel h2") == ["The whole long name of story 5"]
    assert texts(page, "#panel .short") == ["On the map: Story 5"]


@slow
def test_a_part_in_quotes_is_searched_as_it_stands_and_the_map_goes_to_what_is_found(opened: Open) -> None:
    shown = points(titles=[f"He said “row {row} is {row % 7}” today" for row in range(240)], descriptions=[None] * 240)
    page = opened(shown)
    for words, count in (('"row 3 is"', 1), ("“row 3 is”", 1), ("«row 3 is 3» said", 1), ('"is row"', 0)):
        search(page, words)
        assert texts(page, "#found") == ["1 headline in 1 story" if count else "Nothing found"], words
    # a quote that is not closed yet
    search(page, 'said "row 3')
    assert int(texts(page, "#found")[0].split()[0]) > 20
    search(page, '"row 101 is"')
    home = ranges(page)
    x, y = on_screen(page, shown.layout)[101]
    outer = box(page, "#map")
    assert outer[0] < x < outer[2] and outer[1] < y < outer[3]
    # far away from it
    page.evaluate("document.getElementById('map').focus()")
    for _ in range(8):
        page.press("ArrowRight", 39)
    page.settle(0.4)
    assert ranges(page)[0] > home[1]
    search(page, '"row 102 is"')
    page.settle(0.4)
    x, y = on_screen(page, shown.layout)[102]
    assert outer[0] < x < outer[2] and outer[1] < y < outer[3]


@slow
def test_the_switch_hides_the_noise_and_the_search_says_so(opened: Open) -> None:
    page = opened(points(groups=0, themes=[]))
    before = pixels(page, NOISE)
    click(page, "#noise")
    page.settle(0.5)
    assert pixels(page, NOISE) < before - 400
    search(page, "description 101")
    assert texts(page, "#found") == ["Nothing found; 1 in no story is switched off"]
    click(page, "#noise")
    page.settle(0.3)
    assert texts(page, "#found") == ["1 headline"]


def test_a_headline_of_a_list_is_marked_on_the_map(opened: Open) -> None:
    page = opened(points())
    search(page, "description 101")
    click(page, "#list .story")
    page.settle(0.6)
    assert texts(page, "#tooltip") == []
    click(page, "#panel .row")
    page.settle(0.6)
    (text,) = texts(page, "#tooltip")
    assert text.startswith("Headline 101 about subject 5\n\ndescription 101")
    left, top, right, bottom = box(page, "#map")
    ring = box(page, "#ring")
    assert abs((ring[0] + ring[2]) - (left + right)) < 4
    assert abs((ring[1] + ring[3]) - (top + bottom)) < 4


def test_days_have_no_clock(opened: Open) -> None:
    days = 1_714_003_200 + np.arange(240) % 10 * 86_400.0
    page = opened(points(times=days, bins=TimeBins(float(days[0]), 86_400.0, 10)))
    assert texts(page, "#brush p") == ["25 Apr 2024 – 4 May 2024"]
    click(page, "#list .story")
    assert texts(page, "#panel .row time")[0] in {f"{day} May 2024" for day in range(1, 5)}
    one_day = opened(points(times=np.full(240, days[0]), bins=TimeBins(float(days[0]), 86_400.0, 1)))
    assert texts(one_day, "#brush") == []


@slow
def test_the_text_of_a_marked_headline_goes_with_the_headline(opened: Open) -> None:
    page = opened(points())

    def mark() -> None:
        search(page, "description 101")
        click(page, "#list .story")
        click(page, "#panel .row")
        assert len(texts(page, "#tooltip")) == 1

    mark()
    click(page, "#panel .back")
    assert texts(page, "#tooltip") == []
    # where the search leaves it out, and where its story is left for another one
    page.press("/", 191, "/")
    mark()
    page.evaluate(
        "(q => { q.value = 'description 103'; q.dispatchEvent(new Event('input')); })(document.getElementById('query'))"
    )
    page.settle(0.3)
    assert texts(page, "#tooltip") == []


def test_a_chosen_story_is_seen_in_the_time_line_and_its_name_before_those_of_others(opened: Open) -> None:
    shown = points(titles=[f"Headline {row} about subject {row % 12}" for row in range(240)])
    assert shown.times is not None
    page = opened(shown)
    bars = "[...document.querySelectorAll('.track rect.left')]"
    heights = f"{bars}.filter(n => getComputedStyle(n).display !== 'none').map(n => Number(n.getAttribute('height')))"
    assert page.evaluate(heights) == []
    click(page, "[data-story='4']")
    times = shown.times[shown.labels == 4]
    assert np.count_nonzero(page.evaluate(heights)) == len(np.unique((times - shown.times.min()) // (3 * 86_400 / 48)))
    assert max(page.evaluate(heights)) == 44
    # another story's name is weaker than that of the chosen one
    weak = "[...document.querySelectorAll('.name:not(.off)')].map(n => [n.className, getComputedStyle(n).opacity])"
    assert {(opacity, "chosen" in kind) for kind, opacity in page.evaluate(weak)} <= {("1", True), ("0.4", False)}
    page.press("Escape", 27)
    page.settle(0.3)
    assert page.evaluate(heights) == []
