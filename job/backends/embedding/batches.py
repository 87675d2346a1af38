"""Which texts form a batch: texts with the same number of tokens, so that there is no padding and no mask.

The batches depend only on the lengths and the budget, so a shard made twice is made the same way.
"""

from dataclasses import dataclass

import numpy as np

from job.backends.embedding.tokenizer import Tokens
from job.data import Ids, Ints


@dataclass(frozen=True)
class Batch:
    """Texts that are run together, at `length` tokens each.

    `rows` int64 [m]: their row numbers. `padded`: some of them are shorter than `length`.
    """

    rows: Ids
    length: int
    padded: bool

    def __len__(self) -> int:
        return len(self.rows)


def plan_batches(lengths: Ids, budget: int, floor: int = 0) -> list[Batch]:
    """Batches of at most `budget` tokens (a longer text is a batch of its own), longest first, with every row in one.

    The texts of one length rarely fill their last batch. What is left over is padded and joins the left-over of the
    next greater length if that takes less time, where the time of a batch is max(floor, its tokens): a GPU starts
    about 200 kernels per forward pass, however few the tokens. With `floor` 0, as on a CPU, padding never saves time.
    """
    order = np.argsort(-lengths, kind="stable")
    cuts = np.flatnonzero(np.diff(lengths[order])) + 1
    batches: list[Batch] = []
    pending: Batch | None = None
    for rows in np.split(order, cuts) if len(order) else []:
        length = int(lengths[rows[0]])
        size = max(1, budget // length)
        in_full_batches = len(rows) // size * size
        batches += [Batch(rows[start : start + size], length, False) for start in range(0, in_full_batches, size)]
        if in_full_batches == len(rows):
            continue
        left_over = Batch(rows[in_full_batches:], length, False)
        if pending is None:
            pending = left_over
        elif _saves_time(pending, left_over, budget, floor):
            pending = Batch(np.concatenate([pending.rows, left_over.rows]), pending.length, True)
        else:
            batches.append(pending)
            pending = left_over
    return batches if pending is None else [*batches, pending]


def _saves_time(longer: Batch, shorter: Batch, budget: int, floor: int) -> bool:
    together = (len(longer) + len(shorter)) * longer.length
    apart = max(floor, len(longer) * longer.length) + max(floor, len(shorter) * shorter.length)
    return together <= budget and max(floor, together) < apart


def pack_tokens(tokens: Tokens, batches: list[Batch], padding: int) -> Ints:
    """The token ids of one batch after the other, int32 [total]: a batch is a view of a range.

    `padding`: the token id that fills up shorter texts.
    """
    packed = np.empty(sum(len(batch) * batch.length for batch in batches), np.int32)
    start = 0
    for batch in batches:
        block = packed[start : start + len(batch) * batch.length].reshape(len(batch), batch.length)
        positions = tokens.offsets[batch.rows, None] + np.arange(batch.length)
        if batch.padded:
            inside = np.arange(batch.length) < tokens.lengths[batch.rows, None]
            block[...] = np.where(inside, tokens.ids[np.minimum(positions, len(tokens.ids) - 1)], padding)
        else:
            np.take(tokens.ids, positions, out=block)
        start += block.size
    return packed
