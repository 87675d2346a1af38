"""Which texts make a batch: texts of one length in tokens, so that there is no padding and no mask.

The plan depends on the lengths and the budget alone, hence a shard made twice is made the same way.
"""

from dataclasses import dataclass

import numpy as np

from job.backends.embedding.tokenizer import Tokens
from job.data import Ids, Ints


@dataclass(frozen=True)
class Batch:
    """`rows` int64 [m] of texts that are run together, at `length` tokens; `padded`: some of them are shorter."""

    rows: Ids
    length: int
    padded: bool

    def __len__(self) -> int:
        return len(self.rows)


def plan(lengths: Ids, budget: int, floor: int = 0) -> list[Batch]:
    """Batches of at most `budget` tokens (one text may exceed it), longest first; every row is in one of them.

    What a length has left over below the budget joins the left-over of the next shorter one by padding where that
    takes less time, a batch's time being max(floor, its tokens): a GPU starts some 350 kernels a forward pass,
    however few the tokens. With `floor` 0, as on a CPU, no padding ever pays.
    """
    order = np.argsort(-lengths, kind="stable")
    cuts = np.flatnonzero(np.diff(lengths[order])) + 1
    batches: list[Batch] = []
    pending: Batch | None = None
    for rows in np.split(order, cuts) if len(order) else []:
        length = int(lengths[rows[0]])
        size = max(1, budget // length)
        whole = len(rows) // size * size
        batches += [Batch(rows[start : start + size], length, False) for start in range(0, whole, size)]
        if whole == len(rows):
            continue
        rest = Batch(rows[whole:], length, False)
        if pending is None:
            pending = rest
        elif _pays(pending, rest, budget, floor):
            pending = Batch(np.concatenate([pending.rows, rest.rows]), pending.length, True)
        else:
            batches.append(pending)
            pending = rest
    return batches if pending is None else [*batches, pending]


def _pays(longer: Batch, shorter: Batch, budget: int, floor: int) -> bool:
    together = (len(longer) + len(shorter)) * longer.length
    apart = max(floor, len(longer) * longer.length) + max(floor, len(shorter) * shorter.length)
    return together <= budget and max(floor, together) < apart


def lay_out(tokens: Tokens, batches: list[Batch], padding: int) -> Ints:
    """The batches' tokens one after the other, int32 [sum of rows x length], so that a batch is a view of a range."""
    flat = np.empty(sum(len(batch) * batch.length for batch in batches), np.int32)
    start = 0
    for batch in batches:
        block = flat[start : start + len(batch) * batch.length].reshape(len(batch), batch.length)
        places = tokens.offsets[batch.rows, None] + np.arange(batch.length)
        if batch.padded:
            inside = np.arange(batch.length) < tokens.lengths[batch.rows, None]
            block[...] = np.where(inside, tokens.ids[np.minimum(places, len(tokens.ids) - 1)], padding)
        else:
            np.take(tokens.ids, places, out=block)
        start += block.size
    return flat
