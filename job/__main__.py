"""`python -m job`, and the console script `headline-clusters`."""

import gc

from job.cli import main


def script() -> None:
    """Run the command line and exit with its code."""
    # the libraries' objects live to the end: walking them over and over costs a second at their import
    gc.set_threshold(50_000, 10, 10)
    code = main()
    # and nearly two when the interpreter ends
    gc.freeze()
    raise SystemExit(code)


if __name__ == "__main__":
    script()
