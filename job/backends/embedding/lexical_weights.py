"""BGE-M3's lexical weights: one number per token, from the same forward pass as the vector, for sparse search.

As FlagEmbedding defines them: relu(linear(last hidden state)); if a token occurs several times in a text, the largest
of its weights; special tokens have none.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from job.backends.embedding.batches import Batch
from job.data import Ints

ENTRY = np.dtype([("row", np.int32), ("token", np.int32), ("weight", np.float32)])
LexicalEntries = npt.NDArray[np.void]


def lexical_entries(
    batches: Sequence[Batch], ids: Ints, weights: npt.NDArray[Any], unused_ids: Sequence[int]
) -> LexicalEntries:
    """One `ENTRY` per distinct token of a text, sorted by row and token.

    `ids` and `weights` [total] are in the order of `pack_tokens`; tokens in `unused_ids` have no weight.
    """
    rows = np.concatenate([np.repeat(batch.rows, batch.length) for batch in batches] or [np.zeros(0, np.int64)])
    kept = np.flatnonzero((weights > 0) & ~np.isin(ids, unused_ids))
    order = kept[np.lexsort((ids[kept], rows[kept]))]
    found = np.empty(len(order), ENTRY)
    found["row"], found["token"], found["weight"] = rows[order], ids[order], weights[order]
    is_first = np.ones(len(found), bool)
    is_first[1:] = (found["row"][1:] != found["row"][:-1]) | (found["token"][1:] != found["token"][:-1])
    largest = found[is_first]
    if len(found):
        largest["weight"] = np.maximum.reduceat(found["weight"], np.flatnonzero(is_first))
    return largest
