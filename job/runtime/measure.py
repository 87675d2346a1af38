"""Elapsed seconds, the peak memory of the process, and the size of a run that memory is estimated from."""

import resource
import sys
import time
from dataclasses import dataclass


class Meter:
    """A stopwatch that starts when it is created."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start


def peak_mb() -> int:
    """Peak resident memory of this process so far, in MiB, as the kernel counts it."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)


@dataclass(frozen=True)
class Size:
    """The size of a run, for estimates: `rows` headlines of 300 bytes, `dim` dimensions, `k` neighbors, `weights` bytes
    of a model."""

    rows: int
    dim: int
    k: int
    weights: float

    @property
    def texts(self) -> int:
        return 300 * self.rows

    @property
    def vectors(self) -> int:
        """Bytes in float16; float32 takes twice as many."""
        return 2 * self.dim * self.rows

    @property
    def graph(self) -> int:
        return 8 * self.k * self.rows
