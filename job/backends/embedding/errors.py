"""The error for texts that cannot be embedded, and errors in words."""

import numpy as np
import numpy.typing as npt

from job.runtime.errors import JobError

# as in job.data, which imports pyarrow: too much for models.py, which only needs the words
Ids = npt.NDArray[np.int64]


class BatchError(JobError):
    """Some texts could not be embedded. `rows`: their row numbers; `what`: the reason."""

    def __init__(self, rows: Ids, what: str) -> None:
        super().__init__(f"embed: texts {some_rows(rows)}: {what}")
        self.rows, self.what = rows, what


def some_rows(rows: Ids) -> str:
    """The first five row numbers and how many more there are, in words."""
    return ", ".join(f"{row:,}" for row in rows[:5]) + (f" and {len(rows) - 5:,} more" if len(rows) > 5 else "")


def one_line(error: Exception, most: int = 200) -> str:
    """An error's type and the first line of its message, at most `most` characters of it."""
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0][:most]}"
