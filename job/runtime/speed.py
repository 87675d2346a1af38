"""How fast this machine is, beside the one that the estimates of the stages were fitted on."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# seconds that the two pieces of work below take on 2 cores of an Intel Xeon with AMX (AVX-512, 24 GB)
_LOOPS, _PRODUCTS = 0.15, 0.053


@dataclass(frozen=True)
class Speed:
    """Times as fast as the machine of the estimates: in code that computes row by row, and in matrix products."""

    loops: float
    products: float


def measure_speed() -> Speed:
    """Do two small pieces of work, together about a second."""
    rng = np.random.default_rng(0)
    numbers = rng.random(1_000_000)
    square = rng.random((2_048, 2_048), np.float32)

    def loop() -> None:
        # the fast sorts differ from processor to processor by more than the stages do
        np.argsort(numbers, kind="stable")
        sum(number * number for number in range(1_000_000))

    return Speed(_LOOPS / _fastest(loop), _PRODUCTS / _fastest(lambda: square @ square))


def _fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of five."""
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)
