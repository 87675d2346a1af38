"""Ids: a story of today keeps the id that it had yesterday."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from job.config import Config, resolve
from job.context import COLLECTION, Job, Stage, StageResult
from job.runtime import ownership
from job.runtime.errors import BadInput, JobError
from job.runtime.files import atomic, digest
from job.runtime.log import logger
from job.runtime.needs import Need, Size
from job.runtime.rundir import RunDir

if TYPE_CHECKING:
    from job.backends.stories.story_state import StoryState, Today

_STATE, _BEFORE = "story_state.parquet", "story_state_before.parquet"
# clocks and time zones differ by less
_DAY = 86_400
# more than this share of the times are worth a warning
_FEW = 0.02


class IdsStage(Stage):
    """Write `story_ids.parquet`, one row a story, `story_changes.csv`, and `story_state.parquet` for the next run.

    Yesterday's state is that of the run `cluster.previous`; where that run kept no ids, its stories get theirs now.
    A collection that is clustered as a whole (`store.scope: collection`) needs no `previous`: the state in its own run
    folder is yesterday's. `story_state_before.parquet` is the state that the last run began with: the same headlines
    clustered again, with other settings too, begin with it again, wherever yesterday's folder is by then.
    """

    name = "ids"
    needs = "cluster.previous or store.scope = collection"
    version = 2

    def key(self, job: Job) -> list[Any]:
        times = digest(job.headlines.times)
        before = begins_with(job)
        return [job.clustered("ingest"), job.clusters_output, times, "nothing" if before is None else before.digest]

    def files(self, job: Job) -> list[str]:
        return ["story_ids.parquet", "story_changes.csv", _STATE]

    def need(self, job: Job, size: Size) -> Need:
        whole = job.whole_collection
        return Need(
            memory=size.held + size.graph,
            disk=60 * size.headlines,
            loops=1e-5 * size.headlines,
            remedy="select fewer rows with store.filter" if whole else "set cluster.previous=null",
        )

    def applies(self, config: Config) -> bool:
        return config.keeps_ids

    def check_offline(self, config: Config) -> str:
        if _own_state(config):
            return ""
        try:
            return f"stories go on from '{_previous(config).run.path}'"
        except BadInput:
            # yesterday's folder may be gone: for the same headlines as before, the state is kept here
            if not RunDir(config.run_dir).file(_BEFORE).exists():
                raise
            return f"stories go on from what '{config.run_dir}' began with: '{config.cluster.previous}' is not there"

    def run(self, job: Job) -> StageResult:
        from job.backends.stories.story_state import ALIVE, changes_table, describe, next_day
        from job.backends.tables.csv_answer import CsvAnswer

        before = begins_with(job)
        today = _today(job)
        state, ids, changes = next_day(before, today)
        if before is None:
            job.run.file(_BEFORE).unlink(missing_ok=True)
        else:
            before.save(job.run.file(_BEFORE))
        state.save(job.run.file(_STATE))
        ids.save(job.run.file("story_ids.parquet"))
        table = changes_table(changes)
        with atomic(job.run.file("story_changes.csv")) as temporary, CsvAnswer(temporary, table.schema) as file:
            file.write(table)
        kinds = [one.change for one in changes]
        kept = len(ids.story_id) - kinds.count("born") - kinds.count("split")
        logger.info("ids: %s stories, %s keep their id; %s", f"{len(ids.story_id):,}", f"{kept:,}", describe(changes))
        return StageResult(
            len(ids.story_id),
            digest(ids.story_id, ids.parent),
            warnings=_warnings(today, job.run.stats("ingest").get("time")),
            stats={
                "run": state.run,
                "kept": kept,
                "known": sum(story.state == ALIVE for story in state.stories),
                **{kind: kinds.count(kind) for kind in ("born", "split", "merged", "ended", "returned", "retired")},
            },
        )


def _own_state(config: Config) -> bool:
    """Whether yesterday's state is in this run's own folder."""
    previous = config.cluster.previous
    return previous is None or previous.expanduser().resolve() == config.run_dir.expanduser().resolve()


def _data(job: Job) -> str:
    """A digest of the headlines that are clustered. Times are no part of it: read in another format, or not at all, the
    same headlines are still those of the same day."""
    return digest(job.headlines.ids)


def _is_of(state: "StoryState", job: Job) -> bool:
    """Whether the state is one after the job's own headlines."""
    as_older_versions = digest(job.clustered("ingest"), digest(job.headlines.times))
    return state.data in (_data(job), as_older_versions)


def begins_with(job: Job) -> "StoryState | None":
    """Yesterday's state; None where there was no yesterday.

    Raises:
        BadInput: it is needed, and no longer there.
    """
    return job.once("yesterday", lambda: _begins_with(job))


def _begins_with(job: Job) -> "StoryState | None":
    state, named = _load_state(job.run, _STATE), job.config.cluster.previous
    # whether the last run here was on these very headlines, and what it began with
    again = state is not None and _is_of(state, job)
    kept = _load_state(job.run, _BEFORE) if again else None
    if _own_state(job.config):
        if again and kept is None and named is not None and state is not None and state.run > 1:
            raise BadInput(
                f"cluster.previous = '{named}' is this run folder itself, and an older version has not kept the state "
                "that its last run began with: name the run before that one"
            )
        return kept if again else state
    if kept is None or kept.found_in != str(named):
        return _state_of_previous(job)
    try:
        now = _state_of_previous(job)
    except BadInput as error:
        logger.info("ids: begins with what this run began with before: %s", error)
        return kept
    if now.data != kept.data:
        logger.info("ids: begins with what this run began with before: '%s' is of another day now", named)
        return kept
    return now


def _state_of_previous(job: Job) -> "StoryState":
    from job.backends.stories.story_state import next_day

    previous = _previous(job.config)
    state = _load_state(previous.run, _STATE)
    # a run without ids may have come after the one whose state it is
    if state is None or not _is_of(state, previous):
        state = next_day(None, _today(previous))[0]
    return replace(state, found_in=str(job.config.cluster.previous))


def _load_state(run: RunDir, name: str) -> "StoryState | None":
    """The state in a file of a run folder; None where there is none.

    Raises:
        JobError: it is not as it was written: nothing else in the folder has what it holds.
    """
    from job.backends.stories.story_state import StoryState

    file, marker = run.file(name), run.marker("ids")
    problem = run.problems(marker).get(name) if marker is not None else None
    try:
        if problem is None:
            return StoryState.load(file)
    except (OSError, ValueError, KeyError, TypeError):  # pyarrow's errors are of these
        problem = "is damaged"
    raise JobError(
        f"'{file}' {problem}: it holds the ids that stories have had on other days. Put a copy of it back, or delete "
        f"it and '{run.file('markers') / 'ids.json'}' to begin with new ids"
    )


def _today(job: Job) -> "Today":
    from job.backends.stories.story_state import Today

    headlines, clusters = job.headlines, job.clusters
    titles = headlines.column("title")
    latest = _read_at(job) + _DAY
    return Today(headlines.ids, titles, headlines.times, clusters.labels, clusters.count, _data(job), latest)


def _warnings(today: "Today", column: str | None) -> list[str]:
    """What to say where more than a few times are too late to be right. `column`: of the input, that they are from."""
    known = today.times[np.isfinite(today.times)]
    late = known[known > today.latest]
    if len(late) <= _FEW * len(known):
        return []
    where = f" in column '{column}'" if column else ""
    first = f"{datetime.fromtimestamp(float(late.min()), UTC):%Y-%m-%d}"
    return [
        f"{len(late):,} of {len(known):,} headlines have times{where} that lie in the future, from "
        f"{first} on: they do not count when stories are retired; if their unit or century is wrong, set "
        "input.time_format or mend the column"
    ]


def _read_at(job: Job) -> float:
    """When the headlines were read, seconds since 1970 UTC: a run that is resumed reads no input again. A collection is
    read again by every run."""
    marker = job.run.marker("store" if job.whole_collection else "ingest")
    assert marker is not None
    return datetime.strptime(marker.finished, "%Y-%m-%dT%H:%M:%S%z").timestamp()


def _previous(config: Config) -> Job:
    """The run `cluster.previous`.

    Raises:
        BadInput: it is no finished run.
    """
    path: Path | None = config.cluster.previous
    assert path is not None
    run = RunDir(path.expanduser())
    try:
        values = ownership.settings(run.path)
    except BadInput as error:
        raise BadInput(f"cluster.previous = {error}") from None
    previous = Job(resolve(values, [], f"{path}/config.json"), device="cpu")
    marker = run.marker("report")
    rows = "headlines.parquet" if not previous.whole_collection else f"{COLLECTION}/headlines.parquet"
    if marker is None or not run.file(rows).exists():
        raise BadInput(f"cluster.previous = '{path}': that run is not finished: `run` it to the end first")
    return previous
