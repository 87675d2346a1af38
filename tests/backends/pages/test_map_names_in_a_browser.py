"""The map in a real browser: the names on it."""

import pytest

from job.backends.pages.points import MapStory
from pages.map_browser import WIDTHS, Open, in_a_browser, middle, names, slow, texts
from pages.map_points import points

pytestmark = in_a_browser


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
    page.mouse("mouseMoved", *middle(page, ".of-theme:not(.off)"))
    page.settle(0.3)
    assert (
        texts(page, "#tooltip")
        or page.evaluate("getComputedStyle(document.querySelector('.nsewdrag')).cursor") == "pointer"
    )
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
