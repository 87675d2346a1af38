"""Report's map: what the page is told of headlines, stories and themes."""

import numpy as np

from job.backends.pages.points import MapBins, MapPoints, MapStory, MapTheme
from job.context import Job
from job.topics import Topic


def map_points(job: Job) -> MapPoints:
    """The answer as points of a map: each headline in the story in which a reader sees it."""
    headlines, rows, bins = job.headlines, job.rows, job.time_bins
    n = len(headlines)
    known = np.flatnonzero((rows.headlines >= 0) & np.isfinite(rows.times))
    times = np.full(n, np.inf)
    np.minimum.at(times, rows.headlines[known], rows.times[known])
    # of several rows with one text, the first that has a source
    with_source = np.flatnonzero((rows.headlines >= 0) & (rows.sources >= 0))[::-1]
    sources = np.full(n, -1, np.int32)
    sources[rows.headlines[with_source]] = rows.sources[with_source]
    return MapPoints(
        layout=job.layout,
        labels=job.assigned,
        stories=[_story(topic) for topic in job.topics],
        titles=headlines.column("title"),
        descriptions=headlines.column("description"),
        copies=headlines.table["copies"].to_numpy(),
        times=np.where(np.isfinite(times), times, np.nan) if len(known) else None,
        sources=sources if len(with_source) else None,
        source_names=rows.source_names,
        themes=[MapTheme(row.level, row.number, row.name, row.parent) for row in job.theme_names],
        bins=MapBins(bins.start, bins.width, bins.count) if bins else None,
    )


def _story(topic: Topic) -> MapStory:
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
        theme=-1 if topic.theme is None else topic.theme,
        topic=-1 if topic.topic is None else topic.topic,
    )
