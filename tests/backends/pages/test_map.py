"""The map's document: it asks for nothing, runs nothing but its own scripts, and no text of others is markup."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from job.backends.pages.document import STATIC, as_json
from job.backends.pages.map import _SCRIPTS, write_map
from job.backends.pages.points import MapPoints
from pages.map_points import HOSTILE, hostile, points

PLENTY = 25_000_000


class Document(HTMLParser):
    """A page's elements as a browser reads them: tags, attributes, and the text of each script by its id."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.title = ""
        self._within = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._within = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        if self._within == "title":
            self.title += data

    @property
    def policy(self) -> str:
        (policy,) = [value for name, value in self.attributes if name == "content" and value and "default-src" in value]
        return policy


def written(path: Path, shown: MapPoints, title: str = "Map", limit: int = PLENTY) -> Document:
    write_map(shown, title, limit, path)
    return Document(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "map.html"


def test_the_policy_names_exactly_the_scripts_that_run(path: Path) -> None:
    page = written(path, points())
    run = [text for attributes, text in page.scripts if "type" not in attributes or attributes.get("id") == "plotly"]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
    assert sorted(re.findall(r"'sha256-([^']+)'", page.policy)) == sorted(digests)
    assert len(run) == 2 and "Plotly" in run[0]
    assert "default-src 'none'" in page.policy and "connect-src 'none'" in page.policy
    assert "unsafe-inline" not in page.policy.split("script-src")[1].split(";")[0]


def test_the_page_names_no_address_to_load(path: Path) -> None:
    page = written(path, points())
    assert not {"src", "href", "srcset", "action"} & {name for name, _ in page.attributes}
    assert not {"link", "iframe", "object", "img", "base"} & set(page.tags)


def test_hostile_texts_add_no_element_and_no_script(path: Path) -> None:
    harmless = written(path, points())
    for text in HOSTILE[:9]:
        page = written(path, hostile(), title=text)
        assert page.tags == harmless.tags
        assert page.title == text.replace("\u2028", " ")
    assert "document.title='owned'" not in path.read_text(encoding="utf-8")


def test_the_title_is_in_the_head_and_in_the_data(path: Path) -> None:
    page = written(path, points(), title="News & <views>")
    assert page.title == "News & <views>"
    (about,) = [json.loads(text) for attributes, text in page.scripts if attributes.get("id") == "about"]
    assert about["title"] == "News & <views>"


def test_json_in_a_script_has_no_character_that_ends_it() -> None:
    text: Any = as_json({"a": "</script><!-- & "})
    assert not {"<", "&"} & set(text)
    assert json.loads(text) == {"a": "</script><!-- & "}


def test_the_page_keeps_to_its_limit(path: Path) -> None:
    many = points(30_000, titles=[hashlib.sha256(str(row).encode()).hexdigest() for row in range(30_000)])
    written(path, many)
    whole = path.stat().st_size
    written(path, many, limit=whole - 400_000)
    assert path.stat().st_size <= whole - 400_000


def test_the_same_points_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_map(hostile(), "Map", PLENTY, tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_no_script_of_ours_writes_markup_or_asks_for_anything() -> None:
    for name in _SCRIPTS:
        text = (STATIC / name).read_text(encoding="utf-8")
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "fetch(",
            "XMLHttp",
            "import(",
            "eval(",
        ):
            assert word not in text, f"{name}: {word}"


def test_every_script_is_in_the_page_and_in_the_package() -> None:
    files = {file.name for file in STATIC.iterdir()}
    assert {name for name in files if name.endswith(".js")} == {*_SCRIPTS, "report.js"}
    assert len(_SCRIPTS) == len(set(_SCRIPTS))
