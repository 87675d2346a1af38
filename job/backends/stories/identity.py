"""Ids that stay: which story of yesterday a story of today is.

The contract
- Input: of each headline the story of yesterday that last held it, and its story of today. Headlines that have both are
  `shared`; noise has none.
- Y of today holds a share of X of yesterday: of all headlines of X that are there today, in a story or not. So a few of
  them say nothing of a story whose others are noise today.
- X is Y if the Jaccard coefficient of their shared headlines is at least `KEEP`, and Y holds at least `HELD` of X.
  Greedy, the largest coefficient first.
- Of the others: where one Y that is none of yesterday's holds more than half of each of at least two stories X, the one
  with the most headlines there is Y. Every other X of which Y holds more than half has merged into Y.
- A Y that is still none of yesterday's, and holds at least `HELD` of an X: it split from X, its `parent`; of several X,
  from the one with the most headlines in Y.
- Any other Y is born. Ties: the smaller number.

Sources: Spiliopoulou et al. (2006), "MONIC: modeling and monitoring cluster transitions"; Greene, Doyle, Cunningham
(2010), "Tracking the evolution of communities in dynamic social networks". Measured: configs/README.md.
"""

from dataclasses import dataclass

import numpy as np

from job.data import Ints

KEEP = 0.5
HELD = 0.3
MERGED = 0.5


@dataclass(frozen=True)
class Matched:
    """`same` int32 [today]: the story of yesterday that each story of today is, -1 = none. `parent` int32 [today]: the
    one that it split from, -1 = none. `into` int32 [yesterday]: the story of today that each merged into, -1 = none.
    `seen` bool [yesterday]: whether most of its headlines are in stories of today, and one of these holds `HELD` of
    it."""

    same: Ints
    parent: Ints
    into: Ints
    seen: "np.ndarray[tuple[int], np.dtype[np.bool_]]"


def match_stories(yesterday: Ints, today: Ints, counts: tuple[int, int]) -> Matched:
    """Match stories by their headlines; see the module's contract.

    `yesterday`, `today` int32 [n]: each headline's story, -1 = none. `counts`: how many stories there are of each.
    """
    shared = (yesterday >= 0) & (today >= 0)
    x_of, y_of = yesterday[shared].astype(np.int64), today[shared].astype(np.int64)
    keys, overlap = np.unique(x_of * max(counts[1], 1) + y_of, return_counts=True)
    x, y = keys // max(counts[1], 1), keys % max(counts[1], 1)
    of_x, of_y = np.bincount(x_of, minlength=counts[0]), np.bincount(y_of, minlength=counts[1])
    there = np.bincount(yesterday[yesterday >= 0], minlength=counts[0])
    jaccard = overlap / (of_x[x] + of_y[y] - overlap)
    share = overlap / there[x]
    held = share >= HELD
    same, now = np.full(counts[1], -1, np.int32), np.full(counts[0], -1, np.int32)
    # lexsort: the last key counts first
    for pair in np.lexsort((x, y, -overlap, -jaccard)):
        if jaccard[pair] < KEEP:
            break
        if held[pair] and same[y[pair]] < 0 and now[x[pair]] < 0:
            same[y[pair]], now[x[pair]] = x[pair], y[pair]
    mostly = np.flatnonzero((share > MERGED) & (now[x] < 0))
    entering = np.bincount(y[mostly], minlength=counts[1])
    for pair in mostly[np.lexsort((x[mostly], -overlap[mostly]))]:
        if same[y[pair]] < 0 and entering[y[pair]] > 1:
            same[y[pair]], now[x[pair]] = x[pair], y[pair]
    into, parent = np.full(counts[0], -1, np.int32), np.full(counts[1], -1, np.int32)
    for pair in mostly:
        if now[x[pair]] < 0 and same[y[pair]] >= 0:
            into[x[pair]] = y[pair]
    for pair in np.lexsort((x, -overlap)):
        if held[pair] and same[y[pair]] < 0 and parent[y[pair]] < 0:
            parent[y[pair]] = x[pair]
    seen = np.zeros(counts[0], bool)
    seen[x[held]] = True
    seen &= 2 * of_x > there
    return Matched(same, parent, into, seen)
