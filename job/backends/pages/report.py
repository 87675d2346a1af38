"""The report: one offline HTML page that says what was run, what was found, and how far to trust it."""

import html
import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from job.backends.pages.document import as_json, document, static
from job.backends.pages.payload import NAME_CHARS
from job.backends.pages.plain import plain, web_address

_TITLE_CHARS, _SOURCE_CHARS = 200, 80
_DAY = 86_400.0
_GROWING = '<p class="meta">Still reported at the end, with clearly more late rows than stories have on average.</p>'
_SPARK_WIDTH, _SPARK_HEIGHT = 132, 26


@dataclass(frozen=True)
class Line:
    """A headline as the report quotes it. `when`: seconds since 1970 UTC. `address`: of its article."""

    title: str
    source: str | None = None
    when: float | None = None
    address: str = ""


@dataclass(frozen=True)
class ReportStory:
    """A story. `rows`: input rows; `headlines`: distinct ones. `sources`: how many publish it. `counts`: rows in each
    of the report's time bins. `growing`: whether it is among those that grow. `id`: as that of `MapStory`."""

    number: int
    name: str
    rows: int
    headlines: int
    exemplars: Sequence[Line]
    keywords: Sequence[str] = ()
    theme: str | None = None
    sources: int | None = None
    first_seen: float | None = None
    last_seen: float | None = None
    counts: Sequence[int] | None = None
    growing: bool = False
    id: int | None = None


@dataclass(frozen=True)
class ReportTheme:
    """A theme: its name, keywords, number of stories and of headlines."""

    name: str
    keywords: Sequence[str]
    stories: int
    headlines: int


@dataclass(frozen=True)
class ReportPage:
    """Everything that the page says. `facts`: label and value. `bins`: start and width of the time bins, in seconds.
    `days_only`: times are dates without a time of day.

    `stories`: largest first, of `story_count`; `growing`: fastest first, not only of those. `odd`: headlines that
    resemble no other. `stages`: name, seconds, rows per second. `hints`: what to try.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    stories: Sequence[ReportStory]
    story_count: int
    growing: Sequence[ReportStory]
    odd: Sequence[Line]
    themes: Sequence[ReportTheme]
    total_counts: Sequence[int] | None
    bins: tuple[float, float] | None
    quality: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    hints: Sequence[str]
    stages: Sequence[tuple[str, float, float | None]]
    days_only: bool = False


def write_report(page: ReportPage, path: Path) -> None:
    """Write the page. Plotly is inside; the texts are data, never markup."""
    from plotly.offline import get_plotlyjs

    title = plain(page.title, _TITLE_CHARS)
    data = {"figures": as_json(_figures(page))}
    scripts = [get_plotlyjs(), static("report.js")]
    path.write_text(document(title, _body(page), static("report.css"), scripts, data), encoding="utf-8")


def _body(page: ReportPage) -> str:
    parts = [
        f"<header><h1>{_text(page.title)}</h1><p>Stories in the news, and how they were found. "
        '<a href="map.html">Open the map</a> · tables: <a href="topics.csv">topics.csv</a>, '
        '<a href="headlines_clustered.csv">headlines_clustered.csv</a></p></header><main>',
        _facts(page.facts, "facts"),
        _glance(page),
    ]
    if page.total_counts:
        parts.append(_over_time(page))
    if page.themes:
        parts.append(f"<section><h2>Themes</h2>{_themes(page.themes)}</section>")
    parts += [f"<section><h2>Stories</h2>{_stories(page)}</section>", _trust(page), _run(page), "</main>"]
    return "\n".join(parts)


def _over_time(page: ReportPage) -> str:
    """The place of the figure, with what it says in words."""
    counts = page.total_counts or []
    label = f"{sum(counts):,} rows over time"
    if sum(counts):
        busiest = max(range(len(counts)), key=counts.__getitem__)
        label += f"; most of them, {counts[busiest]:,}: {_bin_name(page, busiest)}"
    return (
        f'<section><h2>Over time</h2><div id="over-time" class="figure" role="img" aria-label="{label}"></div>'
        "<noscript>The figure needs JavaScript.</noscript></section>"
    )


def _glance(page: ReportPage) -> str:
    below = {story.number for story in page.stories}
    largest = [_brief(story, below) for story in page.stories[:5]]
    columns = [("Largest", "", largest or ["<li class='none'>No story was found.</li>"])]
    if page.bins:
        growing = [_brief(story, below) for story in page.growing[:5]]
        columns.append(("Growing", _GROWING, growing or ["<li class='none'>No story is growing.</li>"]))
    odd = [f"<li>{_line(line, page.days_only)}</li>" for line in page.odd[:5]]
    columns.append(("Like no other headline", "", odd or ["<li class='none'>Every headline is in a story.</li>"]))
    lists = (f"<div><h2>{name}</h2>{note}<ol>{''.join(items)}</ol></div>" for name, note, items in columns)
    return f'<section class="glance">{"".join(lists)}</section>'


def _brief(story: ReportStory, below: Container[int]) -> str:
    """A line of the page's top. `below`: the numbers of the stories that the page has further down; the others are on
    the map."""
    where = f"#story-{story.number}" if story.number in below else _on_map(story)
    return f'<li><a href="{where}">{_text(story.name)}</a><span class="meta">{_sizes(story)}</span></li>'


def _on_map(story: ReportStory) -> str:
    return f"map.html#story={story.number if story.id is None else story.id}"


def _line(line: Line, days_only: bool) -> str:
    """A headline, which leads to its article where its address is known, with its source and time."""
    title, address = _text(line.title), web_address(line.address)
    if address:
        title = f'<a href="{html.escape(address)}" target="_blank" rel="noopener noreferrer">{title}</a>'
    return title + _meta(line, days_only)


def _sizes(story: ReportStory) -> str:
    parts = [f"{story.headlines:,} headlines"]
    if story.rows != story.headlines:
        parts.append(f"{story.rows:,} rows")
    if story.sources is not None:
        parts.append(f"{story.sources:,} source{'s' if story.sources != 1 else ''}")
    return " · ".join(parts)


def _stories(page: ReportPage) -> str:
    items = []
    for story in page.stories:
        spark = _sparkline(story.counts) if story.counts else ""
        span = _span(story.first_seen, story.last_seen, page.days_only)
        span = span and f" · {span}"
        growing = ' <span class="growing">growing</span>' if story.growing else ""
        theme = f'<p class="meta">In the theme {_theme_link(story.theme)}</p>' if story.theme else ""
        keywords = f'<p class="keywords">{_text(", ".join(story.keywords))}</p>' if story.keywords else ""
        quotes = "".join(f"<li>{_line(line, page.days_only)}</li>" for line in story.exemplars)
        label = html.escape(f"{plain(story.name, NAME_CHARS)}, on the map")
        items.append(
            f'<li id="story-{story.number}"><div class="head"><h3>{_text(story.name)}</h3>{spark}</div>'
            f'<p class="meta">{_sizes(story)}{span}{growing} · <a href="{_on_map(story)}" '
            f'aria-label="{label}">on the map</a></p>'
            f"{theme}{keywords}<ul>{quotes}</ul></li>"
        )
    more = page.story_count - len(page.stories)
    rest = f"<p>{more:,} smaller stories are in topics.csv and on the map.</p>" if more > 0 else ""
    return f'<ol class="stories">{"".join(items)}</ol>{rest}'


def _themes(themes: Sequence[ReportTheme]) -> str:
    rows = [
        f"<tr><td>{_theme_link(theme.name)}</td><td>{theme.stories:,}</td><td>{theme.headlines:,}</td>"
        f"<td>{_text(', '.join(theme.keywords))}</td></tr>"
        for theme in themes
    ]
    head = "<thead><tr><th>Theme</th><th>Stories</th><th>Headlines</th><th>Keywords</th></tr></thead>"
    return f"<div class='wide'><table>{head}<tbody>{''.join(rows)}</tbody></table></div>"


def _theme_link(name: str) -> str:
    """The theme's name, which leads to its stories on the map."""
    return f'<a href="map.html#theme={quote(plain(name, NAME_CHARS), safe="")}">{_text(name, NAME_CHARS)}</a>'


def _trust(page: ReportPage) -> str:
    warnings = _list("Warnings", page.warnings) if page.warnings else "<p>No warnings.</p>"
    return (
        f"<section><h2>How far to trust it</h2>{_facts(page.quality)}{warnings}{_list('To try', page.hints)}</section>"
    )


def _run(page: ReportPage) -> str:
    rows = [
        f"<tr><td>{_text(name)}</td><td>{seconds:,.1f}</td><td>{'' if rate is None else f'{rate:,.0f}'}</td></tr>"
        for name, seconds, rate in page.stages
    ]
    head = "<thead><tr><th>Stage</th><th>Seconds</th><th>Rows per second</th></tr></thead>"
    return f"<section><h2>The run</h2><table class='numbers'>{head}<tbody>{''.join(rows)}</tbody></table></section>"


def _facts(facts: Iterable[tuple[str, str]], kind: str = "") -> str:
    items = "".join(f"<div><dt>{_text(label)}</dt><dd>{_text(value)}</dd></div>" for label, value in facts)
    return f'<dl class="{kind}">{items}</dl>'


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return f"<h3>{title}</h3><ul>{''.join(f'<li>{_text(line)}</li>' for line in lines)}</ul>"


def _text(text: str | None, limit: int = 400) -> str:
    return f'<bdi dir="auto">{html.escape(plain(text, limit))}</bdi>'


def _meta(line: Line, days_only: bool) -> str:
    parts = [_text(line.source, _SOURCE_CHARS)] if line.source else []
    parts += [_span(line.when, line.when, days_only)] if line.when is not None else []
    return f' <span class="meta">{" · ".join(parts)}</span>' if parts else ""


def _time(seconds: float, days_only: bool) -> str:
    return time.strftime("%d %b %Y" if days_only else "%d %b %Y %H:%M", time.gmtime(seconds))


def _span(first: float | None, last: float | None, days_only: bool) -> str:
    """From the first to the last second; "" where they are not known."""
    if first is None or last is None:
        return ""
    begin, end = _time(first, days_only), _time(last, days_only)
    if begin != end and first // _DAY == last // _DAY:
        end = time.strftime("%H:%M", time.gmtime(last))
    return (begin if begin == end else f"{begin} – {end}") + ("" if days_only else " UTC")


def _bin_name(page: ReportPage, number: int) -> str:
    """The time of a bin: its days, or its first moment and the one at which the next bin begins."""
    assert page.bins is not None
    start, width = page.bins
    first, end = start + number * width, start + (number + 1) * width
    if first % _DAY == width % _DAY == 0:
        return _span(first, end - _DAY, days_only=True)
    return _span(first, end, days_only=False)


def _sparkline(counts: Sequence[int]) -> str:
    largest, step = max(1, *counts), _SPARK_WIDTH / len(counts)
    tops = (_SPARK_HEIGHT - 1 - (_SPARK_HEIGHT - 3) * count / largest for count in counts)
    points = " ".join(f"{(i + 0.5) * step:.1f},{top:.1f}" for i, top in enumerate(tops))
    size = f'width="{_SPARK_WIDTH}" height="{_SPARK_HEIGHT}" viewBox="0 0 {_SPARK_WIDTH} {_SPARK_HEIGHT}"'
    return f'<svg class="spark" {size} aria-hidden="true"><polyline points="{points}"/></svg>'


def _figures(page: ReportPage) -> dict[str, Any]:
    """What the script draws: rows over time, of all stories and of the largest ones."""
    if not page.total_counts or not page.bins:
        return {}
    start, width = page.bins
    count = len(page.total_counts)
    middles = [
        time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(start + (number + 0.5) * width)) for number in range(count)
    ]
    stories = [
        {"name": plain(story.name, 60), "counts": list(story.counts)} for story in page.stories[:5] if story.counts
    ]
    names = [_bin_name(page, number) for number in range(count)]
    return {"times": middles, "names": names, "all": list(page.total_counts), "stories": stories, "width": width}
