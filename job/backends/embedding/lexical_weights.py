"""BGE-M3's lexical weights: a number a token, from the same forward pass as the vector, for sparse search.

As FlagEmbedding defines them: relu(linear(last hidden state)); of a token that stands more than once in a text the
largest; special tokens have none.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from job.backends.embedding.batches import Batch
from job.data import Ints

ENTRY = np.dtype([("row", np.int32), ("token", np.int32), ("weight", np.float32)])
Entries = npt.NDArray[np.void]


def entries(batches: Sequence[Batch], ids: Ints, weights: npt.NDArray[Any], unused: Sequence[int]) -> Entries:
    """One `ENTRY` a distinct token of a text, by row and token, from `ids` and `weights` as `lay_out` orders them."""
    rows = np.concatenate([np.repeat(batch.rows, batch.length) for batch in batches] or [np.zeros(0, np.int64)])
    keep = np.flatnonzero((weights > 0) & ~np.isin(ids, unused))
    order = keep[np.lexsort((ids[keep], rows[keep]))]
    found = np.empty(len(order), ENTRY)
    found["row"], found["token"], found["weight"] = rows[order], ids[order], weights[order]
    new = np.ones(len(found), bool)
    new[1:] = (found["row"][1:] != found["row"][:-1]) | (found["token"][1:] != found["token"][:-1])
    largest = found[new]
    if len(found):
        largest["weight"] = np.maximum.reduceat(found["weight"], np.flatnonzero(new))
    return largest
