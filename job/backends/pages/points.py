"""What a map is made of: points, the stories that they are in, and the themes of stories."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from job.data import Floats, Ints, check
from job.topics import TimeBins


@dataclass(frozen=True)
class MapStory:
    """A story, as the page's list and panel show it. Its points are those with the label `number`.

    `id`: what links name it by, at most 63 bits; None: `number`, which another run gives to another story.
    `short_name`: for the map itself; None: `name`. `rows`: input rows, copies counted. `sources`: how many publish it.
    `first_seen`, `last_seen`: seconds since 1970 UTC. `counts`: rows in each of `MapPoints.bins`. `growth`: above 1
    where the last rows are denser than the mean; `growing`: whether the page says so. What is None is computed from the
    points, or left out where they do not have it. `theme`, `topic`: -1 = none.
    """

    number: int
    name: str
    id: int | None = None
    short_name: str | None = None
    keywords: Sequence[str] = ()
    rows: int | None = None
    sources: int | None = None
    first_seen: float | None = None
    last_seen: float | None = None
    counts: Sequence[int] | None = None
    growth: float | None = None
    growing: bool = False
    theme: int = -1
    topic: int = -1


@dataclass(frozen=True)
class MapTheme:
    """A theme, or a topic within the theme `parent` (`level`: theme or topic)."""

    level: str
    number: int
    name: str
    parent: int = -1


@dataclass(frozen=True)
class MapPoints:
    """What is drawn: one point per headline.

    `layout` float32 [n, 2 or 3]; `labels` int32 [n], what a reader sees as the story, -1 = noise; `stories`: numbered
    from 0 in order; `titles`, `descriptions` [n]; `copies` int32 [n]: input rows with this text. `times` float64 [n]:
    seconds since 1970 UTC, NaN = unknown. `sources` int32 [n]: indices into `source_names`, -1 = unknown. `addresses`
    [n]: of the articles, None or "" = unknown; what may not be linked to is left out (`plain.web_address`).
    Raises `JobError` when they do not fit together.
    """

    layout: Floats
    labels: Ints
    stories: Sequence[MapStory]
    titles: Sequence[str]
    descriptions: Sequence[str | None]
    copies: npt.NDArray[np.int32]
    times: npt.NDArray[np.float64] | None = None
    sources: Ints | None = None
    source_names: Sequence[str] = ()
    addresses: Sequence[str | None] | None = None
    themes: Sequence[MapTheme] = field(default_factory=tuple)
    bins: TimeBins | None = None

    def __post_init__(self) -> None:
        n = len(self.labels)
        check(self.layout.shape in ((n, 2), (n, 3)), f"{n} labels with a layout of shape {self.layout.shape}")
        for name in ("titles", "descriptions", "copies", "times", "sources", "addresses"):
            column = getattr(self, name)
            count = n if column is None else len(column)
            check(count == n, f"{n} labels with {count} {name}")
        numbers = [story.number for story in self.stories]
        check(numbers == list(range(len(numbers))), "the stories of a map are not numbered from 0 in order")
        check(int(self.labels.max(initial=-1)) < len(numbers), f"labels beyond {len(numbers)} stories")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def dimensions(self) -> int:
        return int(self.layout.shape[1])
