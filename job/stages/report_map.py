"""Report's map: what the page is told of headlines, stories and themes."""

import numpy as np

from job.backends.pages.points import MapPoints, MapStory, MapTheme
from job.context import Job
from job.stages.report_growing import growing_topics
from job.topics import Topic


def map_points(job: Job) -> MapPoints:
    """The answer as points of a map: each headline in the story in which a reader sees it."""
    headlines, rows = job.headlines, job.rows
    growing = {topic.cluster for topic in growing_topics(job.topics)}
    times, sources = headlines.times, rows.first_source_numbers(len(headlines))
    return MapPoints(
        layout=job.layout,
        labels=job.assigned,
        stories=[_story(topic, topic.cluster in growing) for topic in job.topics],
        titles=job.titles,
        descriptions=headlines.column("description"),
        copies=headlines.table["copies"].to_numpy(),
        times=times if np.isfinite(times).any() else None,
        sources=sources if (sources >= 0).any() else None,
        source_names=rows.source_names,
        themes=[MapTheme(row.level, row.number, row.name, row.parent) for row in job.theme_names],
        bins=job.time_bins,
    )


def _story(topic: Topic, growing: bool) -> MapStory:
    return MapStory(
        number=topic.cluster,
        name=topic.name,
        short_name=topic.short_name,
        keywords=topic.keywords,
        rows=topic.rows,
        sources=topic.sources,
        first_seen=topic.first_seen,
        last_seen=topic.last_seen,
        counts=topic.counts,
        growth=topic.growth,
        growing=growing,
        theme=-1 if topic.theme is None else topic.theme,
        topic=-1 if topic.topic is None else topic.topic,
    )
