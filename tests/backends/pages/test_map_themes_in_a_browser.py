"""The map in a real browser: from a theme to its stories to their headlines, by the mouse, the keyboard and by ear."""

import numpy as np
from browser import Page

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


def focused(page: Page) -> str:
    found: str = page.evaluate("document.activeElement.innerText.split('\\n')[0]")
    return found


def test_a_theme_leads_to_its_stories_and_back_by_the_keyboard(opened: Open) -> None:
    page = opened(points())
    page.evaluate("document.querySelector('[data-sort=themes]').focus()")
    page.press("Enter", 13, "\r")
    assert texts(page, "#list .theme-name") == [f"theme {number} · more" for number in range(3)]
    assert texts(page, "#list .story .meta") == ["4 stories · 72 headlines"] * 3
    page.press("Tab", 9)
    page.press("End", 35)
    home = ranges(page)
    page.press("Enter", 13, "\r")
    page.settle(0.5)
    assert focused(page) == "All themes"
    assert texts(page, "#theme h2") == ["theme 2 · more"]
    assert texts(page, "#theme .meta") == ["4 stories · 72 headlines"]
    assert sorted(texts(page, ".story-name")) == [f"The name of story {story}" for story in (11, 2, 5, 8)]
    assert [text for text in texts(page, "#sorts button") if text == "Themes"] == []
    assert ranges(page) != home
    assert {text.split()[-1] for text in texts(page, ".of-story:not(.off)")} <= {"2", "5", "8", "11"}
    names(page)
    click(page, "#list .story")
    assert texts(page, "#panel .back") == ["theme 2 · more"] and texts(page, "#panel .theme") == []
    assert len(texts(page, "#panel .row")) == 20
    for heading in ("theme 2 · more", None):
        page.press("Escape", 27)
        page.settle(0.3)
        assert texts(page, "#theme h2") == ([heading] if heading else [])
    assert len(texts(page, "#list .theme-name")) == 3
    assert focused(page) == "theme 2 · more"
    assert is_quiet(page)


@slow
def test_the_way_is_in_what_a_screen_reader_gets(opened: Open) -> None:
    page = opened(points(), width=900, height=900)

    def read() -> dict[str, list[str]]:
        page.call("Accessibility.enable")
        found: dict[str, list[str]] = {}
        for node in page.call("Accessibility.getFullAXTree")["nodes"]:
            if not node["ignored"] and node.get("name", {}).get("value"):
                found.setdefault(node["role"]["value"], []).append(node["name"]["value"])
        return found

    click(page, "[data-sort=themes]")
    heard = read()
    assert "Themes" in heard["list"] and "What the list shows" in heard["group"]
    assert "theme 0 · more 4 stories · 72 headlines" in heard["button"]
    click(page, "#list .story")
    heard = read()
    assert "Theme" in heard["region"] and "theme 0 · more" in heard["heading"]
    assert "Stories" in heard["list"] and "All themes" in heard["button"]
    click(page, "#list .story")
    heard = read()
    assert "Story" in heard["region"] and "20 headlines" in heard["heading"]


@slow
def test_a_search_and_a_time_range_hold_within_a_theme(opened: Open) -> None:
    page = opened(points())
    search(page, "key")
    click(page, "[data-sort=themes]")
    assert texts(page, "#list .story .meta")[0] == "4 stories · 72 headlines"
    search(page, "key5")
    assert texts(page, "#list .theme-name") == ["theme 2 · more"]
    assert texts(page, "#list .story .meta") == ["1 story · 20 headlines"]
    click(page, "#list .story")
    assert texts(page, "#found") == ["20 headlines in 1 story of this theme"]
    assert texts(page, ".story-name") == ["The name of story 5"]
    search(page, "key3")
    assert texts(page, "#found") == ["Nothing found in this theme"]
    click(page, "#theme .back")
    assert texts(page, "#found")[0].endswith("in 1 story")
    assert texts(page, "#list .theme-name") == ["theme 0 · more"]


@slow
def test_a_story_and_the_name_on_the_map_lead_to_the_theme(opened: Open) -> None:
    shown = points()
    page = opened(shown)
    click(page, "[data-story='4']")
    assert texts(page, "#panel .theme") == ["theme 1 · more"]
    click(page, "#panel .theme button")
    assert texts(page, "#theme h2") == ["theme 1 · more"] and focused(page) == "All stories"
    click(page, "#theme .back")
    # it was not opened from the themes
    assert len(texts(page, ".story-name")) == 12
    click(page, "[data-sort=themes]")
    click(page, "[data-theme='2']")
    assert texts(page, "#theme .back") == ["All themes"]
    click(page, "#theme .back")
    assert len(texts(page, ".theme-name")) == 3
    click(page, "[data-sort=largest]")
    click(page, "#whole")
    assert len(texts(page, ".of-theme:not(.off)")) == 3
    left, top, right, bottom = box(page, ".of-theme:not(.off)")
    spots = np.array(on_screen(page, shown.layout))
    inside = [(x, y) for x in np.arange(left + 3, right - 3, 3) for y in np.arange(top + 3, bottom - 3, 3)]
    page.click(*max(inside, key=lambda spot: float(np.hypot(*(spots - spot).T).min())))
    page.settle(0.5)
    assert texts(page, "#theme h2") == ["theme 0 · more"]
    # its name stands in the list now
    assert texts(page, ".of-theme:not(.off)") == [] and texts(page, ".of-story:not(.off)")


@slow
def test_on_a_phone_the_themes_are_in_the_sheet(opened: Open) -> None:
    shown = points()
    page = opened(shown, width=390, height=844, touch=True)
    click(page, "#sheet")
    click(page, "[data-sort=themes]")
    tap(page, *middle(page, "#list li:nth-child(2) .story"))
    assert texts(page, "#theme h2") == ["theme 1 · more"]
    names(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    # all texts of the sheet begin on one line
    lines = ("#theme .back", "#theme h2", "#sorts button", "#list .dot")
    assert len({box(page, selector)[0] for selector in lines}) == 1
    inside = [place for place, label in zip(on_screen(page, shown.layout), shown.labels, strict=True) if label % 3 == 1]
    assert np.mean([0 < x < 390 and 120 < y < 372 for x, y in inside]) > 0.6


@slow
def test_without_themes_there_is_no_list_of_them(opened: Open) -> None:
    page = opened(points(themes=[]))
    assert texts(page, "#sorts button") == ["Largest", "Newest"]
