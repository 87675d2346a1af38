"""The map's page: what it draws, and that a headline in it is never more than text."""

import base64
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from job.backends.pages.map import MapPoints, write_map

ATTACK = "<script>alert(1)</script>"
HOSTILE = [
    ATTACK,
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!--<script>",
    '"}]);alert(1);//',
    "%{x} {title} {{}} %s",
    "&lt;b&gt; & &amp;",
    'it\'s "quoted" \\ back\u2028slash',
]


def points(n: int = 40, dimensions: int = 2, clusters: int = 3, **changes: Any) -> MapPoints:
    rng = np.random.default_rng(0)
    settings: dict[str, Any] = {
        "layout": rng.normal(size=(n, dimensions)).astype(np.float32),
        "labels": (np.arange(n) % (clusters + 1) - 1).astype(np.int32),
        "names": [f"story {c}" for c in range(clusters)],
        "titles": [f"title {row}" for row in range(n)],
        "descriptions": [f"description {row}" if row % 2 else None for row in range(n)],
        "copies": np.ones(n, np.int32),
    }
    return MapPoints(**(settings | changes))


class Page(HTMLParser):
    """A page as a browser sees it: its tags, its texts, and the traces and settings that its script draws with."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.texts: dict[str, str] = {}
        self._within = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        start = self.source.rindex("Plotly.newPlot(")
        read = json.JSONDecoder().raw_decode
        self.traces: list[dict[str, Any]]
        self.settings: dict[str, Any]
        self.traces, end = read(self.source, self.source.index("[", start))
        self.settings, _ = read(self.source, self.source.index("{", end))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._within = tag
        self.attributes += [name for name, _ in attrs]

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        self.texts[self._within] = self.texts.get(self._within, "") + data

    @property
    def point_traces(self) -> list[dict[str, Any]]:
        return [trace for trace in self.traces if trace["mode"] == "markers"]

    @property
    def names(self) -> list[str]:
        return [text for trace in self.traces if trace["mode"] == "text" for text in trace["text"]]

    @property
    def hovers(self) -> list[str]:
        return [text for trace in self.point_traces for text in trace.get("text", [])]


def drawn(path: Path, shown: MapPoints, title: str = "Map", hover_rows: int = 1000) -> Page:
    write_map(shown, title, hover_rows, path)
    return Page(path)


def count(trace: dict[str, Any]) -> int:
    """The number of points in a trace."""
    x = trace["x"]
    return len(np.frombuffer(base64.b64decode(x["bdata"]), x["dtype"])) if isinstance(x, dict) else len(x)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "map.html"


@pytest.mark.parametrize("dimensions", [2, 3])
def test_all_points_are_drawn_with_clusters_and_noise_in_separate_traces(path: Path, dimensions: int) -> None:
    page = drawn(path, points(dimensions=dimensions))
    assert [trace["name"] for trace in page.point_traces] == ["3 clusters", "noise (25%)"]
    assert [count(trace) for trace in page.point_traces] == [30, 10]
    assert all(trace["showlegend"] for trace in page.point_traces)
    assert ("z" in page.traces[0]) == (dimensions == 3)
    assert {trace["type"] for trace in page.point_traces} == {"scattergl" if dimensions == 2 else "scatter3d"}
    assert len(page.hovers) == 40


@pytest.mark.parametrize("dimensions", [2, 3])
def test_without_noise_or_without_clusters_there_is_one_trace(path: Path, dimensions: int) -> None:
    without_noise = points(dimensions=dimensions, labels=np.arange(40, dtype=np.int32) % 3)
    assert [trace["name"] for trace in drawn(path, without_noise).point_traces] == ["3 clusters"]
    only_noise = points(dimensions=dimensions, labels=np.full(40, -1, np.int32), names=[])
    page = drawn(path, only_noise)
    assert [trace["name"] for trace in page.traces] == ["noise (100%)"]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_one_point_is_a_map(path: Path, dimensions: int) -> None:
    one = points(1, dimensions, clusters=0)
    assert [count(trace) for trace in drawn(path, one).point_traces] == [1]


def test_the_page_states_the_number_of_headlines_and_clusters_and_the_noise_share(path: Path) -> None:
    page = drawn(path, points(), title="My map")
    assert page.texts["h1"] == page.texts["title"] == "My map"
    assert page.texts["p"].startswith("40 headlines · 3 clusters · 25% noise. ")


def test_hover_text_is_title_description_cluster_and_copies(path: Path) -> None:
    copies = np.ones(40, np.int32)
    copies[1] = 7
    page = drawn(path, points(copies=copies))
    assert "<b>title 1</b><br>description 1<br><i>cluster 0: story 0 · 7 copies</i>" in page.hovers
    assert "<b>title 2</b><br><i>cluster 1: story 1</i>" in page.hovers
    assert "<b>title 4</b><br><i>noise</i>" in page.hovers


def test_long_texts_are_cut_and_wrapped(path: Path) -> None:
    page = drawn(path, points(1, clusters=0, titles=["word " * 500], descriptions=["x" * 5000]))
    assert len(page.hovers[0]) < 700
    assert max(len(line) for line in page.hovers[0].split("<br>")) <= 80
    assert "…" in page.hovers[0]


def test_a_name_that_would_overlap_a_larger_clusters_name_is_left_out(path: Path) -> None:
    layout = np.zeros((40, 2), np.float32)
    layout[np.arange(40) % 4 == 3] = 10
    # clusters 0 and 1 in one place, 2 far away
    assert drawn(path, points(layout=layout)).names == ["story 0", "story 2"]


# ---- untrusted text


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_adds_a_tag_or_an_attribute_to_the_page(path: Path, text: str, dimensions: int) -> None:
    harmless = drawn(path, points(8, dimensions))
    hostile = points(8, dimensions, names=[text] * 3, titles=[text] * 8, descriptions=[text] * 8)
    page = drawn(path, hostile, title=text)
    assert (page.tags, page.attributes) == (harmless.tags, harmless.attributes)
    assert ATTACK not in page.source
    assert page.texts["h1"] == text
    assert len(page.traces) == len(harmless.traces)


@pytest.mark.parametrize("text", HOSTILE)
def test_hover_text_has_only_our_tags_and_shows_the_text_as_it_was_written(path: Path, text: str) -> None:
    page = drawn(path, points(8, names=[text] * 3, titles=[text] * 8, descriptions=[text] * 8))
    for hover in page.hovers:
        pieces: list[str] = []
        parser = HTMLParser()
        tags: list[str] = []
        parser.handle_starttag = lambda tag, attrs, tags=tags: tags.append(tag)  # type: ignore[method-assign,misc]
        parser.handle_data = pieces.append  # type: ignore[method-assign]
        parser.feed(hover)
        parser.close()
        assert set(tags) <= {"b", "i", "br"}
        assert "".join(pieces).replace("\u2028", " ").startswith(" ".join(text.split()) * 2)


def test_names_on_the_map_are_escaped_in_2d_and_have_no_tags_in_3d(path: Path) -> None:
    assert drawn(path, points(clusters=1, names=[ATTACK])).names == ["&lt;script&gt;alert(1)&lt;/script&gt;"]
    (name,) = drawn(path, points(clusters=1, names=[ATTACK], dimensions=3)).names
    assert not {"<", ">"} & set(name)


# ---- many points


def test_above_the_limit_a_sample_has_hover_text_and_the_page_says_so(path: Path) -> None:
    page = drawn(path, points(400), hover_rows=100)
    assert len(page.hovers) == 100
    assert sum(count(trace) for trace in page.point_traces) == 400
    assert "hover text on a sample of 100" in page.texts["p"]
    assert [trace["name"] for trace in page.point_traces if trace["showlegend"]] == ["3 clusters", "noise (25%)"]
    shares = [sum(f"cluster {c}:" in hover for hover in page.hovers) for c in range(3)]
    assert all(24 <= share <= 26 for share in shares)


def test_at_the_limit_all_points_have_hover_text(path: Path) -> None:
    page = drawn(path, points(400), hover_rows=400)
    assert len(page.hovers) == 400
    assert "sample" not in page.texts["p"]


def test_a_sample_has_at_least_one_point_of_every_cluster(path: Path) -> None:
    labels = np.concatenate([np.full(200, -1, np.int32), np.repeat(np.arange(3, dtype=np.int32), [190, 5, 5])])
    page = drawn(path, points(400, labels=labels), hover_rows=40)
    assert all(any(f"cluster {c}:" in hover for hover in page.hovers) for c in range(3))


def test_a_mouse_move_over_a_blank_spot_does_not_search_all_points(path: Path) -> None:
    # plotly.js #8036: -1, the default, searches every trace of 100,000 points or more for a spike, 180 ms per move
    assert drawn(path, points()).settings["spikedistance"] == 0


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_same_points_make_the_same_bytes(tmp_path: Path, dimensions: int) -> None:
    for name in ("a.html", "b.html"):
        write_map(points(dimensions=dimensions), "Map", 10, tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_page_needs_no_network(path: Path) -> None:
    page = drawn(path, points())
    assert "src" not in page.attributes
    assert "link" not in page.tags
