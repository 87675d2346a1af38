"""The map in a real browser: it draws offline, however little or much it has, and hostile headlines run no script."""

import json
from pathlib import Path

import numpy as np
import pytest
from browser import FLAGS, Browser

from job.backends.pages.map import write_map
from pages.map_browser import (
    FIRST,
    WIDTHS,
    Open,
    box,
    click,
    in_a_browser,
    is_quiet,
    middle,
    names,
    pixels,
    ranges,
    search,
    slow,
    texts,
)
from pages.map_points import HOSTILE, hostile, points

pytestmark = in_a_browser


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


@pytest.mark.parametrize(("width", "height"), [(320, 256), pytest.param(667, 375, marks=slow)])
def test_in_a_small_window_the_page_scrolls_and_the_map_keeps_its_room(opened: Open, width: int, height: int) -> None:
    page = opened(points(), width=width, height=height)
    left, top, right, bottom = box(page, "main")
    assert right - left == width and bottom - top >= 280
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert box(page, "#map")[3] - box(page, "#map")[1] > 150
    assert box(page, "#query")[3] < height
    names(page)
    page.mouse("mouseWheel", 10, 10, deltaX=0, deltaY=2_000)
    page.settle(0.5)
    assert box(page, "main")[3] == pytest.approx(height, abs=1)
    page.evaluate("scrollTo(0, 0)")
    click(page, "#sheet")
    assert texts(page, "#brush p") == []
    assert box(page, "#list")[3] - box(page, "#list")[1] > 100
    assert is_quiet(page)


@slow
def test_without_scripts_the_page_says_what_it_needs_and_in_forced_colors_the_chosen_order_is_seen(
    opened: Open,
) -> None:
    page = opened(points())
    media = [{"name": "forced-colors", "value": "active"}]
    page.call("Emulation.setEmulatedMedia", features=media)
    page.settle(0.3)
    color = "getComputedStyle(document.querySelector('#sorts [aria-pressed={}]')).borderBottomColor"
    assert page.evaluate(color.format("true")) != page.evaluate(color.format("false"))
    assert page.evaluate("getComputedStyle(document.querySelector('.name')).textShadow") != "none"
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.call("Page.reload")
    page.wait("document.readyState === 'complete'")
    assert [text.split(",")[0] for text in texts(page, "body > *")] == ["The map needs JavaScript"]


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
@pytest.mark.parametrize("dimensions", [2, 3])
def test_without_webgl_there_is_a_map_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dimensions: int
) -> None:
    monkeypatch.setattr("browser.FLAGS", [*FLAGS, "--disable-3d-apis"])
    write_map(points(dimensions=dimensions), "Map", 25_000_000, tmp_path / "map.html")
    with Browser(tmp_path) as browser:
        page = browser.open(tmp_path / "map.html")
        page.wait("document.documentElement.dataset.ready")
        assert page.evaluate("document.createElement('canvas').getContext('webgl')") is None
        (note,) = texts(page, "#sample")
        assert note.startswith("This browser has no WebGL")
        assert note.endswith("dimensions.") == (dimensions == 3)
        assert "webgl.org" not in page.evaluate("document.body.innerText")
        home = pixels(page, FIRST)
        assert home > 200
        before = ranges(page)
        page.drag(middle(page, "#map"), (middle(page, "#map")[0] + 100, middle(page, "#map")[1]))
        page.settle(0.4)
        assert ranges(page)[0] < before[0]
        assert pixels(page, FIRST) > 200
        # the noise's gray as the canvas draws it
        gray = pixels(page, (160, 165, 170))
        click(page, "#noise")
        assert pixels(page, (160, 165, 170)) < gray - 300
        click(page, "#list .story")
        assert texts(page, "#panel h2")
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
