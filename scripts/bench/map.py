"""The map in Chromium: size, seconds to the first picture, cost of a mouse move over a blank spot, search, names.

    .venv/bin/python scripts/bench/map.py --quick --data FILE
    .venv/bin/python scripts/bench/map.py --data FILE --tutorial CSV

`--data`: a Parquet file with `title`, `story_merged`, `source` and `time`, in which the titles of a story are a story
of the map. Their places are drawn at random around one place per story, because embedding so many takes too long here:
the page has the same work with any places. `--tutorial`: headlines that go through the whole job first, with its
demo's configuration and the recipe `stories`; their `map.html` is measured. `--addresses`: each headline has an
address too, made of its source, a date, six words of its title and a number, as most newspapers' are.

WebGL is drawn by software (SwiftShader): a card is much faster. Figures, each from one page that nothing else uses:

- picture: seconds from the navigation to the file until the points and names are on the screen, by the page's clock
- live: the same until Plotly, which is read after the first picture, has drawn the points, and they can be moved
- move: main-thread milliseconds for one real mouse move, over 60 moves where no point is near
- search: milliseconds from the change of the search field until the hits are on the canvas, each word three times
  from an empty field: median and largest of the words' medians
- names: at six zooms, how many there are, and how many pairs overlap or leave the map
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from real_headlines import TUTORIAL, TUTORIAL_SOURCE, UCI, UCI_SOURCE, require

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from browser import Browser, Page  # noqa: E402

from job.backends.pages.map import write_map  # noqa: E402
from job.backends.pages.points import MapPoints, MapStory  # noqa: E402

SPRING = UCI.with_name("uci_spring.parquet")
COUNT, QUICK_COUNT, LIMIT = 240_000, 20_000, 25_000_000
WORDS = ["apple", "google glass", "the", "e", "kim kardashian wedding", "zzzz", "ukraine", "ebola virus africa"]
REPEATS, MOVES, ZOOMS = 3, 60, (1, 2, 4, 8, 16, 32)
BARS = {"megabytes": 25.0, "picture": 10.0, "move": 10.0, "search": 100.0}
SMALL_BARS = {"megabytes": 6.0, "picture": 2.0, "move": 10.0, "search": 100.0}


def addresses(titles: list[str], sources: list[str]) -> list[str]:
    """An address for each title."""
    numbers = np.random.default_rng(1).integers(10**6, 10**8, len(titles))
    sites = ["".join(filter(str.isalnum, source.lower())) or "example" for source in sources]
    slugs = ["-".join(re.findall("[a-z0-9]+", title.lower())[:6]) for title in titles]
    return [
        f"https://www.{site}.com/news/2014/{number % 3 + 3:02}/{number % 28 + 1:02}/{slug}-{number}.html"
        for site, slug, number in zip(sites, slugs, numbers.tolist(), strict=True)
    ]


def headlines(path: Path, count: int, linked: bool = False) -> MapPoints:
    """The first `count` headlines of the file, in their stories, at places that are drawn. `linked`: with addresses."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["title", "story_merged", "source", "time"]).slice(0, count)
    stories, labels, sizes = np.unique(table["story_merged"].to_pylist(), return_inverse=True, return_counts=True)
    by_size = np.argsort(-sizes, kind="stable")
    labels = np.argsort(by_size)[labels].astype(np.int32)
    sources, source = np.unique([name or "" for name in table["source"].to_pylist()], return_inverse=True)
    titles = table["title"].to_pylist()
    first = {label: titles[row] for row, label in reversed(list(enumerate(labels.tolist())))}
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(len(stories), 2))
    spread = 0.0015 * np.sqrt(np.bincount(labels))[labels, None]
    layout = centers[labels] + spread * rng.normal(size=(len(labels), 2))
    # one in ten is noise, as in a run
    labels[rng.random(len(labels)) < 0.1] = -1
    return MapPoints(
        layout=layout.astype(np.float32),
        labels=labels,
        stories=[MapStory(number, first[number]) for number in range(len(stories))],
        titles=titles,
        descriptions=[None] * len(titles),
        copies=np.ones(len(titles), np.int32),
        times=table["time"].cast("int64").to_numpy() / 1e6,
        sources=source.astype(np.int32),
        source_names=[str(name) for name in sources],
        addresses=addresses(titles, sources[source].tolist()) if linked else None,
    )


def tutorial_run(path: Path, folder: Path) -> Path:
    """The map of a whole run on the tutorial's headlines."""
    command = [sys.executable, "-m", "job", "run", "configs/demo.yaml", f"input.path={path}"]
    command += ["cluster.recipe=stories", f"run_dir={folder}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder / "map.html"


def measure(page_file: Path, folder: Path) -> dict[str, Any]:
    """The figures of one page."""
    with Browser(folder) as browser:
        # Chromium's own start is not the page's
        browser.open(ROOT / "scripts" / "README.md")
        times = []
        for repeat in range(REPEATS):
            page = browser.open(page_file, 1440, 900)
            page.wait("document.documentElement.dataset.ready")
            marks = "['map-drawn', 'map-live'].map((name) => performance.getEntriesByName(name)[0].startTime / 1000)"
            times.append(page.evaluate(marks))
            if repeat + 1 < REPEATS:
                page.close()
        picture, live = np.median(np.array(times), axis=0).tolist()
        browser.listen(2)
        found = {"megabytes": page_file.stat().st_size / 1e6, "picture": picture, "live": live}
        found |= {"move": move_ms(page), **search_ms(page), **names_at_zooms(page)}
        found["errors"] = len(page.errors)
        found["requests"] = len([url for url in page.requests if url.startswith(("http", "ws"))])
    return found


def move_ms(page: Page) -> float:
    """Main-thread milliseconds of one mouse move where no point is within 30 pixels."""
    page.call("Performance.enable")
    box = page.evaluate(
        "(b => [b.left, b.top, b.width, b.height])(document.getElementById('map').getBoundingClientRect())"
    )
    blank = [(box[0] + 4 + step % 12, box[1] + 4 + step // 12) for step in range(MOVES)]
    page.mouse("mouseMoved", *blank[0])
    page.browser.listen(0.5)

    def busy() -> float:
        metrics = {item["name"]: item["value"] for item in page.call("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"])

    before = busy()
    for x, y in blank:
        page.mouse("mouseMoved", x, y)
    page.browser.listen(0.2)
    assert page.evaluate("document.getElementById('tooltip').hidden"), "the corner of the map is not blank"
    return 1000 * (busy() - before) / MOVES


def search_ms(page: Page) -> dict[str, Any]:
    """Milliseconds of searches, and how many headlines each found."""
    ask = """async (word) => {
        const field = document.getElementById('query'), start = performance.now();
        field.value = word;
        field.dispatchEvent(new Event('input'));
        await new Promise((resolve) => requestAnimationFrame(() => resolve()));
        const time = performance.now() - start;
        await new Promise((resolve) => setTimeout(resolve, 300));
        return [time, document.getElementById('found').textContent];
    }"""
    answers = {}
    for word in WORDS:
        tries = [page.evaluate(f"({ask})({json.dumps(typed)})") for _ in range(REPEATS) for typed in (word, "")][::2]
        answers[word] = float(np.median([time for time, _ in tries])), tries[0][1]
    times = [time for time, _ in answers.values()]
    return {"search": max(times), "search_median": float(np.median(times)), "found": answers}


def names_at_zooms(page: Page) -> dict[str, Any]:
    """How many names the zooms show, and how many of them overlap another or leave the map."""
    boxes = """(() => { const map = document.getElementById('map').getBoundingClientRect();
        return [[0, 0, map.width, map.height], ...[...document.querySelectorAll('.name:not(.off)')].map((node) => {
            const b = node.getBoundingClientRect();
            return [b.left - map.left, b.top - map.top, b.right - map.left, b.bottom - map.top]; })]; })()"""
    counts, wrong = [], 0
    for zoom in ZOOMS:
        if zoom > 1:
            page.evaluate("document.getElementById('map').focus()")
            for _ in range(2):
                page.press("+", 187, "+")
                page.browser.listen(0.5)
        page.browser.listen(1.5)
        outer, *inner = page.evaluate(boxes)
        counts.append(len(inner))
        wrong += sum(a[0] < 0 or a[1] < 0 or a[2] > outer[2] or a[3] > outer[3] for a in inner)
        wrong += sum(
            a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
            for i, a in enumerate(inner)
            for b in inner[i + 1 :]
        )
    return {"names": counts, "names_wrong": wrong}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help=f"only {QUICK_COUNT:,} headlines, no run of the tutorial's"
    )
    parser.add_argument("--count", type=int, help="headlines of the large map")
    parser.add_argument(
        "--data", type=Path, default=SPRING, help="a Parquet file with title, story_merged, source, time"
    )
    parser.add_argument("--addresses", action="store_true", help="every headline has an address")
    parser.add_argument("--tutorial", type=Path, default=TUTORIAL, help="the tutorial's CSV file")
    arguments = parser.parse_args()
    require(arguments.data, f"a Parquet file with title, story_merged, source and time, such as that of {UCI_SOURCE}")
    count = arguments.count or (QUICK_COUNT if arguments.quick else COUNT)
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, software WebGL")
    print(
        f"{'headlines':>10} {'MB':>6} {'picture s':>9} {'live s':>6} {'move ms':>8} {'search ms':>16}   "
        "names at zoom 1 ... 32"
    )
    summary: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not arguments.quick:
            require(arguments.tutorial, TUTORIAL_SOURCE)
            small = measure(tutorial_run(arguments.tutorial, folder / "run"), folder)
            summary |= shown("tutorial", small, SMALL_BARS)
        write_map(
            headlines(arguments.data, count, arguments.addresses),
            "Headlines of spring 2014",
            LIMIT,
            folder / "large.html",
        )
        summary |= shown(f"{count:,}", measure(folder / "large.html", folder), BARS)
    print(json.dumps(summary))


def shown(name: str, found: dict[str, Any], bars: dict[str, float]) -> dict[str, Any]:
    """Print a row, and return the figures with whether they keep to the bars."""
    search = f"{found['search_median']:.0f}, at most {found['search']:.0f}"
    seconds = f"{found['picture']:>9.2f} {found['live']:>6.2f}"
    print(f"{name:>10} {found['megabytes']:>6.1f} {seconds} {found['move']:>8.2f} {search:>16}", end="   ")
    print(f"{found['names']}, {found['names_wrong']} overlapping or outside", flush=True)
    for word, (ms, text) in found["found"].items():
        print(f"{'':>28} {word!r}: {text}, {ms:.0f} ms")
    assert not found["errors"] and not found["requests"], "the console has errors, or the page asked for something"
    figures = {name: round(found[name], 2) for name in (*bars, "live")} | {"names_wrong": found["names_wrong"]}
    held = all(found[bar] <= most for bar, most in bars.items()) and not found["names_wrong"]
    return {name: {**figures, "within_bars": held}}


if __name__ == "__main__":
    main()
