"""Themes: two coarser levels above the stories."""

from typing import Any

from job.backends.arrays import Device
from job.config import Config
from job.context import Job, Stage, StageResult
from job.runtime.files import digest
from job.runtime.log import logger
from job.runtime.needs import NO_STORIES, Need, Size


class ThemesStage(Stage):
    """Write `themes.npz`: the theme and the topic of each headline and of each story.

    Only with `cluster.merge_above`.
    """

    name = "themes"
    needs = "cluster.merge_above"
    # 2: the products with the largest groups are those of rounded vectors
    # 3: small themes join larger ones
    # 4: a number of topics that is below the default number of themes counts
    version = 4

    def key(self, job: Job) -> list[Any]:
        settings = job.config.stories
        return [job.clustered("embed"), job.clusters_output, settings.themes, settings.topics]

    def files(self, job: Job) -> list[str]:
        return ["themes.npz"]

    def applies(self, config: Config) -> bool:
        return config.cluster.merge_above is not None

    def need(self, job: Job, size: Size) -> Need:
        return Need(
            memory=size.held + size.graph + size.floats,
            gpu=size.floats,
            disk=16 * size.headlines,
            loops=2.5e-5 * size.headlines,
            remedy=NO_STORIES,
        )

    def run(self, job: Job) -> StageResult:
        from job.backends.stories.themes import default_counts, find_themes

        labels, settings = job.clusters.labels, job.config.stories
        themes, topics = default_counts(job.clusters.count or len(labels))
        themes = settings.themes or min(themes, settings.topics or themes)
        topics = settings.topics or max(topics, themes)
        device: Device = "cuda" if job.graph_code.value == "cuda" else "cpu"
        found = find_themes(
            job.embeddings.vectors, labels, counts=(themes, topics), ranks=job.headlines.ids, device=device
        )
        found.save(job.run.file("themes.npz"), job.headlines.ids)
        without = float((found.themes < 0).mean()) if len(labels) else 0.0
        logger.info("themes: %d themes of %d topics, %.1f%% of headlines in none", *found.counts, 100 * without)
        return StageResult(
            len(labels),
            digest(found.themes, found.topics, found.cluster_topics, found.parents),
            stats={
                "themes": found.counts[0],
                "topics": found.counts[1],
                "without_share": round(without, 4),
                "device": device,
            },
        )
