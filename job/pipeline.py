"""READ FIRST: the stages in order, and the loop that carries them out.

    ingest -> embed -> store -> neighbors -> cluster -> merge -> stories -> ids -> themes -> project -> describe
    -> report

Each stage has a key: its settings and the results that it starts from. A stage whose marker in the run folder has
that key, with its files in place, is up to date and is skipped; anything else is done again.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from job import __version__
from job.backends import gpu
from job.config import Config
from job.context import Job, Stage
from job.prediction import check_room
from job.rewrites import RowsAlteredError
from job.runtime import log, memory, signals
from job.runtime.errors import BadInput, JobError, Resumable
from job.runtime.holders import log_name
from job.runtime.log import logger
from job.runtime.measure import Meter, peak_mb
from job.runtime.ranks import wait_for
from job.runtime.record import made_with, note_config, write_record
from job.runtime.system_errors import explained
from job.runtime.team import Team
from job.stages.cluster import ClusterStage
from job.stages.describe import DescribeStage
from job.stages.embed import EmbedStage
from job.stages.ids import IdsStage
from job.stages.ingest import IngestStage
from job.stages.merge import MergeStage
from job.stages.neighbors import NeighborsStage
from job.stages.project import ProjectStage
from job.stages.report import ReportStage
from job.stages.store import StoreStage
from job.stages.stories import StoriesStage
from job.stages.themes import ThemesStage

_BEFORE_REPORT: tuple[Stage, ...] = (
    IngestStage(),
    EmbedStage(),
    StoreStage(),
    NeighborsStage(),
    ClusterStage(),
    MergeStage(),
    StoriesStage(),
    IdsStage(),
    ThemesStage(),
    ProjectStage(),
    DescribeStage(),
)
STAGES = (*_BEFORE_REPORT, ReportStage(_BEFORE_REPORT))
NAMES = tuple(stage.name for stage in STAGES)


def run(config: Config, only: str | None = None, force: bool = False) -> None:
    """Carry out every stage that is not up to date, or only the named one, and write `run.json`. `force`: also where
    memory or disk will not suffice, by the stages' estimates.

    Raises:
        JobError: see `job.runtime.errors` for what each kind means.
    """
    job = Job(config)
    last = len(STAGES) if only is None else NAMES.index(only) + 1
    stages = [stage for stage in STAGES[:last] if stage.applies(config)]
    if only is not None and not STAGES[last - 1].applies(config):
        raise BadInput(f"stage {only} has nothing to do with these settings: it needs {STAGES[last - 1].needs}")

    def work(team: Team) -> None:
        if job.ranks.rank == 0 and job.run.marker(NAMES[-1]) is None:
            note_settings(job)
        for note in config.notes:
            logger.info("run: %s", note)
        who = "" if job.ranks.single else f", {job.ranks} ({job.ranks.source})"
        logger.info("run: %s, device %s (%s)%s", job.run.path, job.device.value, job.device.reason, who)
        if only is None:
            for stage in stages:
                stage.check(job)
            if not job.ranks.single:
                model = job.model.identity if job.has_input else ""
                team.note({"input (digest)": STAGES[0].digest(job), "embed.model (digest)": model})
                wait_for("run", team.missing_leader, config.ranks.wait, job.ranks)
        else:
            stages[-1].check(job)
            if not job.ranks.single:
                team.compare_all()
        try:
            shares(team)
        except RowsAlteredError as error:
            # other ranks have to stop first, and `stage NAME` does that stage only
            if only or not job.ranks.single:
                raise
            logger.warning("%s now", error)
            shares(team)
        # also where every stage was up to date; `stage NAME` saves them only if it had something to do
        if job.ranks.rank == 0 and only is None:
            note_settings(job)

    def shares(team: Team) -> None:
        for stage in stages:
            if only not in (None, stage.name):
                _require(stage, job)
                continue
            if not force:
                _check_room(stage, stages, only, job)
            _do_share(stage, job, None if only else team)
            signals.check()
            if not _has_share_after(stage, job):
                break

    meter = Meter()
    with job.run.locked(
        job.ranks, {**config.shared(), "device": job.device.value, "embed.precision": job.precision.value}
    ) as lock:
        in_locked_folder(job, meter, lambda: work(Team(job.run.path, job.ranks, lock)))


def note_settings(job: Job) -> None:
    """Save the settings in `config.json`, where other commands read with what settings the answer was made: so those of
    a run that is refused are not saved over those of a finished one."""
    if not job.noted:
        note_config(job.run, job.config.public())
        job.noted = True


def _check_room(stage: Stage, stages: Sequence[Stage], only: str | None, job: Job) -> None:
    """Refuse what cannot fit before `embed`, the first stage that takes long. How large a whole collection is, is known
    after `store`, which reads it back."""
    of_input, at = stage.name in ("embed", "store"), stages.index(stage)
    if stage.name == "ingest" or (of_input and not job.has_input):
        return
    if only is not None:
        ahead = [stage] if stage.name == only else []
    elif job.whole_collection:
        ahead = list(stages[at : at + 2] if stage.name == "embed" else stages[at:] if stage.name == "neighbors" else ())
    else:
        ahead = list(stages[at:]) if stage.name == "embed" else []
    mine = [one for one in ahead if job.ranks.rank == 0 or one.is_shared(job)]
    if mine:
        check_room(job, mine, job.run.path if of_input else job.answer_folder)


def carry_out(stages: Sequence[Stage], job: Job) -> None:
    """Bring those of the stages that apply up to date, in order, in this process."""
    for stage in stages:
        if stage.applies(job.config):
            do(stage, job)
            signals.check()


def do(stage: Stage, job: Job) -> bool:
    """Skip the stage if it is up to date; else run it, save its marker, and clean up.

    Returns whether it is complete: of a stage that ranks share, this rank's share may be done and others' not.
    """
    marker = None if stage.is_volatile(job) else stage.up_to_date(job)
    if marker is not None:
        logger.info("%s: up to date (since %s)", stage.name, marker.finished)
        stage.clean_up(job)
        return True
    key, meter = stage.digest(job), Meter()
    # the last stage depends on all others: without its marker, a run killed from here on does not look complete
    names = [stage.name] if job.ranks.single or not stage.is_shared(job) else []
    names += [NAMES[-1]] if job.ranks.rank == 0 else []
    outside = [stage.name] if stage.writes_outside else []
    with job.run.without_markers(names, not job.done, outside):
        result = stage.run(job)
    if job.ranks.rank == 0:
        note_settings(job)
    if result is None:
        return False
    for warning in result.warnings:
        logger.warning("%s: %s", stage.name, warning)
    stats = {"rows": result.rows, **result.stats, "fallbacks": result.fallbacks, "warnings": result.warnings}
    stats["peak_mb_so_far"] = peak_mb()
    output = result.output or key
    job.run.finish(stage.name, key, output, stage.files(job), meter.seconds, stats, made_with())
    stage.clean_up(job)
    memory.give_back()
    gpu.give_back()
    job.done.append(stage.name)
    return True


def _do_share(stage: Stage, job: Job, team: Team | None) -> None:
    """This rank's share of the stage. In `run` all ranks work at once and wait for each other's shares where a stage
    needs them; `stage NAME` (no `team`) waits for nobody, so that ranks can also run one after the other."""
    shared = stage.is_shared(job)
    if shared or job.ranks.rank == 0:
        complete = do(stage, job)
    else:
        complete = False
        logger.info("%s: is not split over ranks: rank 0 does it", stage.name)
    if complete or team is None or not _has_share_after(stage, job):
        return

    def missing() -> list[str]:
        found = _still_missing(stage, job)
        if found:
            team.check(stage.name)
        return found

    wait_for(stage.name, missing, job.config.ranks.wait, job.ranks)
    if shared:
        do(stage, job)


def _has_share_after(stage: Stage, job: Job) -> bool:
    """Whether this rank works on a later stage: ranks other than the first only work on shared stages."""
    return job.ranks.rank == 0 or any(later.is_shared(job) for later in STAGES[STAGES.index(stage) + 1 :])


def _still_missing(stage: Stage, job: Job) -> list[str]:
    if stage.up_to_date(job) is not None:
        return []
    if stage.is_shared(job):
        return stage.missing(job)
    # rank 0 writes to its log at least every 30 s, so a growing log is progress
    log_file = job.run.file("job.log")
    return [f"rank 0's work (its job.log has {log_file.stat().st_size if log_file.exists() else 0:,} bytes)"]


def _require(stage: Stage, job: Job) -> None:
    if stage.up_to_date(job) is None:
        missing = stage.missing(job) if stage.is_shared(job) else []
        raise BadInput(
            f"stage {stage.name} is not done with these settings in '{job.run.path}'"
            f"{' (missing: ' + '; '.join(missing) + ')' if missing else ''}: run it first, or `run` for all"
        )


def in_run_folder(job: Job, work: Callable[[], None]) -> None:
    """Do `work` with the run folder locked, the log also in its file, and stop signals handled; write `run.json`."""
    meter = Meter()
    with job.run.locked(job.ranks):
        in_locked_folder(job, meter, work)


def in_locked_folder(job: Job, meter: Meter, work: Callable[[], None]) -> None:
    """As `in_run_folder`, in a folder that this process has locked."""
    with log.to_file(job.run.file(log_name(job.ranks.rank))), signals.stop_signals():
        try:
            work()
        except BaseException as error:
            # what went wrong first is what is reported
            with suppress(Exception):
                _end(job, meter)
            if not isinstance(error, Exception):
                raise
            known = _noted(error, job.run.file(log_name(job.ranks.rank)))
            if known is error:
                raise
            raise known from error
        _end(job, meter)
        logger.info("run: done in %.1f s, peak memory %s MB", meter.seconds, f"{peak_mb():,}")


def _noted(error: Exception, log_file: Path) -> Exception:
    """The error to report, which is noted in the log: of one that nobody expected, with the traceback."""
    known = explained(error, log_file.parent) or error
    # an error of ours says more than the system's, unless the same command continues once there is room
    if isinstance(error, JobError) and not isinstance(known, Resumable):
        known = error
    unexpected = None if isinstance(known, JobError) else error
    if unexpected is not None:
        unexpected.add_note(str(log_file))
    logger.error("run: stopped: %s", known, exc_info=unexpected, extra=log.FILE_ONLY)
    return known


def _end(job: Job, meter: Meter) -> None:
    job.close()
    # a rank that completed a stage records it; rank 0 records everything again when it ends
    if job.done or job.noted:
        _record(job, meter)


def _record(job: Job, meter: Meter) -> None:
    choices = {
        "device": job.device,
        "precision": job.precision,
        "graph_clustering": job.graph_code,
        "cluster_and_layout": job.rapids,
    }
    fallbacks = []
    if job.config.device == "auto" and job.device.value == "cpu":
        fallbacks.append(f"device cpu: {job.device.reason}")
    elif job.device.value == "cuda" and job.rapids.value == "cpu":
        fallbacks.append(f"clustering of vectors and layout on the CPU: {job.rapids.reason}")
    facts = {
        "job": __version__,
        "config": job.config.public(),
        "choices": {name: {"value": choice.value, "reason": choice.reason} for name, choice in choices.items()},
        "this_run": {"stages": job.done, "seconds": round(meter.seconds, 3), "peak_mb": peak_mb()},
        "fallbacks": fallbacks,
    }
    write_record(job.run, tuple(stage.name for stage in STAGES if stage.applies(job.config)), facts)
