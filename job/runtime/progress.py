"""Progress of a long stage: a bar on a terminal, one line every 30 seconds in a log."""

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

from job.runtime.log import logger

LINE_EVERY = 30.0


class Progress:
    """Counts `unit`s up to `total`; use it as a context manager and call `update(n)`."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._done = 0
        self._start = self._last_line = time.monotonic()
        self._bar = (
            tqdm(total=total, desc=what, unit=f" {unit}", unit_scale=True, leave=False, file=sys.stderr)
            if sys.stderr.isatty()
            else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, n: int) -> None:
        """Report that `n` more units are done."""
        self._done += n
        if self._bar is not None:
            self._bar.update(n)
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY and self._done < self._total:
            self._last_line = now
            rate = self._done / (now - self._start)
            seconds_left = (self._total - self._done) / rate if rate else float("inf")
            logger.info(
                "%s: %s of %s %s (%.0f%%), %s/s, about %.0f s left",
                self._what,
                f"{self._done:,}",
                f"{self._total:,}",
                self._unit,
                100 * self._done / self._total,
                f"{rate:,.0f}",
                seconds_left,
            )
