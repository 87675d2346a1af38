"""Report's growing stories, for its page and its map alike."""

from collections.abc import Sequence

import numpy as np

from job.topics import Topic

_GROWTH, _ROWS = 1.25, 5
_LAST, _HELD = 0.1, 0.01


def growing_topics(topics: Sequence[Topic]) -> list[Topic]:
    """The growing topics, those of the highest `growth` first.

    A topic is growing when its `growth` is at least 1.25, it has five rows, and one of them is among the last: in the
    last tenth of the time bins, or as many as hold a hundredth of all rows. Growth alone does not say that a story
    goes on: where few rows are late, the last quarter of them is months.
    """
    known = [topic for topic in topics if topic.growth is not None and topic.counts]
    if not known:
        return []
    counts = np.array([topic.counts for topic in known])
    # rows of all topics from each bin on
    from_here = counts.sum(axis=0)[::-1].cumsum()[::-1]
    held = int(np.flatnonzero(from_here >= _HELD * from_here[0]).max())
    last = min(held, len(from_here) - int(np.ceil(_LAST * len(from_here))))
    late = counts[:, last:].sum(axis=1)
    found = [
        topic
        for topic, rows in zip(known, late, strict=True)
        if rows and topic.rows >= _ROWS and (topic.growth or 0) >= _GROWTH
    ]
    return sorted(found, key=lambda topic: (-(topic.growth or 0), topic.cluster))
