"""Stories: the tree of merges, cut at one similarity."""

from typing import TYPE_CHECKING, Any

import numpy as np

from job.config import Config
from job.context import Job, Stage, StageResult
from job.data import FEW_HEADLINES, Clusters, Floats, Ints
from job.runtime.files import digest
from job.runtime.log import logger
from job.runtime.needs import NO_STORIES, Need, Size
from job.runtime.rundir import RunDir

if TYPE_CHECKING:
    from job.backends.stories.merge_tree import MergeTree


# by measurement: at .18, of stories that mix headlines of many events, most are gone and the others are kept
_CORE = 0.18


class StoriesStage(Stage):
    """Write `stories.parquet`, in the columns of `clusters.parquet`, and `stories.npz` with the persistence.

    The headlines of what is no story (`story_labels`) are noise. Only with `cluster.merge_above`: else the clusters are
    the answer.
    """

    name = "stories"
    needs = "cluster.merge_above"
    version = 2

    def key(self, job: Job) -> list[Any]:
        settings = job.config.cluster
        return [job.output("merge"), settings.merge_above, settings.smallest_story, [settings.assign_within]]

    def files(self, job: Job) -> list[str]:
        return ["stories.parquet", "stories.npz"]

    def applies(self, config: Config) -> bool:
        return config.cluster.merge_above is not None

    def need(self, job: Job, size: Size) -> Need:
        return Need(
            memory=size.held + size.graph, disk=22 * size.headlines, loops=1e-6 * size.headlines, remedy=NO_STORIES
        )

    def run(self, job: Job) -> StageResult:
        from job.backends.knn.vote import nearest_cluster
        from job.backends.stories.merge_tree import MergeTree

        config, graph = job.config.cluster, job.near
        tree = MergeTree.load(job.run.file("merges.npz"))
        above = merge_level(job.run, config.merge_above)
        labels = story_labels(tree, above, config.smallest_story)
        joined = joined_at(tree)
        nearest, distance = nearest_cluster(labels, graph.indices, graph.distances)
        stories = Clusters(
            labels,
            _probabilities(labels, joined, above),
            _persistence(labels, joined),
            nearest,
            distance,
        )
        stories.save(job.run.file("stories.parquet"), job.run.file("stories.npz"), job.headlines.ids)
        noise = stories.noise_figures(config.assign_within)
        share = 100 * noise["noise_share"]
        logger.info("stories: %s stories above %.3f, %.1f%% noise", f"{stories.count:,}", above, share)
        return StageResult(
            len(labels),
            digest(stories.labels, stories.probabilities, stories.nearest),
            warnings=_warnings(stories),
            stats={
                "clusters": stories.count,
                **noise,
                "merge_above": round(above, 4),
                "largest": stories.largest,
            },
        )


def _warnings(stories: Clusters) -> list[str]:
    n = len(stories.labels)
    if stories.has_swallowed:
        what, limits = f"one story holds {stories.largest:,} of {n:,} headlines", "0.2,0.3,0.4"
    elif not stories.count and n >= FEW_HEADLINES:
        what, limits = f"all {n:,} headlines are in no story", "auto,0.1,0.15"
    else:
        return []
    return [f"{what}: `recut` with merge_above={limits} says what other limits give"]


def merge_level(run: RunDir, above: float | str | None) -> float:
    """The similarity at which the tree is cut: `cluster.merge_above`, or the best level where it is `auto`.

    Raises:
        ValueError: it is None: nothing is merged, so there is no level.
    """
    from job.backends.stories.level import Levels

    if above is None:
        raise ValueError("cluster.merge_above is None: nothing is merged")
    return above if isinstance(above, float) else Levels.load(run.file("levels.npz")).best


def story_labels(tree: "MergeTree", above: float, smallest: int) -> Ints:
    """The stories of a tree of merges cut at `above`: labels int32 [n] by size, -1 = none.

    A story has at least `smallest` headlines, and a core: two that are more similar than the limit asks for, by
    `_CORE` of what is missing to 1. Without that rule, headlines of no story make up groups of odds and ends.
    """
    from job.backends.stories.merge_tree import cut

    labels = cut(tree, above)
    sizes = np.bincount(labels)
    best = np.full(len(sizes), -np.inf)
    np.fmax.at(best, labels, joined_at(tree))
    is_story = (sizes >= smallest) & (best >= above + _CORE * (1 - above))
    # clusters are numbered by size, so those that are kept stay in that order
    numbers = np.where(is_story, np.cumsum(is_story) - 1, -1).astype(np.int32)
    result: Ints = numbers[labels]
    return result


def joined_at(tree: "MergeTree") -> Floats:
    """For each row the similarity at which it first merged, float32 [n]; NaN where it never did."""
    nodes = np.full(tree.leaf_count + len(tree.merges), np.nan)
    for side in (0, 1):
        nodes[tree.merges[:, side].astype(np.int64)] = tree.merges[:, 2]
    return nodes[tree.leaves].astype(np.float32)


def _probabilities(labels: Ints, joined: Floats, limit: float) -> Floats:
    """How far above the limit each headline joined its story: 0 at the limit, 1 for the story's most similar ones.

    0 for noise.
    """
    inside = labels >= 0
    best = np.full(int(labels.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(best, labels[inside], joined[inside])
    result = np.zeros(len(labels), np.float32)
    span = np.maximum(best[labels[inside]] - limit, 1e-6)
    result[inside] = np.clip((joined[inside] - limit) / span, 0, 1)
    return result


def _persistence(labels: Ints, joined: Floats) -> Floats:
    """Of each story the mean similarity at which its headlines first merged, float32 [c]; 1 where none did."""
    inside = (labels >= 0) & np.isfinite(joined)
    count = int(labels.max(initial=-1)) + 1
    numbers = np.bincount(labels[inside], minlength=count)
    sums = np.bincount(labels[inside], weights=joined[inside], minlength=count)
    return np.where(numbers > 0, sums / np.maximum(numbers, 1), 1).clip(0, 1).astype(np.float32)
