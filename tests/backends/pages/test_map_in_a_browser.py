"""The map in a real browser: it draws offline, every control works, and hostile headlines run no script."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, Browser, Page
from map_points import HOSTILE, hostile, points

from job.backends.pages.map import write_map
from job.backends.pages.points import MapPoints, MapStory
from job.topics import TimeBins

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]
slow = pytest.mark.slow
# the noise's gray on the map's ground, and the first color of the palette
NOISE, FIRST = (205, 207, 209), (110, 151, 194)
Open = Callable[..., Page]
WIDTHS = [(1440, 900), (390, 844)]

COUNT_PIXELS = """async (data, r, g, b) => {
    const image = new Image();
    image.src = 'data:image/png;base64,' + data;
    await image.decode();
    const canvas = document.createElement('canvas');
    Object.assign(canvas, {width: image.width, height: image.height});
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, image.width, image.height).data;
    let count = 0;
    for (let i = 0; i < pixels.length; i += 4) {
        if (Math.abs(pixels[i] - r) + Math.abs(pixels[i + 1] - g) + Math.abs(pixels[i + 2] - b) < 60) count++;
    }
    return count;
}"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Write a map and open it; wait until it is drawn and its texts are there."""
    pages: list[Page] = []

    def open_map(shown: MapPoints, limit: int = 25_000_000, title: str = "A map & <more>", **settings: Any) -> Page:
        path = tmp_path / "map.html"
        write_map(shown, title, limit, path)
        page = browser.open(path, **settings)
        pages.append(page)
        page.wait("document.documentElement.dataset.ready || document.querySelector('.notice[role=alert]')")
        browser.listen(0.3)
        return page

    yield open_map
    for page in pages:
        page.close()


def texts(page: Page, selector: str) -> list[str]:
    """The texts of the elements that are shown."""
    nodes = f"[...document.querySelectorAll({json.dumps(selector)})]"
    found: list[str] = page.evaluate(f"{nodes}.filter(n => n.checkVisibility()).map(n => n.innerText)")
    return found


def box(page: Page, selector: str) -> list[float]:
    found: list[float] = page.evaluate(
        "(b => [b.left, b.top, b.right, b.bottom])"
        f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
    )
    return found


def middle(page: Page, selector: str) -> tuple[float, float]:
    left, top, right, bottom = box(page, selector)
    return (left + right) / 2, (top + bottom) / 2


def click(page: Page, selector: str) -> None:
    page.click(*middle(page, selector))
    page.settle(0.5)


def search(page: Page, words: str) -> None:
    click(page, "#query")
    page.evaluate("document.getElementById('query').select()")
    page.type(words)
    page.settle(0.4)


def ranges(page: Page) -> list[float]:
    """The left, right, lower and upper end of what the map shows."""
    found: list[float] = page.evaluate(
        "(l => [...l.xaxis.range, ...l.yaxis.range])(document.getElementById('plot')._fullLayout)"
    )
    return found


def pixels(page: Page, color: tuple[int, int, int]) -> int:
    """How many pixels of the map have about this color."""
    left, top, right, bottom = box(page, "#map")
    clip = {"x": left, "y": top, "width": right - left, "height": bottom - top, "scale": 1}
    data = page.call("Page.captureScreenshot", format="png", clip=clip)["data"]
    return int(page.evaluate(f"({COUNT_PIXELS})({json.dumps(data)}, {', '.join(map(str, color))})"))


def names(page: Page) -> list[list[float]]:
    """The boxes of the names on the map, after checking that none overlaps another, leaves the map, or is cut."""
    boxes: list[list[float]] = page.evaluate(
        "[...document.querySelectorAll('.name:not(.off)')].map(n => n.getBoundingClientRect())"
        ".map(b => [b.left, b.top, b.right, b.bottom])"
    )
    outer = box(page, "#map")
    for a in boxes:
        assert a[0] >= outer[0] and a[1] >= outer[1] and a[2] <= outer[2] and a[3] <= outer[3], (a, outer)
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)
    assert page.evaluate(
        "[...document.querySelectorAll('.name:not(.off)')].every(n => n.scrollWidth <= n.clientWidth + 1 "
        "&& n.scrollHeight <= n.clientHeight + 1 && getComputedStyle(n).textOverflow !== 'ellipsis')"
    )
    assert not any(text.endswith("…") for text in texts(page, ".name:not(.off)"))
    return boxes


def is_quiet(page: Page) -> bool:
    """Whether nothing but the file itself was asked for, and the console has no error and no warning."""
    # Plotly's own remark about how it measures text for three dimensions
    assert [error for error in page.errors if "willReadFrequently" not in error] == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert len([url for url in page.requests if url.startswith("file:")]) == 1
    return True


# ---- opening


@pytest.mark.parametrize("dimensions", [2, pytest.param(3, marks=slow)])
def test_the_map_draws_from_a_file_without_a_request_or_an_error(opened: Open, dimensions: int) -> None:
    page = opened(points(dimensions=dimensions))
    assert pixels(page, FIRST) > 200
    assert page.evaluate("document.title") == "A map & <more>"
    assert texts(page, "#facts") == ["240 headlines · 12 stories · 10% in no story · 24–27 Apr 2024"]
    assert names(page)
    assert is_quiet(page)


@pytest.mark.parametrize(("width", "height"), [WIDTHS[0], pytest.param(*WIDTHS[1], marks=slow)])
def test_hostile_headlines_run_nothing_and_break_nothing(opened: Open, width: int, height: int) -> None:
    page = opened(hostile(), title=HOSTILE[1], width=width, height=height)
    names(page)
    for _ in range(4):
        page.evaluate("document.getElementById('map').focus()")
        page.press("+", 187, "+")
        page.settle(0.3)
        names(page)
    for story in range(0, 23, 4):
        page.evaluate(f"document.querySelector('[data-story=\"{story}\"]').click()")
        page.settle(0.3)
        names(page)
        page.press("Escape", 27)
    for words in ("owned", "<", "\\", "a", "‮", "👩"):
        page.evaluate(
            f"(q => {{ q.value = {json.dumps(words)}; q.dispatchEvent(new Event('input')); }})"
            "(document.getElementById('query'))"
        )
        page.settle(0.2)
    assert page.evaluate("document.title") == HOSTILE[1]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("document.documentElement.scrollHeight <= window.innerHeight")
    assert page.evaluate("document.querySelectorAll('img, iframe, body svg[onload]').length") == 0
    assert is_quiet(page)


# ---- pointing


@slow
def test_hover_shows_the_text_of_the_point_under_the_pointer(opened: Open) -> None:
    layout = np.array([[0, 0], [1, 1], [0, 1], [1, 0]], np.float32)
    shown = points(
        4,
        layout=layout,
        labels=np.array([0, 0, 0, -1], np.int32),
        stories=[MapStory(0, "The story")],
        themes=[],
        copies=np.array([1, 7, 1, 1], np.int32),
        groups=1,
    )
    page = opened(shown)
    left, top, right, bottom = box(page, "#map")
    x, y = left + (right - left) * (1.05 / 1.1), top + (bottom - top) * (0.05 / 1.15)
    page.mouse("mouseMoved", x + 3, y + 3)
    page.settle(0.3)
    (text,) = texts(page, "#tooltip")
    assert text.split("\n\n") == [
        "Headline 1 about subject 0",
        "description 1",
        "Daily A · 25 Apr 2024, 17:06 UTC · 7 copies",
        "The story",
    ]
    page.mouse("mouseMoved", (left + right) / 2, (top + bottom) / 2)
    page.settle(0.3)
    assert texts(page, "#tooltip") == []
    page.mouse("mouseMoved", x, bottom - (bottom - top) * (0.1 / 1.15))
    page.settle(0.3)
    assert texts(page, "#tooltip")[0].endswith("In no story")


@slow
def test_a_drag_pans_the_wheel_zooms_and_keys_do_both(opened: Open) -> None:
    page = opened(points())
    start = ranges(page)
    x, y = middle(page, "#map")
    page.drag((x, y), (x + 150, y + 60))
    page.settle(0.5)
    panned = ranges(page)
    assert panned[0] < start[0] and panned[2] > start[2]
    assert panned[1] - panned[0] == pytest.approx(start[1] - start[0])
    names(page)
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-300)
    page.settle(0.8)
    zoomed = ranges(page)
    assert zoomed[1] - zoomed[0] < panned[1] - panned[0]
    names(page)
    page.evaluate("document.getElementById('map').focus()")
    for key, code in (("ArrowRight", 39), ("ArrowUp", 38)):
        page.press(key, code)
        page.settle(0.4)
    moved = ranges(page)
    assert moved[0] > zoomed[0] and moved[2] > zoomed[2]
    page.press("-", 189, "-")
    page.settle(0.4)
    assert ranges(page)[1] - ranges(page)[0] > moved[1] - moved[0]
    page.press("0", 48, "0")
    page.settle(0.4)
    assert ranges(page) == pytest.approx(start)


@slow
def test_two_fingers_zoom(opened: Open) -> None:
    page = opened(points(), width=390, height=844, touch=True)
    before = ranges(page)
    x, y = middle(page, "#map")

    def touch(kind: str, spread: float) -> None:
        fingers = [{"x": x - spread, "y": y, "id": 0}, {"x": x + spread, "y": y, "id": 1}] if spread else []
        page.call("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)

    touch("touchStart", 30)
    for spread in range(35, 120, 5):
        touch("touchMove", spread)
    touch("touchEnd", 0)
    page.settle(0.8)
    after = ranges(page)
    assert after[1] - after[0] < 0.6 * (before[1] - before[0])
    assert names(page) is not None
    assert is_quiet(page)


# ---- names


@slow
@pytest.mark.parametrize(("width", "height"), [*WIDTHS, (800, 500)])
def test_no_two_names_overlap_at_any_zoom(opened: Open, width: int, height: int) -> None:
    page = opened(points(3_000, groups=150), width=width, height=height)
    shown = [len(names(page))]
    page.evaluate("document.getElementById('map').focus()")
    for _ in range(7):
        page.press("+", 187, "+")
        page.settle(0.4)
        shown.append(len(names(page)))
    assert shown[0] >= 6
    assert max(shown[1:4]) > 2


@slow
def test_themes_are_named_when_far_topics_nearer_and_stories_everywhere(opened: Open) -> None:
    page = opened(points(600, groups=12))
    far = texts(page, ".of-theme:not(.off)")
    assert far and all("theme" in text.lower() for text in far)
    assert texts(page, ".of-topic:not(.off)") == []
    page.evaluate("document.getElementById('map').focus()")
    for _ in range(2):
        page.press("+", 187, "+")
        page.settle(0.5)
    assert texts(page, ".of-theme:not(.off)") == []
    for _ in range(3):
        page.press("+", 187, "+")
        page.settle(0.5)
    assert texts(page, ".of-topic:not(.off)") == []


@slow
def test_names_of_any_script_are_whole(opened: Open) -> None:
    long = [
        "日本の首相が経済対策を発表し市場は大きく反応した",
        "مجلس الأمن الدولي يعقد جلسة طارئة بشأن الوضع",
        "Правительство объявило о новых мерах поддержки экономики",
        "Donaudampfschifffahrtsgesellschaftskapitänsmütze",
        "รัฐบาลประกาศมาตรการกระตุ้นเศรษฐกิจใหม่",
        "A cut name that ends in …",
    ]
    stories = [MapStory(s, name, keywords=["one", "two", "three"]) for s, name in enumerate(long)]
    page = opened(points(300, groups=6, stories=stories, themes=[]), width=390, height=844)
    names(page)
    shown = texts(page, ".name:not(.off)")
    assert shown
    assert {text.replace("\n", "") for text in shown} <= {*long[:5], "one\u00a0· two\u00a0· three"}


# ---- search, list, panel, brush


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


# ---- looks


@slow
@pytest.mark.parametrize(("width", "height"), WIDTHS)
def test_dark_is_dark_light_is_light_and_text_has_contrast(opened: Open, width: int, height: int) -> None:
    contrast = """(selector) => {
        const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
        const light = (c) => c.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const node = document.querySelector(selector);
        const colors = [getComputedStyle(node).color, getComputedStyle(document.body).backgroundColor];
        const [a, b] = colors.map(rgb).map(light);
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    }"""
    for dark in (False, True):
        page = opened(points(), width=width, height=height, dark=dark)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
        assert (ground < 60) == dark
        for selector in ("#facts", "#query", ".story-name", ".story .meta", "#sorts button:last-child", "#brush .meta"):
            assert page.evaluate(f"({contrast})({json.dumps(selector)})") >= 4.5, selector


@slow
def test_on_a_phone_the_list_is_a_sheet_and_nothing_is_wider_than_the_page(opened: Open) -> None:
    page = opened(points(), width=390, height=844, touch=True)
    assert texts(page, "#list .story") == []
    left, top, right, bottom = box(page, "#map")
    assert right - left == 390 and bottom - top > 350
    names(page)
    click(page, "#sheet")
    assert texts(page, "#list .story")
    click(page, "#list .story")
    assert texts(page, "#panel h2")
    assert box(page, "#map")[3] <= box(page, "#drawer")[1] + 1
    names(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@slow
def test_no_button_sends_data_anywhere(opened: Open) -> None:
    page = opened(points())
    assert page.evaluate("document.querySelectorAll('.modebar-btn, .modebar a').length") == 0
    labels = page.evaluate("[...document.querySelectorAll('button, a')].map(n => n.innerText + n.title + n.ariaLabel)")
    assert not [text for text in labels if any(word in text.lower() for word in ("share", "cloud", "edit", "studio"))]
    assert page.evaluate("document.getElementById('plot').layout.spikedistance") == 0


# ---- little and much


@slow
@pytest.mark.parametrize("n", [0, 1, 3])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_next_to_no_headlines_are_a_map_too(opened: Open, n: int, dimensions: int) -> None:
    page = opened(points(n, dimensions, groups=0))
    assert texts(page, "#facts")[0].startswith(f"{n} headline")
    assert texts(page, "#list .none") == ["There are no stories"]
    assert is_quiet(page)


@slow
def test_above_the_limit_the_page_says_what_it_has(opened: Open) -> None:
    rng = np.random.default_rng(1)
    titles = ["".join(chr(97 + c) for c in row) for row in rng.integers(0, 26, (20_000, 60))]
    page = opened(points(20_000, titles=titles), limit=5_600_000)
    (note,) = texts(page, "#sample")
    assert note.startswith("All headlines are points.")
    search(page, "a")
    assert "with text" in texts(page, "#found")[0]
    assert is_quiet(page)


@slow
def test_three_dimensions_turn_fly_and_point(opened: Open) -> None:
    page = opened(points(dimensions=3))
    before = names(page)
    x, y = middle(page, "#map")
    page.drag((x, y), (x + 200, y + 40))
    page.settle(0.6)
    assert names(page) != before
    click(page, "#list .story")
    assert texts(page, "#panel h2")
    search(page, "key3")
    page.wait("document.getElementById('found').textContent.endsWith('in 1 story')")
    page.evaluate("document.getElementById('map').focus()")
    for key, code in (("+", 187), ("ArrowLeft", 37), ("0", 48)):
        page.press(key, code)
        page.settle(0.3)
    names(page)
    assert is_quiet(page)
