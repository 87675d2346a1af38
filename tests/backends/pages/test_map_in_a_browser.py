"""The map in a real browser: it draws offline, and hostile headlines run no script."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from job.backends.pages.map import MapPoints, write_map

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


def points(dimensions: int) -> MapPoints:
    layout = np.random.default_rng(0).normal(size=(200, dimensions)).astype(np.float32)
    labels = (np.arange(200) % 4 - 1).astype(np.int32)
    titles = [HOSTILE, "</script><script>document.title='owned'</script>", *(f"headline {i}" for i in range(198))]
    return MapPoints(layout, labels, [HOSTILE, "b & c", "d"], titles, [None] * 200, np.ones(200, np.int32))


def opened(page: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The page's elements after its scripts ran on stdout, the browser's console on stderr; every DNS lookup fails."""
    assert CHROMIUM is not None
    flags = (
        "--headless --no-sandbox --disable-gpu --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader "
        "--disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync "
        "--enable-logging=stderr --window-size=1200,800 --virtual-time-budget=10000 --dump-dom"
    ).split()
    offline = "--host-resolver-rules=MAP * ~NOTFOUND"
    command = [CHROMIUM, *flags, offline, f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_map_draws_offline_and_hostile_headlines_stay_text(tmp_path: Path, dimensions: int) -> None:
    page = tmp_path / "map.html"
    write_map(points(dimensions), "A map & <more>", 1000, page)
    shown = opened(page, tmp_path)
    assert "<canvas" in shown.stdout
    assert "main-svg" in shown.stdout
    assert "3 clusters" in shown.stdout
    assert "<title>A map &amp; &lt;more&gt;</title>" in shown.stdout
    assert "<img" not in shown.stdout
    assert "Uncaught" not in shown.stderr
