"""Report's page: what `report.html` is told of the run."""

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from job.backends.pages.report import Line, ReportPage, ReportStory, ReportTheme
from job.backends.tables import shown
from job.context import Job, Stage
from job.stages.report_growing import growing_topics
from job.stages.report_links import addresses, link_ids
from job.topics import TimeBins, Topic

_STORIES = 150
# in a list of the page's top
_BRIEF = 5


def report_page(job: Job, stages: Sequence[Stage]) -> ReportPage:
    """The page's contents. `stages`: those before the report, in order."""
    topics, bins = job.topics, job.time_bins
    titles, sources = job.titles, job.rows.first_sources(len(job.headlines))
    times, ids, links = job.headlines.times, link_ids(job), addresses(job)
    growing = growing_topics(topics)
    grown = {topic.cluster for topic in growing}

    def line(row: int) -> Line:
        when = float(times[row])
        return Line(titles[row], sources[row], when if np.isfinite(when) else None, links[row])

    themes = [row for row in job.theme_names if row.level == "theme"]

    def story(topic: Topic) -> ReportStory:
        return _story(topic, ids[topic.cluster], [line(row) for row in topic.exemplars], themes, topic.cluster in grown)

    markers = {stage.name: job.run.marker(stage.name) for stage in stages if stage.applies(job.config)}
    done = {name: marker for name, marker in markers.items() if marker is not None}
    stats = {name: dict(marker.stats) for name, marker in done.items()}
    return ReportPage(
        title=page_title(job),
        facts=_facts(job, len(topics)),
        stories=[story(topic) for topic in topics[:_STORIES]],
        story_count=len(topics),
        growing=[story(topic) for topic in growing[:_BRIEF]],
        odd=[line(row) for row in _odd(job)],
        themes=[ReportTheme(row.name, row.keywords, row.clusters, row.size) for row in themes],
        total_counts=_counts(job, bins) if bins else None,
        bins=(bins.start, bins.width) if bins else None,
        quality=_quality(stats, job),
        warnings=[text for own in stats.values() for kind in ("warnings", "fallbacks") for text in own.get(kind, [])],
        hints=hints(job, stats),
        days_only=_days_only(job),
        stages=[(name, marker.seconds, _rate(marker.stats, marker.seconds)) for name, marker in done.items()],
    )


def page_title(job: Job) -> str:
    """`report.title`, or what the stories are from."""
    if job.config.report.title is not None:
        return job.config.report.title
    files = [Path(name).name for name in job.run.stats("ingest").get("files", [])]
    where = shown(files[0]) if len(files) == 1 else f"{len(files):,} files"
    if job.whole_collection or not files:
        where = f"the collection {job.config.store.collection}"
    return f"{'Stories' if job.merges else 'Clusters'} in {where}"


def _story(topic: Topic, link_id: int, exemplars: list[Line], themes: list[Any], growing: bool) -> ReportStory:
    return ReportStory(
        number=topic.cluster,
        name=topic.name,
        id=link_id,
        rows=topic.rows,
        headlines=topic.size,
        exemplars=exemplars,
        keywords=topic.keywords,
        theme=themes[topic.theme].name if topic.theme is not None and topic.theme >= 0 else None,
        sources=topic.sources,
        first_seen=topic.first_seen,
        last_seen=topic.last_seen,
        counts=topic.counts,
        growing=growing,
    )


def _days_only(job: Job) -> bool:
    """Whether all times are dates without a time of day."""
    known = job.rows.times[np.isfinite(job.rows.times)]
    return bool((known % 86_400 == 0).all())


def _odd(job: Job) -> list[int]:
    """Of the headlines in no story, those whose nearest neighbor is farthest."""
    lone = np.flatnonzero(job.assigned < 0)
    if not len(lone) or not job.graph.distances.shape[1]:
        return [int(row) for row in lone[:_BRIEF]]
    nearest = job.graph.distances[lone, 0]
    return [int(row) for row in lone[np.argsort(-nearest, kind="stable")[:_BRIEF]]]


def _counts(job: Job, bins: TimeBins) -> list[int]:
    """Rows in each bin, of all stories and of none."""
    places = bins.places(job.rows.times[job.rows.headlines >= 0])
    return [int(count) for count in np.bincount(places[places >= 0], minlength=bins.count)]


def _facts(job: Job, stories: int) -> list[tuple[str, str]]:
    totals, bins = job.totals, job.time_bins
    facts = [("Headlines", f"{totals.headlines:,}")]
    if totals.rows != totals.headlines:
        facts.append(("Rows", f"{totals.rows:,}"))
    if totals.hidden_rows:
        facts.append(("Rows left out by store.filter", f"{totals.hidden_rows:,}"))
    facts.append(("Stories" if job.merges else "Clusters", f"{stories:,}"))
    facts.append(("In no story" if job.merges else "Noise", f"{totals.noise_share:.1%}"))
    if job.rows.source_names:
        facts.append(("Sources", f"{len(job.rows.source_names):,}"))
    if bins:
        # without the few times far from all others, which are often wrong
        ends = bins.ends(job.rows.times[job.rows.headlines >= 0])
        first, last = (time.strftime("%d %b %Y", time.gmtime(moment)) for moment in ends)
        facts.append(("From", first if first == last else f"{first} – {last}"))
    return facts


def _quality(stats: dict[str, dict[str, Any]], job: Job) -> list[tuple[str, str]]:
    ingest, near, merge, embed = (stats.get(name, {}) for name in ("ingest", "neighbors", "stories", "embed"))
    found = []
    if ingest.get("files"):
        found.append(("Input", ", ".join(ingest["files"][:5]) + (" …" if len(ingest["files"]) > 5 else "")))
    if "rejects" in ingest:
        found.append(("Rejected rows (rejects.csv)", f"{ingest['rejects']:,}"))
    if near.get("recall") is not None:
        found.append(("Recall of the neighbors, on a sample", f"{near['recall']:.4f}"))
    found.append(("In no story" if job.merges else "Noise", f"{job.totals.noise_share:.1%}"))
    if "merge_above" in merge:
        found.append(("Merged above a similarity of", f"{merge['merge_above']:.3f}"))
    # as the vectors were made, which may have been on another machine; of another program's, nobody knows
    if embed.get("model"):
        found += [("Model", embed["model"]), ("Device", f"{embed['device']} ({embed['device_reason']})")]
    return found


def hints(job: Job, stats: dict[str, dict[str, Any]]) -> list[str]:
    """What a reader could try, from the run's figures. Each ends with a command or a setting that can be pasted."""
    found, totals = [], job.totals
    recut = f"python -m job recut {shlex.quote(str(job.run.path))}"
    largest = max((topic.size for topic in job.topics), default=0)
    recall = stats.get("neighbors", {}).get("recall")
    if not job.merges:
        found.append("Stories of any size, with themes: run with cluster.recipe=stories")
    if totals.noise_share > 0.4:
        word = "merge_above=auto,0.1,0.15" if job.merges else "min_cluster_size=3,5,10"
        found.append(f"Many headlines are in no story. To compare other values: {recut} {word}")
        if job.merges and (smallest := job.config.cluster.smallest_story) > 2:
            found.append(f"To compare with stories of two headlines: {recut} smallest_story=2,{smallest}")
    if largest > 0.3 * max(totals.headlines, 1) and totals.headlines > 20:
        word = "merge_above=0.2,0.3,0.4" if job.merges else "selection=leaf"
        found.append(f"One story holds {largest:,} headlines: {recut} {word}")
    if recall is not None and recall < job.config.neighbors.min_recall:
        found.append("The neighbors are incomplete: set store.index=FLAT or neighbors.backend=exact")
    if job.has_input and not stats.get("ingest", {}).get("time"):
        found.append("With times, stories are told apart better and have a history: set input.time=COLUMN")
    if job.merges and not found:
        found.append(f"Finer or coarser stories in seconds: {recut} merge_above=auto,0.1,0.2,0.3")
    return found


def _rate(stats: Any, seconds: float) -> float | None:
    return stats["rows"] / seconds if stats.get("rows") and seconds else None
