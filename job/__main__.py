"""`python -m job`."""

import gc

from job.cli import main

if __name__ == "__main__":
    # the libraries' objects live to the end: walking them over and over costs a second at their import
    gc.set_threshold(50_000, 10, 10)
    code = main()
    # and nearly two when the interpreter ends
    gc.freeze()
    raise SystemExit(code)
