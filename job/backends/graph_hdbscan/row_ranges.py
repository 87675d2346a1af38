"""Kernels over ranges of rows, side by side: numba kernels that release the GIL, in Python's own threads."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

# rows a range: enough to make the call worth it, and few enough that the threads end together
ROWS = 1 << 16

T = TypeVar("T")


def usable_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def over_rows(kernel: Callable[[int, int], T], n: int, threads: int) -> list[T]:
    """`kernel(start, stop)` for ranges that make up 0 ... n, the results in the order of the ranges.

    The ranges do not depend on `threads`, so neither do the results.
    """
    ranges = [(start, min(start + ROWS, n)) for start in range(0, n, ROWS)]
    if threads == 1 or len(ranges) == 1:
        return [kernel(start, stop) for start, stop in ranges]
    with ThreadPoolExecutor(min(threads, len(ranges))) as pool:
        return list(pool.map(lambda limits: kernel(*limits), ranges))
