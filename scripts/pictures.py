"""Take the README's pictures of the map and of the report, in Chromium, from a finished run of the demo.

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
    run = parser.parse_args().run
    ready = {"map": "document.documentElement.dataset.ready", "report": "document.querySelector('#over-time .trace')"}
    for name in ready:
        if not (run / f"{name}.html").is_file():
            raise SystemExit(f"there is no file {run}/{name}.html: run the demo first, with bash scripts/demo.sh")
    with tempfile.TemporaryDirectory() as folder, Browser(Path(folder)) as browser:
        for name, condition in ready.items():
            page = browser.open(run / f"{name}.html", WIDTH, HEIGHT)
            page.wait(condition)
            browser.listen(1)
            page.screenshot(SAMPLE / f"{name}.png")


if __name__ == "__main__":
    main()
