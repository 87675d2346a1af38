"""The map in a real browser: its address says what is chosen, and leads there."""

import contextlib
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from browser import Browser, Page

from job.backends.pages.map import write_map
from job.backends.pages.points import MapStory, MapTheme
from job.backends.pages.report import ReportStory, ReportTheme, write_report
from job.topics import TimeBins
from pages.map_browser import Open, box, click, in_a_browser, is_quiet, on_screen, search, slow, texts
from pages.map_points import points
from pages.test_report import page as report_page

pytestmark = in_a_browser

BIG = 2**62 + 1
STORIES = [MapStory(s, f"The name of story {s}", id=BIG + s, keywords=[f"key{s}"], theme=s % 3) for s in range(12)]
THEMES = [MapTheme("theme", t, f"theme {t} · a & b + c") for t in range(3)]


def address(page: Page) -> dict[str, str]:
    page.settle(0.3)
    fragment = urlsplit(page.evaluate("location.href")).fragment
    return {name: value for name, (value,) in parse_qs(fragment).items()}


def go(page: Page, step: int) -> None:
    page.evaluate(f"history.go({step})")
    page.settle(0.5)


def leave(page: Page, step: str, arrived: str) -> None:
    """Go to another page, and wait until it is there."""
    page.evaluate(f"setTimeout(() => {step}, 50)")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        page.browser.listen(0.3)
        # while one page goes and the other comes, there is none
        with contextlib.suppress(RuntimeError):
            if page.evaluate(f"Boolean({arrived})"):
                return
    raise TimeoutError(arrived)


def visit(page: Page, fragment: str) -> None:
    """As a click on a link to this very page."""
    page.evaluate(f"location.hash = {fragment!r}")
    page.settle(0.5)


def shown_now(page: Page) -> tuple[list[str], list[str], str]:
    return texts(page, "#panel h2"), texts(page, "#theme h2"), page.evaluate("document.getElementById('query').value")


def test_back_and_forward_go_through_what_was_chosen(opened: Open) -> None:
    page = opened(points(stories=STORIES, themes=THEMES))
    assert address(page) == {} and "#" not in page.evaluate("location.href")
    click(page, "[data-story='4']")
    assert address(page) == {"story": str(BIG + 4)}
    click(page, "#panel .theme button")
    assert address(page) == {"theme": "theme 1 · a & b + c"}
    click(page, "[data-story='7']")
    assert address(page) == {"story": str(BIG + 7), "theme": "theme 1 · a & b + c"}
    steps = [
        (["The name of story 7"], [], ""),
        ([], ["theme 1 · a & b + c"], ""),
        (["The name of story 4"], [], ""),
        ([], [], ""),
    ]
    for step in steps[1:]:
        go(page, -1)
        assert shown_now(page) == step
    assert "#" not in page.evaluate("location.href")
    for step in steps[-2::-1]:
        go(page, 1)
        assert shown_now(page) == step
    assert is_quiet(page)


@slow
def test_the_keyboard_goes_back_and_forward_without_losing_its_place(opened: Open) -> None:
    page = opened(points(stories=STORIES, themes=THEMES))

    def focused() -> str:
        found: str = page.evaluate("document.activeElement.innerText.split('\\n')[0]")
        return found

    page.evaluate("document.querySelector('[data-story=\"4\"]').focus()")
    for expected in ("All stories", "All stories"):
        # into the story, and from there into its theme
        page.press("Enter", 13, "\r")
        page.settle(0.5)
        assert focused() == expected
        page.evaluate("document.querySelector('#panel .theme button').focus()")
    click(page, "#list .story")
    assert focused() == "theme 1 · a & b + c"
    for step, expected in (
        (-1, "The name of story 1"),
        (-1, "All stories"),
        (-1, "The name of story 4"),
        (1, "All stories"),
        # it is in the theme's list too
        (1, "The name of story 4"),
        (1, "theme 1 · a & b + c"),
    ):
        go(page, step)
        assert focused() == expected, (step, address(page))
    # one story after another
    visit(page, f"story={BIG + 2}")
    assert (texts(page, "#panel h2"), focused()) == (["The name of story 2"], "All stories")
    # a reader who is elsewhere stays there
    page.evaluate("document.getElementById('query').focus()")
    visit(page, f"story={BIG + 3}")
    assert page.evaluate("document.activeElement.id") == "query"


@slow
def test_a_search_that_is_typed_on_and_a_range_that_is_dragged_are_one_step_each(opened: Open) -> None:
    page = opened(points(stories=STORIES, themes=THEMES))
    before = page.evaluate("history.length")
    click(page, "#query")
    for letter in "about":
        page.type(letter)
        page.settle(0.25)
    assert address(page) == {"search": "about"}
    assert page.evaluate("history.length") == before + 1
    left, top, right, bottom = box(page, ".track")
    page.drag((left + 1, (top + bottom) / 2), (left + (right - left) / 2, (top + bottom) / 2))
    chosen = address(page)
    assert {*chosen} == {"search", "from", "to"} and chosen["from"] < chosen["to"]
    assert page.evaluate("history.length") == before + 2
    found = texts(page, "#found")
    go(page, -1)
    assert address(page) == {"search": "about"} and texts(page, "#brush button") == []
    go(page, 1)
    assert texts(page, "#found") == found and address(page) == chosen
    go(page, -2)
    assert shown_now(page) == ([], [], "") and texts(page, "#found") == [""]


@slow
def test_what_is_chosen_in_one_page_is_chosen_in_another_that_is_opened_with_its_address(
    opened: Open, browser: Browser
) -> None:
    given = points(stories=STORIES, themes=THEMES)
    page = opened(given)
    search(page, 'about "subject 4"')
    left, top, right, bottom = box(page, ".track")
    page.drag((left + 1, (top + bottom) / 2), (left + (right - left) / 3, (top + bottom) / 2))
    click(page, "[data-story='4']")
    page.settle(0.4)
    said = [shown_now(page), texts(page, "#found"), texts(page, "#brush p"), texts(page, "#panel .row")]
    assert said[3] and "10 of 16" in texts(page, "#panel h3")[0]
    page.evaluate("location.reload()")
    page.wait("document.documentElement && document.documentElement.dataset.ready")
    page.settle(0.5)
    assert [shown_now(page), texts(page, "#found"), texts(page, "#brush p"), texts(page, "#panel .row")] == said
    # and the map has gone there
    outer = box(page, "#map")
    for (x, y), label in zip(on_screen(page, given.layout), given.labels, strict=True):
        assert label != 4 or (outer[0] < x < outer[2] and outer[1] < y < outer[3])


def test_what_is_chosen_before_a_link_to_a_search_has_its_texts_stays(opened: Open) -> None:
    page = opened(points(stories=STORIES, themes=THEMES))
    for selector, found in (
        ("[data-story='4']", (["The name of story 4"], [], "about")),
        ("[data-theme='1']", ([], [THEMES[1].name], "about")),
    ):
        # as soon as the list is there, which is before the texts are
        source = f"""new MutationObserver((_, observer) => {{
            if ({selector!r}.includes('theme')) document.querySelector('[data-sort=themes]')?.click();
            const button = document.querySelector({selector!r});
            if (!button) return;
            observer.disconnect();
            window.early = !document.documentElement.dataset.ready;
            button.click();
        }}).observe(document, {{ childList: true, subtree: true }})"""
        script = page.call("Page.addScriptToEvaluateOnNewDocument", source=source)["identifier"]
        page.evaluate("history.replaceState(null, '', '#search=about'); location.reload()")
        page.wait("document.documentElement && document.documentElement.dataset.ready")
        page.settle(0.5)
        assert page.evaluate("window.early") and shown_now(page) == found
        assert texts(page, "#found")[0].startswith("240 headlines" if "story" in selector else "72 headlines")
        assert {*address(page)} == {"search", selector[6:11]}
        # and back leads to the link
        go(page, -1)
        assert (shown_now(page), address(page)) == (([], [], "about"), {"search": "about"})
        page.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


@slow
def test_a_link_to_what_is_not_there_says_so(opened: Open) -> None:
    page = opened(points(stories=STORIES, themes=THEMES))
    visit(page, "story=12345")
    assert texts(page, "#lost") == ["The story of this link is not on this map."]
    assert shown_now(page) == ([], [], "")
    visit(page, "theme=of%20yesterday")
    assert texts(page, "#lost") == ["The theme of this link is not on this map."]
    visit(page, f"story={BIG}")
    assert texts(page, "#lost") == [] and texts(page, "#panel h2") == ["The name of story 0"]
    # a theme that the story is not in
    visit(page, f"story={BIG + 1}&theme=theme%200%20%C2%B7%20a%20%26%20b%20%2B%20c")
    assert texts(page, "#panel h2") == ["The name of story 1"] and texts(page, "#panel .back") == ["All stories"]
    for fragment in ("%", "from=x&to=y", "from=2024-04-25&to=1e999", "story", "&&=", "search=%00%ff<b>", "theme="):
        visit(page, fragment)
    assert is_quiet(page)


def test_the_times_of_a_link_are_those_of_the_map_or_the_page_says_that_they_are_not(opened: Open) -> None:
    day = 1_714_003_200
    page = opened(points(240, times=day + np.arange(240) * 1_080.0, bins=TimeBins(day, 21_600, 12)))
    said = "The time range of this link is not on this map."
    # in UTC, whatever the reader's zone
    page.call("Emulation.setTimezoneOverride", timezoneId="Pacific/Auckland")
    for fragment, shown in (
        # bars that a link from a map with others touches, also where it is shorter than one
        ("from=2024-04-25T07:00:00Z&to=2024-04-25T08:00:00Z", "25 Apr 2024, 06:00 – 25 Apr 2024, 12:00 UTC"),
        ("from=2024-04-25T05:59:59Z&to=2024-04-25T12:00:01", "25 Apr 2024, 00:00 – 25 Apr 2024, 18:00 UTC"),
        ("from=2024-04-25T06:00:00Z&to=2024-04-25T12:00:00Z", "25 Apr 2024, 06:00 – 25 Apr 2024, 12:00 UTC"),
        ("from=2020-01-01&to=2024-04-25T06:00", "25 Apr 2024, 00:00 – 25 Apr 2024, 06:00 UTC"),
        ("from=2024-04-27", "27 Apr 2024, 00:00 – 28 Apr 2024, 00:00 UTC"),
        ("to=2024-04-26", "25 Apr 2024, 00:00 – 26 Apr 2024, 00:00 UTC"),
    ):
        visit(page, fragment)
        assert (texts(page, "#brush p"), texts(page, "#lost")) == ([shown], []), fragment
        assert texts(page, "#brush button") == ["All times"]
    for fragment in (
        *("from=2020-01-01&to=2021-01-01", "from=2030-01-01", "from=2024-04-26&to=2024-04-25", "from=x&to=2024-04-26"),
        *("from=2024-04-26&to=1e999", "from=+275760-09-13T00:00:00Z"),
    ):
        visit(page, fragment)
        assert texts(page, "#lost") == [said] and texts(page, "#brush button") == [], fragment
    visit(page, "from=2020-01-01&to=2030-01-01")
    assert texts(page, "#lost") == [] and texts(page, "#brush button") == []
    page = opened(points(times=None))
    visit(page, "from=2024-04-25&to=2024-04-26")
    assert texts(page, "#lost") == [said]
    assert is_quiet(page)


@slow
@pytest.mark.parametrize(("width", "height"), [(1400, 900), (390, 844)])
def test_the_report_leads_to_a_story_and_a_theme_of_the_map(
    browser: Browser, tmp_path: Path, width: int, height: int
) -> None:
    write_map(points(stories=STORIES, themes=THEMES), "Map", 25_000_000, tmp_path / "map.html")
    stories = [ReportStory(s, STORIES[s].name, 20, 20, [], id=BIG + s, theme=THEMES[s % 3].name) for s in range(4)]
    shown = report_page(stories=stories, growing=[], odd=[], themes=[ReportTheme(THEMES[2].name, [], 4, 80)])
    write_report(shown, tmp_path / "report.html")
    page = browser.open(tmp_path / "report.html", width=width, height=height)
    for selector, found in (
        ("#story-3 a[aria-label$='on the map']", (["The name of story 3"], [], "")),
        ("#story-1 a[href*=theme]", ([], [THEMES[1].name], "")),
        ("table a[href*=theme]", ([], [THEMES[2].name], "")),
    ):
        leave(page, f"document.querySelector({selector!r}).click()", "document.documentElement.dataset.ready")
        page.settle(0.5)
        assert shown_now(page) == found
        assert page.errors == []
        leave(page, "history.back()", "document.querySelector('#over-time')")
    page.close()
