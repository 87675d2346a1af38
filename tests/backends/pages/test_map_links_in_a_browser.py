"""The map in a real browser: the ways out of it, to the articles of its headlines."""

import numpy as np
from browser import Page

from job.backends.pages.points import MapPoints, MapStory
from pages.map_browser import Open, click, in_a_browser, is_quiet, on_screen, slow, tap, texts
from pages.map_points import HOSTILE, points

pytestmark = in_a_browser

TITLES = [
    "Don’t walk: ferry crews walk off the job",
    "Ünïted wïn 3-2 «at last» – İstanbul",
    "日本の首相が win",
    "Plain",
]
ADDRESSES = [
    "https://www.example.com/2024/04/25/dont-walk-ferry-crews-walk-off-the-job-68899382.html?a=1&b=%20",
    "HTTP://example.org/n-ted-w-n-3-2/%C4%B0?last#last",
    "https://例え.jp/win/2024",
    "https://example.com/",
]


def linked(n: int = 240) -> MapPoints:
    return points(
        n,
        titles=[f"{TITLES[row % 4]} {row}" for row in range(n)],
        addresses=[f"{ADDRESSES[row % 4]}{row}" if row % 5 else None for row in range(n)],
    )


def links(page: Page, selector: str) -> list[list[str]]:
    """What each link says it is, and its attributes."""
    found: list[list[str]] = page.evaluate(
        f"[...document.querySelectorAll({selector!r})].filter(n => n.checkVisibility()).map("
        "n => [n.ariaLabel || n.innerText, n.getAttribute('href'), n.target, n.rel])"
    )
    return found


def test_each_headline_of_a_story_leads_to_its_own_article(opened: Open) -> None:
    page = opened(linked())
    click(page, "#list .story")
    rows = texts(page, "#panel .row .headline")
    wanted = {f"{TITLES[row % 4]} {row}": f"{ADDRESSES[row % 4]}{row}" for row in range(240) if row % 5}
    found = {label.split(": ", 1)[1]: rest for label, *rest in links(page, "#panel .article")}
    assert found == {title: [wanted[title], "_blank", "noopener noreferrer"] for title in rows if title in wanted}
    assert len(found) > 10
    assert {label.split(": ")[0] for label, *_ in links(page, "#panel .article")} <= {
        f"Article at {site}" for site in ("example.com", "example.org", "xn--r8jz45g.jp")
    }
    assert is_quiet(page)


def test_nothing_but_a_page_of_the_web_is_linked_to(opened: Open) -> None:
    bad = [*HOSTILE, "javascript:alert(1)", "JAVASCRIPT://a.com/%0aalert(1)", "data:text/html,a", "file:///etc/passwd"]
    page = opened(points(240, addresses=[bad[row % len(bad)] for row in range(240)]))
    for story in range(12):
        page.evaluate(f"document.querySelector('[data-story=\"{story}\"]').click()")
        assert len(texts(page, "#panel .row")) > 5
        assert links(page, "a") == []
    # what the page's own data could be made to say
    page = opened(points(240, titles=["javascript alert 1"] * 240, addresses=["https://a.com/alert"] * 240))
    click(page, "#list .story")
    assert all(href == "https://a.com/alert" for _, href, *_ in links(page, "#panel .article"))


@slow
def test_the_tab_key_goes_from_a_headline_to_its_article_and_the_arrows_on_to_the_next(opened: Open) -> None:
    page = opened(points(addresses=[f"https://example.com/{row}" for row in range(240)]))
    click(page, "#list .story")
    page.evaluate("document.querySelector('#panel .row').focus()")
    here = (
        "(n => [n.className, [...document.querySelectorAll('#panel li')].indexOf(n.closest('li'))])"
        "(document.activeElement)"
    )
    page.press("Tab", 9)
    assert page.evaluate(here) == ["article", 0]
    page.press("ArrowDown", 40)
    assert page.evaluate(here) == ["row", 1]
    page.press("Tab", 9)
    assert page.evaluate(here) == ["article", 1]
    page.press("Tab", 9)
    assert not page.evaluate("document.getElementById('panel').contains(document.activeElement)")
    assert page.evaluate("document.querySelectorAll('#panel li [tabindex=\"0\"]').length") == 2


@slow
def test_a_headline_that_is_clicked_on_the_map_is_in_the_panel_with_its_article(opened: Open) -> None:
    layout = np.array([[0, 0], [1, 1], [0, 1], [1, 0], [0.5, 0.5]], np.float32)
    shown = points(
        5,
        layout=layout,
        labels=np.array([0, 0, 1, 1, -1], np.int32),
        stories=[MapStory(0, "The first story"), MapStory(1, "The second story")],
        themes=[],
        addresses=[f"https://example.com/{row}" for row in range(5)],
    )
    page = opened(shown)
    page.click(*on_screen(page, layout)[1])
    page.settle(0.4)
    assert texts(page, ".card")[0].split("\n\n") == [
        "Headline 1 about subject 1",
        "description 1",
        "Daily A · 27 Apr 2024, 08:42 UTC",
        "example.com",
    ]
    assert texts(page, "#panel h2") == ["The first story"]
    (link,) = links(page, ".card a")
    assert link[1:] == ["https://example.com/1", "_blank", "noopener noreferrer"]
    # one in no story has nothing but the card
    page.click(*on_screen(page, layout)[4])
    page.settle(0.4)
    assert texts(page, "#panel h2") == [] and texts(page, ".card")[0].endswith("In no story")
    assert links(page, ".card a")[0][1] == "https://example.com/4"
    assert len(texts(page, "#tooltip")) == 1
    page.press("Escape", 27)
    page.press("Escape", 27)
    assert texts(page, ".card") == [] and len(texts(page, "#list .story")) == 2


@slow
def test_on_a_phone_a_tapped_headline_leads_to_its_article_and_an_arrow_has_room_for_a_finger(opened: Open) -> None:
    shown = points(addresses=[f"https://example.com/{row}" for row in range(240)])
    page = opened(shown, width=390, height=844, touch=True)
    # in no story
    tap(page, *on_screen(page, shown.layout)[0])
    assert texts(page, ".card")[0].startswith("Headline 0 ")
    assert links(page, ".card a")[0][1] == "https://example.com/0"
    click(page, "#panel .back")
    click(page, "#list .story")
    left, right, height = page.evaluate(
        "(b => [b.left, b.right, b.height])(document.querySelector('#panel .article').getBoundingClientRect())"
    )
    assert right - left >= 44 and height >= 44 and right <= 390
