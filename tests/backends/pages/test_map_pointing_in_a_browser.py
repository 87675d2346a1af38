"""The map in a real browser: the pointer, fingers and keys on it, and the names."""

import numpy as np
import pytest
from map_browser import WIDTHS, Open, box, in_a_browser, is_quiet, middle, names, ranges, slow, texts
from map_points import points

from job.backends.pages.points import MapStory

pytestmark = in_a_browser


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
