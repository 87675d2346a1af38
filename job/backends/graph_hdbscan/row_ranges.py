"""Run numba kernels over ranges of rows in parallel: the kernels release the GIL, so Python threads are enough."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

# large enough that the cost of a call does not matter, small enough that all threads end at about the same time
ROWS_PER_RANGE = 1 << 16

T = TypeVar("T")


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_row_ranges(kernel: Callable[[int, int], T], n: int, threads: int, rows: int | None = None) -> list[T]:
    """The results of `kernel(start, stop)` for consecutive ranges that cover 0 ... n, in the order of the ranges.

    `rows`: of a range, None: `ROWS_PER_RANGE`. The ranges do not depend on `threads`, so the results do not either.
    """
    rows = ROWS_PER_RANGE if rows is None else rows
    ranges = [(start, min(start + rows, n)) for start in range(0, n, rows)]
    if threads == 1 or len(ranges) <= 1:
        return [kernel(start, stop) for start, stop in ranges]
    with ThreadPoolExecutor(min(threads, len(ranges))) as pool:
        return list(pool.map(lambda limits: kernel(*limits), ranges))
