"""The map in a real browser: the search, the list, a story's panel, the time line."""

import numpy as np
from map_browser import NOISE, Open, box, click, in_a_browser, is_quiet, pixels, ranges, search, slow, texts
from map_points import points

from job.topics import TimeBins

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
    page.drag((left + 2, y), (left + (right - left) / 3, y))
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


def test_the_text_of_a_marked_headline_goes_with_the_headline(opened: Open) -> None:
    page = opened(points())

    def mark() -> None:
        search(page, "description 101")
        click(page, "#list .story")
        click(page, "#panel .row")
        assert len(texts(page, "#tooltip")) == 1

    mark()
    click(page, ".back")
    assert texts(page, "#tooltip") == []
    # where the search leaves it out, and where its story is left for another one
    page.press("/", 191, "/")
    mark()
    page.evaluate(
        "(q => { q.value = 'description 103'; q.dispatchEvent(new Event('input')); })(document.getElementById('query'))"
    )
    page.settle(0.3)
    assert texts(page, "#tooltip") == []
