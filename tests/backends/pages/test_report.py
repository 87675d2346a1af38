"""The report's page: what it says, and that a headline in it is never more than text."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Browser

from job.backends.pages.report import Line, ReportPage, ReportStory, ReportTheme, write_report

HOSTILE = [
    "<script>document.title='run'</script>",
    "</script><script>document.title='run'</script>",
    "<img src=x onerror=\"document.title='run'\">",
    '"}]);document.title="run";//',
    "<a href='https://example.com'>link</a> <b>bold</b>",
    "\u202eturned around\u2066",
    "long " * 1_000,
    "🏳️‍🌈 é\u0301\u0301\u0301\u0301\u0301\u0301\u0301 \u200b zero",
]


def page(**changes: Any) -> ReportPage:
    quotes = [Line(text, source=text, when=1.7e9) for text in HOSTILE]
    stories = [
        ReportStory(
            number=number,
            name=HOSTILE[number],
            rows=30 - number,
            headlines=20 - number,
            exemplars=quotes[:3],
            keywords=[HOSTILE[0], "ferry"],
            theme=HOSTILE[1],
            sources=3,
            first_seen=1.7e9,
            last_seen=1.7e9 + 90_000,
            counts=[0, 4, number, 9],
            growing=number == 2,
        )
        for number in range(len(HOSTILE))
    ]
    given: dict[str, Any] = {
        "title": HOSTILE[0],
        "facts": [("Headlines", "1,234"), ("Stories", "8")],
        "stories": stories,
        "story_count": 12,
        "growing": [stories[2]],
        "odd": quotes[3:6],
        "themes": [ReportTheme(HOSTILE[2], [HOSTILE[3]], 3, 44)],
        "total_counts": [3, 40, 20, 60],
        "bins": (1.7e9, 3_600.0),
        "quality": [("Input", HOSTILE[1]), ("Recall", "0.99")],
        "warnings": [HOSTILE[4]],
        "hints": ["recut it"],
        "stages": [("ingest", 1.5, 120.0), ("embed", 20.0, None)],
    }
    return ReportPage(**(given | changes))


def test_it_says_what_it_was_given(tmp_path: Path) -> None:
    write_report(page(), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    for wanted in (
        "1,234",
        "20 headlines · 30 rows · 3 sources",
        "4 smaller stories",
        "recut it",
        "map.html",
        "ingest",
    ):
        assert wanted in text
    assert text.count('class="growing"') == 1
    for markup in ("<img src=x", "<script>document", "<b>bold", "<a href='https"):
        assert markup not in text


def test_a_growing_story_is_named_at_the_top_though_it_is_too_small_for_the_list(tmp_path: Path) -> None:
    given = page()
    small = replace(given.stories[0], number=900, name="A small fast story", growing=True)
    write_report(replace(given, growing=[given.stories[2], small]), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "A small fast story" in text and "story-900" not in text
    assert text.count('href="#story-2"') == 2
    assert "Still reported at the end" in text


def test_a_headline_leads_to_its_article_and_a_story_and_a_theme_to_their_places_on_the_map(tmp_path: Path) -> None:
    given = page()
    quotes = [
        Line("Good", address="https://example.com/?a=1&b='2'"),
        Line("Bad", address="javascript:alert(1)"),
        Line("Sly", address='https://example.com/"onclick="alert(1)'),
    ]
    stories = [replace(given.stories[0], exemplars=quotes, id=2**62 + 1, theme='a · "b" & c'), given.stories[1]]
    small = replace(given.stories[2], number=900, id=77, growing=True)
    shown = replace(given, stories=stories, odd=quotes[:1], growing=[small], themes=[ReportTheme("d + e", [], 1, 1)])
    write_report(shown, tmp_path / "report.html")
    links = Links((tmp_path / "report.html").read_text(encoding="utf-8")).found
    outside = {"target": "_blank", "rel": "noopener noreferrer"}
    assert [link for link in links if "target" in link] == [
        {"href": "https://example.com/?a=1&b='2'", **outside},
        {"href": "https://example.com/?a=1&b='2'", **outside},
        {"href": 'https://example.com/"onclick="alert(1)', **outside},
    ]
    on_map = [link["href"] for link in links if (link["href"] or "").startswith("map.html#")]
    assert on_map == [
        "map.html#story=77",
        "map.html#theme=d%20%2B%20e",
        f"map.html#story={2**62 + 1}",
        "map.html#theme=a%20%C2%B7%20%22b%22%20%26%20c",
        "map.html#story=1",
        "map.html#theme=%3C%2Fscript%3E%3Cscript%3Edocument.title%3D%27run%27%3C%2Fscript%3E",
    ]


class Links(HTMLParser):
    """The attributes of a page's links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append(dict(attrs))


def test_without_times_themes_and_stories_it_still_reads(tmp_path: Path) -> None:
    bare = page(stories=[], story_count=0, growing=[], odd=[], themes=[], total_counts=None, bins=None, warnings=[])
    write_report(bare, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No story was found." in text
    assert "Every headline is in a story." in text
    assert "No warnings." in text
    assert 'id="over-time"' not in text


def figures(path: Path) -> dict[str, Any]:
    (text,) = re.findall(r'id="figures">(.*?)</script>', path.read_text(encoding="utf-8"), re.S)
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize(
    ("bins", "middles", "names"),
    [
        # 25 April 2024
        (
            (1_714_003_200.0, 86_400.0),
            ["2024-04-25T12:00:00", "2024-04-26T12:00:00"],
            ["25 Apr 2024", "26 Apr 2024"],
        ),
        (
            (1_714_003_200.0, 7 * 86_400.0),
            ["2024-04-28T12:00:00", "2024-05-05T12:00:00"],
            ["25 Apr 2024 – 01 May 2024", "02 May 2024 – 08 May 2024"],
        ),
        (
            (1_714_003_200.0, 900.0),
            ["2024-04-25T00:07:30", "2024-04-25T00:22:30"],
            ["25 Apr 2024 00:00 – 00:15 UTC", "25 Apr 2024 00:15 – 00:30 UTC"],
        ),
    ],
)
def test_a_bar_stands_in_the_middle_of_its_time_and_says_which_it_is(
    tmp_path: Path, bins: tuple[float, float], middles: list[str], names: list[str]
) -> None:
    write_report(page(bins=bins, total_counts=[3, 1_500]), tmp_path / "report.html")
    found = figures(tmp_path / "report.html")
    assert (found["times"], found["names"]) == (middles, names)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f'role="img" aria-label="1,503 rows over time; most of them, 1,500: {names[1]}"' in text


def test_times_are_utc_days_have_no_clock_and_a_source_does_not_turn_them(tmp_path: Path) -> None:
    line = Line("A title", source="جريدة", when=1_714_003_200.0)
    story = ReportStory(0, "Name", 2, 2, [line], first_seen=1_714_003_200.0, last_seen=1_714_089_600.0)
    for days_only, span, when in (
        (False, "25 Apr 2024 00:00 – 26 Apr 2024 00:00 UTC", "25 Apr 2024 00:00 UTC"),
        (True, "25 Apr 2024 – 26 Apr 2024", "25 Apr 2024"),
    ):
        write_report(page(stories=[story], growing=[], odd=[], days_only=days_only), tmp_path / "report.html")
        text = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert f"2 headlines · {span} " in text
        assert f'<span class="meta"><bdi dir="auto">جريدة</bdi> · {when}</span>' in text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_printed_from_a_dark_page_the_figure_is_dark_on_white(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    write_report(page(total_counts=[1, 0, 1, 0]), file)
    ink = "document.querySelector('#over-time').layout.font.color"
    with Browser(tmp_path) as browser:
        opened = browser.open(file, width=1200, height=900, dark=True)
        opened.wait("document.querySelectorAll('#over-time .trace').length > 0")
        assert opened.evaluate(ink) == "#eceef0"
        # no tick twice
        ticks = opened.evaluate("[...document.querySelectorAll('#over-time .ytick text')].map(n => n.textContent)")
        assert ticks == ["0", "1"]
        opened.evaluate("addEventListener('beforeprint', () => { window.printed = " + ink + "; })")
        opened.call("Page.printToPDF")
        assert opened.evaluate("window.printed") == "#17191c"
        assert opened.evaluate(ink) == "#eceef0"
        # the bar and the lines of a bin lie over each other, and the text over them names the bin
        bar = opened.evaluate(
            "(b => [b.left + b.width / 2, b.top + b.height / 2])"
            "(document.querySelector('#over-time .point').getBoundingClientRect())"
        )
        opened.mouse("mouseMoved", *bar)
        opened.settle(0.5)
        hover = opened.evaluate("document.querySelector('#over-time .hoverlayer').textContent")
        assert "14 Nov 2023 22:13 – 23:13 UTC" in hover and "all rows : 1" in hover


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_in_a_browser_it_draws_asks_for_nothing_and_runs_no_headline(tmp_path: Path, width: int, dark: bool) -> None:
    file = tmp_path / "report.html"
    write_report(page(), file)
    with Browser(tmp_path) as browser:
        opened = browser.open(file, width=width, height=900, dark=dark)
        opened.wait("document.querySelectorAll('#over-time .trace').length > 0")
        assert opened.evaluate("document.title") == HOSTILE[0]
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        assert opened.evaluate("document.querySelectorAll('main img, main b, main script').length") == 0
        assert opened.evaluate("document.querySelectorAll('.stories > li').length") == len(HOSTILE)
        assert opened.requests == [file.as_uri()]
        assert opened.errors == []
