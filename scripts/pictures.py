"""Take the README's picture of the map, in Chromium, from a finished run of the demo.

bash scripts/demo.sh
.venv/bin/python scripts/pictures.py runs/demo
"""

import argparse
import tempfile
from pathlib import Path

from browser import Browser

SAMPLE = Path(__file__).parents[1] / "job" / "sample"
WIDTH, HEIGHT = 1280, 760


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a finished run")
    page_file = parser.parse_args().run / "map.html"
    if not page_file.is_file():
        raise SystemExit(f"there is no file {page_file}: run the demo first, with bash scripts/demo.sh")
    with tempfile.TemporaryDirectory() as folder, Browser(Path(folder)) as browser:
        page = browser.open(page_file, WIDTH, HEIGHT)
        page.wait("document.documentElement.dataset.ready")
        browser.listen(1)
        page.screenshot(SAMPLE / "map.png")


if __name__ == "__main__":
    main()
