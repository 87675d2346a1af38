"""Shared by the tests of the map in a browser: one Chromium for each file, and maps opened in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, Page

from job.backends.pages.map import write_map
from job.backends.pages.points import MapPoints
from pages.map_browser import Open


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Write a map and open it; wait until it is drawn and its texts are there."""
    pages: list[Page] = []

    def open_map(shown: MapPoints, limit: int = 25_000_000, title: str = "A map & <more>", **settings: Any) -> Page:
        path = tmp_path / "map.html"
        write_map(shown, title, limit, path)
        page = browser.open(path, **settings)
        pages.append(page)
        page.wait("document.documentElement.dataset.ready || document.querySelector('.notice[role=alert]')")
        browser.listen(0.3)
        return page

    yield open_map
    for page in pages:
        page.close()
