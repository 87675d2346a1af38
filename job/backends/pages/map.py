"""The map: one offline HTML page. Plotly draws the points, `static/` all that lies over and beside them."""

from pathlib import Path

from job.backends.pages.document import as_json, document, joined, static
from job.backends.pages.payload import pack
from job.backends.pages.plain import plain
from job.backends.pages.points import MapPoints

_SCRIPTS = (
    "show.js",
    "data.js",
    "state.js",
    "flat_view.js",
    "space_view.js",
    "cloud.js",
    "highlight.js",
    "labels.js",
    "nearest.js",
    "tooltip.js",
    "pointer.js",
    "search.js",
    "sparkline.js",
    "rove.js",
    "addresses.js",
    "list.js",
    "themes.js",
    "panel.js",
    "brush.js",
    "keys.js",
    "permalink.js",
    "map.js",
)
_TITLE_CHARS = 200


def write_map(points: MapPoints, title: str, max_bytes: int, path: Path) -> None:
    """Write the page, in at most `max_bytes` where the points allow it: without descriptions, or with the titles of a
    sample, and it says so. The same points make the same bytes."""
    from plotly.offline import get_plotlyjs

    plotly, script, style, body = get_plotlyjs(), joined(_SCRIPTS), static("map.css"), static("map.html")
    fixed = len(plotly.encode()) + len(script.encode()) + len(style.encode()) + len(body.encode()) + 4_096
    title = plain(title, _TITLE_CHARS)
    payload = pack(points, max_bytes - fixed)
    data = {"about": as_json({"title": title, **payload.about}), **payload.strings}
    path.write_text(document(title, body, style, [script], data, {"plotly": plotly}), encoding="utf-8")
