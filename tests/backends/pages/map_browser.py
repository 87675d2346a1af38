"""What the tests of the map in a browser share: what a reader sees of a page, and what he does to it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from browser import CHROMIUM, Page

in_a_browser = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]
slow = pytest.mark.slow
# the noise's gray on the map's ground, and the first color of the palette
NOISE, FIRST = (205, 207, 209), (110, 151, 194)
Open = Callable[..., Page]
WIDTHS = [(1440, 900), (390, 844)]

COUNT_PIXELS = """async (data, r, g, b) => {
    const image = new Image();
    image.src = 'data:image/png;base64,' + data;
    await image.decode();
    const canvas = document.createElement('canvas');
    Object.assign(canvas, {width: image.width, height: image.height});
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, image.width, image.height).data;
    let count = 0;
    for (let i = 0; i < pixels.length; i += 4) {
        if (Math.abs(pixels[i] - r) + Math.abs(pixels[i + 1] - g) + Math.abs(pixels[i + 2] - b) < 60) count++;
    }
    return count;
}"""


def texts(page: Page, selector: str) -> list[str]:
    """The texts of the elements that are shown."""
    nodes = f"[...document.querySelectorAll({json.dumps(selector)})]"
    found: list[str] = page.evaluate(f"{nodes}.filter(n => n.checkVisibility()).map(n => n.innerText)")
    return found


def box(page: Page, selector: str) -> list[float]:
    found: list[float] = page.evaluate(
        "(b => [b.left, b.top, b.right, b.bottom])"
        f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
    )
    return found


def middle(page: Page, selector: str) -> tuple[float, float]:
    left, top, right, bottom = box(page, selector)
    return (left + right) / 2, (top + bottom) / 2


def click(page: Page, selector: str) -> None:
    page.click(*middle(page, selector))
    page.settle(0.5)


def search(page: Page, words: str) -> None:
    click(page, "#query")
    page.evaluate("document.getElementById('query').select()")
    page.type(words)
    page.settle(0.4)


def ranges(page: Page) -> list[float]:
    """The left, right, lower and upper end of what the map shows."""
    found: list[float] = page.evaluate(
        "(l => [...l.xaxis.range, ...l.yaxis.range])(document.getElementById('plot')._fullLayout)"
    )
    return found


def on_screen(page: Page, layout: Any) -> list[tuple[float, float]]:
    """Where the point of each row lies in a map of two dimensions. `layout` float32 [n, 2]."""
    left, top, right, bottom = box(page, "#map")
    x0, x1, y0, y1 = ranges(page)
    x, y = ((layout - layout.min(axis=0)) / (layout.max(axis=0) - layout.min(axis=0))).T
    places = left + (x - x0) / (x1 - x0) * (right - left), top + (y1 - y) / (y1 - y0) * (bottom - top)
    return list(zip(*(axis.tolist() for axis in places), strict=True))


def tap(page: Page, x: float, y: float) -> None:
    """A finger that trembles by a pixel."""
    page.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
    page.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": x + 1, "y": y}])
    page.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    page.settle(0.4)


def pixels(page: Page, color: tuple[int, int, int]) -> int:
    """How many pixels of the map have about this color."""
    left, top, right, bottom = box(page, "#map")
    clip = {"x": left, "y": top, "width": right - left, "height": bottom - top, "scale": 1}
    data = page.call("Page.captureScreenshot", format="png", clip=clip)["data"]
    return int(page.evaluate(f"({COUNT_PIXELS})({json.dumps(data)}, {', '.join(map(str, color))})"))


def names(page: Page) -> list[list[float]]:
    """The boxes of the names on the map, after checking that none overlaps another, leaves the map, or is cut."""
    boxes: list[list[float]] = page.evaluate(
        "[...document.querySelectorAll('.name:not(.off)')].map(n => n.getBoundingClientRect())"
        ".map(b => [b.left, b.top, b.right, b.bottom])"
    )
    outer = box(page, "#map")
    for a in boxes:
        assert a[0] >= outer[0] and a[1] >= outer[1] and a[2] <= outer[2] and a[3] <= outer[3], (a, outer)
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)
    assert page.evaluate(
        "[...document.querySelectorAll('.name:not(.off)')].every(n => n.scrollWidth <= n.clientWidth + 1 "
        "&& n.scrollHeight <= n.clientHeight + 1 && getComputedStyle(n).textOverflow !== 'ellipsis')"
    )
    assert not any(text.endswith("…") for text in texts(page, ".name:not(.off)"))
    return boxes


def is_quiet(page: Page) -> bool:
    """Whether nothing but the file itself was asked for, and the console has no error and no warning."""
    # Plotly's own remark about how it measures text for three dimensions
    assert [error for error in page.errors if "willReadFrequently" not in error] == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert len([url for url in page.requests if url.startswith("file:")]) == 1
    return True
