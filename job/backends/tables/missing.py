"""Words that programs write in place of a missing value: pandas, NumPy, Python, SQL, Excel."""

import pyarrow as pa
import pyarrow.compute as pc

_WORDS = ("nan", "NaN", "None", "null", "NULL", "<NA>", "N/A", "#N/A", "NaT")


def is_missing(text: str) -> bool:
    """Whether a text says that there is none."""
    return not text or text in _WORDS


def are_missing(column: pa.Array) -> pa.Array:
    """Whether each text of a column, not null, is one of these words."""
    return pc.is_in(column, pa.array(_WORDS))
