"""The map in a real browser: the pointer, fingers and keys on it, and the names."""

from typing import Any

import numpy as np
import pytest
from browser import Page

from job.backends.pages.points import MapPoints, MapStory
from pages.map_browser import (
    Open,
    box,
    click,
    in_a_browser,
    is_quiet,
    middle,
    names,
    on_screen,
    ranges,
    search,
    slow,
    tap,
    texts,
)
from pages.map_points import points

pytestmark = in_a_browser


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


def pinch(page: Page, x: float, y: float) -> None:
    """Two fingers that move apart, from 60 to 230 pixels."""

    def touch(kind: str, spread: float) -> None:
        fingers = [{"x": x - spread, "y": y, "id": 0}, {"x": x + spread, "y": y, "id": 1}] if spread else []
        page.call("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)

    touch("touchStart", 30)
    for spread in range(35, 120, 5):
        touch("touchMove", spread)
    touch("touchEnd", 0)
    page.settle(0.8)


@slow
def test_two_fingers_zoom(opened: Open) -> None:
    page = opened(points(), width=390, height=844, touch=True)
    before = ranges(page)
    pinch(page, *middle(page, "#map"))
    after = ranges(page)
    assert after[1] - after[0] < 0.6 * (before[1] - before[0])
    assert names(page) is not None
    assert is_quiet(page)


def square(**changes: Any) -> MapPoints:
    """Four headlines in the corners, and one in the middle that is in no story."""
    layout = np.array([[0, 0], [1, 1], [0, 1], [1, 0], [0.5, 0.5]], np.float32)
    settings: dict[str, Any] = {
        "layout": layout,
        "labels": np.array([0, 0, 1, 1, -1], np.int32),
        "stories": [MapStory(0, "The first story" + " of a long name" * 9), MapStory(1, "The second story")],
        "descriptions": ["what happened then, " * 14] * 5,
        "themes": [],
    }
    return points(5, **(settings | changes))


def test_on_a_phone_a_tapped_headline_stays_shown_beside_its_point(opened: Open) -> None:
    shown = square()
    page = opened(shown, width=390, height=844, touch=True)
    for row in (4, 0, 4):
        tap(page, *on_screen(page, shown.layout)[row])
        (text,) = texts(page, "#tooltip")
        assert text.startswith(f"Headline {row} about")
        assert text.split("\n")[-1].startswith("In no story" if row == 4 else "The first story")
        tip, ring, outer = box(page, "#tooltip"), box(page, "#ring"), box(page, "#map")
        assert outer[0] <= tip[0] and outer[1] <= tip[1] and tip[2] <= outer[2] and tip[3] <= outer[3]
        assert tip[2] <= ring[0] or ring[2] <= tip[0] or tip[3] <= ring[1] or ring[3] <= tip[1]
        # the last line is not cut, and the description is whole in the sheet alone
        assert box(page, "#tooltip .of")[3] <= tip[3]
        assert "what happened" not in text and texts(page, ".card")[0].count("what happened") == 14
    assert is_quiet(page)


def test_a_point_under_a_name_can_be_pointed_at_and_so_can_the_name(opened: Open) -> None:
    shown = points()
    page = opened(shown)
    (left, top, right, bottom) = box(page, ".of-story:not(.off)")
    story = page.evaluate("document.querySelector('.of-story:not(.off)').innerText.match(/\\d+/)[0]")
    spots = list(enumerate(on_screen(page, shown.layout)))
    under = [(row, x, y) for row, (x, y) in spots if left < x < right and top < y < bottom]
    assert under
    for row, x, y in under[:3]:
        page.mouse("mouseMoved", x, y)
        page.settle(0.2)
        assert texts(page, "#tooltip")[0].startswith(f"Headline {row} ")
    free = [
        (x, y)
        for x in np.arange(left + 2, right - 2, 3)
        for y in np.arange(top + 2, bottom - 2, 3)
        if min(np.hypot(x - px, y - py) for _, (px, py) in spots) > 7
    ]
    page.click(*map(float, free[len(free) // 2]))
    page.settle(0.4)
    assert texts(page, "#tooltip") == []
    assert texts(page, "#panel h2") == [f"The name of story {story}"]


@slow
def test_where_points_cover_a_name_the_name_goes_before_them(opened: Open) -> None:
    shown = points(30_000, groups=300, themes=[])
    page = opened(shown)
    left, top, right, bottom = box(page, ".of-story:not(.off)")
    story = page.evaluate("document.querySelector('.of-story:not(.off)').innerText.match(/\\d+/)[0]")
    under = [(x, y) for x, y in on_screen(page, shown.layout) if left + 2 < x < right - 2 and top + 2 < y < bottom - 2]
    assert len(under) > 50
    page.mouse("mouseMoved", *under[0])
    page.settle(0.3)
    assert texts(page, "#tooltip") == []
    page.click(*under[0])
    page.settle(0.5)
    assert texts(page, "#panel h2") == [f"The name of story {story}"]


def test_a_double_click_zooms_at_the_pointer_and_other_buttons_do_nothing(opened: Open) -> None:
    shown = square()
    page = opened(shown)
    x, y = on_screen(page, shown.layout)[1]
    before = ranges(page)
    for button, code in (("right", 2), ("middle", 4)):
        page.mouse("mouseMoved", x, y)
        page.mouse("mousePressed", x, y, button=button, buttons=code, clickCount=1)
        page.mouse("mouseReleased", x, y, button=button, buttons=0, clickCount=1)
        page.settle(0.2)
    assert texts(page, "#panel h2") == []
    page.click(x, y)
    page.click(x, y)
    page.settle(0.5)
    after = ranges(page)
    assert after[1] - after[0] == pytest.approx((before[1] - before[0]) / 2)
    assert on_screen(page, shown.layout)[1] == pytest.approx((x, y), abs=1)
    assert texts(page, "#panel h2") == []
    page.settle(0.5)
    page.click(x, y)
    page.settle(0.5)
    assert texts(page, "#panel h2")[0].startswith("The first story")


@slow
def test_the_wheel_ends(opened: Open) -> None:
    page = opened(points())
    x, y = middle(page, "#map")
    # a turn of the wheel is a tenth
    for delta, least, most in ((-600, 0.015, 0.021), (600, 4.0, 4.5)):
        for _ in range(80):
            page.mouse("mouseWheel", x, y, deltaX=0, deltaY=delta)
        page.settle(0.5)
        left, right, *_ = ranges(page)
        assert least < right - left < most


def eye(page: Page) -> tuple[Any, float, Any]:
    """Of the camera of a map of three dimensions: its direction, its distance, and what is up."""
    camera = page.evaluate("document.getElementById('plot')._fullLayout.scene._scene.getCamera()")
    at, center, up = (np.array([camera[name][axis] for axis in "xyz"]) for name in ("eye", "center", "up"))
    distance = float(np.linalg.norm(at - center))
    return (at - center) / distance, distance, up


@slow
def test_in_three_dimensions_keys_and_fingers_keep_the_scene_upright_and_in_reach(opened: Open) -> None:
    page = opened(points(dimensions=3), width=600, height=800, touch=True)
    home = eye(page)
    x, y = middle(page, "#map")
    page.drag((x, y), (x + 90, y + 60))
    page.settle(0.4)
    assert abs(eye(page)[2] - [0, 0, 1]).max() > 0.05
    page.evaluate("document.getElementById('map').focus()")
    page.press("0", 48, "0")
    page.settle(0.4)
    for found, wanted in zip(eye(page), home, strict=True):
        assert found == pytest.approx(wanted, abs=1e-3)
    for _ in range(8):
        page.press("ArrowUp", 38)
    page.settle(0.4)
    direction, distance, _ = eye(page)
    assert distance == pytest.approx(home[1], rel=1e-3)
    assert direction[2] > 0.99
    page.press("0", 48, "0")
    pinch(page, x, y)
    direction, distance, _ = eye(page)
    assert distance < 0.6 * home[1]
    assert direction == pytest.approx(home[0], abs=1e-3)
    names(page)
    assert is_quiet(page)


def test_escape_hides_a_text_first_and_a_slash_with_control_is_the_browsers(opened: Open) -> None:
    page = opened(points(600, groups=2, themes=[]))
    click(page, "#list .story")
    assert len(texts(page, "#panel .row")) == 80
    page.evaluate("document.querySelector('.more').focus()")
    page.press("Enter", 13, "\r")
    assert page.evaluate("[...document.querySelectorAll('#panel .row')].indexOf(document.activeElement)") == 80
    page.evaluate("document.getElementById('panel').scrollTop = 0")
    click(page, "#panel .row")
    assert len(texts(page, "#tooltip")) == 1
    page.press("Escape", 27)
    assert texts(page, "#tooltip") == [] and len(texts(page, "#panel h2")) == 1
    page.press("Escape", 27)
    assert texts(page, "#panel h2") == []
    page.call("Input.dispatchKeyEvent", type="keyDown", key="/", windowsVirtualKeyCode=191, modifiers=2)
    assert page.evaluate("document.activeElement.id") != "query"
    page.press("/", 191)
    assert page.evaluate("document.activeElement.id") == "query"


def test_on_a_phone_enter_in_the_search_opens_the_list(opened: Open) -> None:
    page = opened(points(), width=390, height=844, touch=True)
    search(page, "key3")
    assert texts(page, "#list .story") == []
    page.press("Enter", 13, "\r")
    page.settle(0.3)
    assert len(texts(page, "#list .story")) == 1
