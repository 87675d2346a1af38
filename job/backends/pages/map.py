"""The map: one offline HTML page by Plotly, in which a headline cannot run any script."""

import html
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from job.data import Floats, Ints

LABELED_CLUSTERS = 60
_TITLE_CHARS, _DESCRIPTION_CHARS, _LINE_CHARS, _NAME_CHARS = 200, 300, 70, 36
_PAGE_PIXELS, _CHAR_PIXELS, _LINE_PIXELS = (1300.0, 800.0), 6.2, 13.0
_NOISE_COLOR = "#b8bcc4"
# Tableau's ten colors and their lighter versions, without the grays: noise is gray
_PALETTE = (
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#edc948", "#76b7b2", "#ff9da7", "#9c755f", "#1f77b4",
    "#d37295", "#499894", "#b6992d", "#8cd17d", "#a0cbe8", "#ffbe7d", "#d4a6c8", "#f1ce63", "#86bcb6", "#fabfd2",
)  # fmt: skip

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
html, body {{ margin: 0; height: 100%; font: 14px/1.4 system-ui, sans-serif; color: #222; background: #fff; }}
body {{ display: flex; flex-direction: column; }}
header {{ padding: 10px 16px 0; }}
h1 {{ font-size: 18px; margin: 0; }}
p {{ margin: 2px 0 0; color: #555; }}
main {{ flex: 1; min-height: 0; }}
main > div {{ height: 100%; }}
</style>
</head>
<body>
<header><h1>{title}</h1><p>{summary}</p></header>
<main>{figure}</main>
</body>
</html>
"""


@dataclass(frozen=True)
class MapPoints:
    """What is drawn, one point per headline.

    `layout` float32 [n, 2 or 3], `labels` int32 [n], `names` of the clusters [c], `titles`, `descriptions` and
    `copies` [n].
    """

    layout: Floats
    labels: Ints
    names: list[str]
    titles: list[str]
    descriptions: list[str | None]
    copies: npt.NDArray[np.int32]


def write_map(points: MapPoints, title: str, hover_rows: int, path: Path) -> None:
    """Write the page. With more than `hover_rows` points, only a sample of that size has hover text."""
    import plotly.graph_objects as go
    from plotly.io import to_html

    n = len(points.labels)
    noise = points.labels < 0
    has_hover = np.ones(n, np.bool_) if n <= hover_rows else _stratified_sample(points.labels, hover_rows)
    figure = go.Figure()
    for rows, name, style in (
        (np.flatnonzero(~noise), f"{len(points.names):,} clusters", _cluster_style()),
        (np.flatnonzero(noise), f"noise ({noise.mean():.0%})", {"color": _NOISE_COLOR, "size": 4, "opacity": 0.5}),
    ):
        for drawn, hover in ((rows[has_hover[rows]], True), (rows[~has_hover[rows]], False)):
            if len(drawn):
                figure.add_trace(_point_trace(points, drawn, name, style, hover))
    if points.names:
        figure.add_trace(_name_trace(points))
    hidden = {"visible": False, "showspikes": False}
    figure.update_layout(
        template="plotly_white",
        hovermode="closest",
        margin={"l": 0, "r": 0, "t": 8, "b": 0},
        legend={"orientation": "h", "y": 0, "x": 0, "yanchor": "bottom", "itemsizing": "constant"},
        hoverlabel={"align": "left", "font": {"size": 13}},
        uirevision="map",
    )
    if points.layout.shape[1] == 3:
        figure.update_scenes(xaxis=hidden, yaxis=hidden, zaxis=hidden, camera={"eye": {"x": 0.9, "y": 0.9, "z": 0.9}})
    else:
        figure.update_xaxes(**hidden)
        figure.update_yaxes(**hidden)
        # plotly.js #8036: even without spikes, each mouse move over a blank spot searches all points of a large trace
        figure.update_layout(spikedistance=0)
    div = to_html(
        figure,
        include_plotlyjs=True,
        full_html=False,
        div_id="map",
        default_height="100%",
        config={"responsive": True, "scrollZoom": True, "displaylogo": False},
    )
    page = _PAGE.format(title=html.escape(title), summary=html.escape(_summary(points, has_hover)), figure=div)
    path.write_text(page, encoding="utf-8")


def _summary(points: MapPoints, has_hover: npt.NDArray[np.bool_]) -> str:
    n = len(points.labels)
    facts = [f"{n:,} headlines", f"{len(points.names):,} clusters", f"{(points.labels < 0).mean():.0%} noise"]
    if not has_hover.all():
        facts.append(f"hover text on a sample of {int(has_hover.sum()):,}")
    return " · ".join(facts) + ". Hover for the text; click a legend entry to hide or show it; scroll to zoom."


def _cluster_style() -> dict[str, Any]:
    steps = len(_PALETTE)
    scale = [[edge / steps, color] for i, color in enumerate(_PALETTE) for edge in (i, i + 1)]
    return {"colorscale": scale, "cmin": -0.5, "cmax": steps - 0.5, "size": 5, "opacity": 0.8}


def _point_trace(points: MapPoints, rows: npt.NDArray[np.int64], name: str, style: dict[str, Any], hover: bool) -> Any:
    import plotly.graph_objects as go

    marker = dict(style)
    if "colorscale" in marker:
        marker["color"] = (points.labels[rows] % len(_PALETTE)).astype(np.uint8)
    positions = points.layout[rows]
    settings: dict[str, Any] = {
        "mode": "markers",
        "marker": marker,
        "name": name,
        "legendgroup": name,
        "showlegend": hover,
        "x": positions[:, 0],
        "y": positions[:, 1],
    }
    if hover:
        settings |= {"text": [_hover_text(points, int(row)) for row in rows], "hovertemplate": "%{text}<extra></extra>"}
    else:
        settings |= {"hoverinfo": "skip"}
    if positions.shape[1] == 3:
        return go.Scatter3d(z=positions[:, 2], **(settings | {"marker": marker | {"size": 3}}))
    return go.Scattergl(**settings)


def _name_trace(points: MapPoints) -> Any:
    """The names of the largest clusters, each above the median of its points; in 2-D without overlaps."""
    import plotly.graph_objects as go

    flat = points.layout.shape[1] == 2
    count = min(LABELED_CLUSTERS if flat else LABELED_CLUSTERS // 3, len(points.names))
    positions = np.array([np.median(points.layout[points.labels == c], axis=0) for c in range(count)])
    names = [textwrap.shorten(name, _NAME_CHARS, placeholder=" …") for name in points.names[:count]]
    kept = _without_overlaps(positions, points.layout, names) if flat else list(range(count))
    positions = positions[kept]
    settings = {
        "mode": "text",
        "name": "names",
        "text": [_escaped(names[c]) if flat else _without_tags(names[c]) for c in kept],
        "textposition": "top center",
        "textfont": {"size": 11, "color": "#222"},
        "hoverinfo": "skip",
        "x": positions[:, 0],
        "y": positions[:, 1],
    }
    return go.Scatter(**settings) if flat else go.Scatter3d(z=positions[:, 2], **settings)


def _without_overlaps(positions: Floats, layout: Floats, names: list[str]) -> list[int]:
    """The clusters whose names do not overlap on a page of typical size; larger clusters take precedence."""
    low, high = layout.min(axis=0), layout.max(axis=0)
    pixels = (positions - low) / np.maximum(high - low, 1e-9) * np.array(_PAGE_PIXELS)
    kept: list[int] = []
    for c, name in enumerate(names):
        widths = [_CHAR_PIXELS * (len(name) + len(names[other])) / 2 for other in kept]
        if all(
            abs(pixels[c, 1] - pixels[other, 1]) > _LINE_PIXELS or abs(pixels[c, 0] - pixels[other, 0]) > width
            for other, width in zip(kept, widths, strict=True)
        ):
            kept.append(c)
    return kept


def _hover_text(points: MapPoints, row: int) -> str:
    label = int(points.labels[row])
    lines = [f"<b>{_wrapped(points.titles[row], _TITLE_CHARS)}</b>"]
    if points.descriptions[row]:
        lines.append(_wrapped(str(points.descriptions[row]), _DESCRIPTION_CHARS))
    if label < 0:
        last = "noise"
    else:
        last = f"cluster {label}: {_escaped(textwrap.shorten(points.names[label], 80, placeholder=' …'))}"
    copies = int(points.copies[row])
    if copies > 1:
        last += f" · {copies} copies"
    return "<br>".join([*lines, f"<i>{last}</i>"])


def _wrapped(text: str, max_chars: int) -> str:
    if len(text) > max_chars:
        text = text[:max_chars].rstrip() + "…"
    return "<br>".join(_escaped(line) for line in textwrap.wrap(text, _LINE_CHARS)) or "&nbsp;"


def _escaped(text: str) -> str:
    # plotly decodes numeric entities and a few named ones, but not &quot;
    return html.escape(text, quote=True).replace("&quot;", "&#34;")


def _without_tags(text: str) -> str:
    """For names in 3-D: plotly draws them on a canvas, where it reads tags but no entities."""
    return text.replace("<", "‹").replace(">", "›")


def _stratified_sample(labels: Ints, count: int) -> npt.NDArray[np.bool_]:
    """A mask of `count` rows: first one of every cluster (while they last), then in proportion to cluster size."""
    order = np.argsort(labels, kind="stable")
    firsts = np.flatnonzero(np.diff(labels[order], prepend=labels.min() - 1))[:count]
    chosen = np.zeros(len(labels), np.bool_)
    chosen[order[firsts]] = True
    others = np.delete(order, firsts)
    chosen[others[np.linspace(0, len(others) - 1, count - len(firsts)).astype(np.int64)]] = True
    return chosen
