"""Makes configurations of random words, values and texts: each must be accepted, or refused in one error of the user's.

The examples are those of tests/test_config_fuzz.py, and many more of them. What goes wrong is printed, one example of
each kind; the test finds the smallest one.
    .venv/bin/python scripts/faults/fuzz_config.py                      10,000 examples of each
    .venv/bin/python scripts/faults/fuzz_config.py --examples 500 --seed 2
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.configuration import set_hypothesis_home_dir

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from test_config_fuzz import CASES, accepted_or_refused


class Tally:
    """What came of the examples of one case."""

    def __init__(self, make: Callable[[Any, Path], Any], path: Path) -> None:
        self.make, self.path = make, path
        self.found = Counter[str]()
        self.wrong: dict[str, str] = {}
        self.slowest = 0.0

    def __call__(self, value: object) -> None:
        start = time.perf_counter()
        try:
            said = accepted_or_refused(self.make, value, self.path)
        except Exception as error:
            said = "wrong"
            where = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
            self.wrong.setdefault(kind, f"{kind}: {str(error)[:200]!r} of {value!r}")
        self.slowest = max(self.slowest, time.perf_counter() - start)
        self.found[said] += 1


def fuzz(case: str, examples: int, number: int, folder: Path) -> Tally:
    """Try so many examples of a case."""
    strategy, make = CASES[case]
    tally = Tally(make, folder / "any.yaml")
    # no shrinking: nothing fails, and no example is kept for later
    limits = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    seed(number)(limits(given(value=strategy)(lambda value: tally(value))))()
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=10_000, metavar="N", help="of each of the three cases")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"seed": arguments.seed}
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        set_hypothesis_home_dir(folder)
        for case in CASES:
            tally = fuzz(case, arguments.examples, arguments.seed, Path(folder))
            for line in tally.wrong.values():
                print(f"{case}: {line}", flush=True)
            print(
                f"{case:<15} {tally.found.total():>7,}: {dict(tally.found)}, slowest {tally.slowest:.2f} s", flush=True
            )
            figures[case] = dict(tally.found)
            wrong += tally.found["wrong"]
    print(json.dumps(figures | {"wrong": wrong}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
