"""READ FIRST: the stages in order. What is done is skipped, what changed is done again.

    ingest -> embed -> store -> neighbors -> cluster -> project -> describe -> report

Each stage has a key, the digest of its settings, of the results it starts from and of its code's version.
A stage whose marker has that key, with its files in place, is up to date.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from job import __version__, steps
from job.config import Config
from job.context import Job
from job.preflight import fail_early, note_config
from job.runtime import log, signals
from job.runtime.errors import BadInput
from job.runtime.log import logger
from job.runtime.measure import Meter, peak_mb
from job.runtime.ranks import wait_for
from job.runtime.record import write_record
from job.runtime.rundir import Marker, RunDir, digest
from job.runtime.secrets import without_password


@dataclass(frozen=True)
class Stage:
    """`key`: what the result depends on. `work`: do it, given the key, and say what was counted; its `output`,
    where given, is the digest of the result. `files`: what it leaves in the run folder. `version`: raised when
    the code gives another result for the same key.

    `shared`: whether ranks share the stage; others are rank 0's. `missing`: of a shared one, which pieces of all
    ranks are still to be made, in words, given the key; `work` does this rank's, and returns None while the stage
    is not complete.
    """

    name: str
    version: int
    files: Callable[[Job], list[str]]
    key: Callable[[Job], list[Any]]
    work: Callable[[Job, str], dict[str, Any] | None]
    shared: Callable[[Job], bool] = lambda job: False
    missing: Callable[[Job, str], list[str]] = lambda job, key: []


# the asked precision and device are in the keys, not the resolved ones: a run that embedded on a GPU node
# may end on a CPU node
STAGES = (
    Stage("ingest", 1, steps.ingest_files, steps.ingest_key, steps.ingest),
    Stage(
        "embed",
        2,
        steps.embed_files,
        lambda job: [
            job.output("ingest"),
            *([job.model.identity, job.model.pooling] if job.config.input.paths else []),
            job.config.embed.model_dump(mode="json", include={"max_length", "precision", "shard_rows", "sparse"}),
        ],
        steps.embed,
        lambda job: True,
        steps.embed_missing,
    ),
    Stage(
        "store",
        1,
        steps.store_files,
        lambda job: [
            job.output("ingest"),
            job.output("embed"),
            without_password(job.config.store_uri),
            job.config.store.model_dump(
                mode="json",
                exclude={
                    *("uri", "token", "tls_ca", "parallel", "patience", "scope", "filter", "sparse_field"),
                    *("write", "bulk_uri", "bulk_endpoint"),
                },
            ),
            [job.config.store.scope, job.config.store.filter] if job.living else [],
            *([["sparse", job.config.store.sparse_field]] if job.config.embed.sparse else []),
        ],
        steps.store,
    ),
    Stage(
        "neighbors",
        2,
        steps.files("neighbors.npz"),
        lambda job: [
            job.output("store"),
            job.config.graph_k,
            job.config.neighbors.model_dump(mode="json", exclude={"batch", "parallel"}),
            [job.config.cluster.model_dump(mode="json")] * (job.config.neighbors.audit == "full"),
        ],
        steps.neighbors,
        steps.many_can_search,
        steps.neighbors_missing,
    ),
    Stage(
        "cluster",
        2,
        steps.files("clusters.parquet", "tree.npz"),
        lambda job: [steps.tree_key(job), job.config.cluster.model_dump(mode="json", exclude={"recipe"})],
        steps.cluster,
    ),
    Stage(
        "project",
        1,
        steps.files("layout.npy"),
        lambda job: [
            job.clustered("embed"),
            job.output("neighbors"),
            job.config.project.model_dump(mode="json"),
            job.config.seed,
            job.config.device,
        ],
        steps.project,
    ),
    Stage(
        "describe",
        1,
        steps.files("topics.parquet"),
        lambda job: [job.clustered("ingest"), job.clustered("embed"), job.output("cluster")],
        steps.describe,
    ),
    Stage(
        "report",
        1,
        steps.files("headlines_clustered.parquet", "headlines_clustered.csv", "topics.csv", "map.html"),
        lambda job: [
            job.clustered("ingest"),
            _marker_key(job, "ingest"),
            *(job.output(stage) for stage in ("cluster", "project", "describe")),
            [job.config.cluster.noise, job.config.cluster.noise_distance],
            job.config.report.model_dump(mode="json"),
        ],
        steps.report,
    ),
)
NAMES = tuple(stage.name for stage in STAGES)


def _marker_key(job: Job, stage: str) -> str:
    """The stage's key as its marker has it: for what depends on more of the input than its distinct texts."""
    marker = job.run.marker(stage)
    return marker.key if marker else ""


def run(config: Config, only: str | None = None) -> None:
    """Carry out every stage that is not up to date, or only the named one, and write `run.json`.

    Raises:
        JobError: see `job.runtime.errors` for what each kind means.
    """
    meter = Meter()
    job = Job(config)
    log_file = job.run.file(f"job.rank-{job.ranks.rank}.log" if job.ranks.rank else "job.log")
    with job.run.locked(job.ranks), log.to_file(log_file), signals.stop_signals():
        done: list[str] = []
        try:
            if job.ranks.rank == 0:
                note_config(job)
            who = "" if job.ranks.alone else f", {job.ranks} ({job.ranks.source})"
            logger.info("run: %s, device %s (%s)%s", job.run.path, job.device.value, job.device.reason, who)
            if only is None:
                fail_early(job)
            for stage in STAGES:
                if only not in (None, stage.name):
                    _demand(stage, job)
                    continue
                _take_part(stage, job, done, only is None)
                signals.check()
                if only or not _more_to_do(stage, job):
                    break
        except Exception as error:
            logger.error("run: stopped: %s", error, extra=log.FILE_ONLY)
            raise
        finally:
            job.close()
            # a rank that completed a stage says so; rank 0 says it all again when it ends
            if done or job.ranks.rank == 0:
                record(job, done, meter)
        logger.info("run: done in %.1f s, peak memory %s MB", meter.seconds, f"{peak_mb():,}")


def _more_to_do(stage: Stage, job: Job) -> bool:
    """Whether this rank has a part in a stage after this one: ranks but the first only have one in shared stages."""
    return job.ranks.rank == 0 or any(later.shared(job) for later in STAGES[STAGES.index(stage) + 1 :])


def _take_part(stage: Stage, job: Job, done: list[str], whole_job: bool) -> None:
    """This rank's part of the stage. In `run` all ranks are there at once and wait for each other's parts where a
    stage needs them; `stage NAME` waits for nobody, so that ranks may also run one after the other."""
    shared = stage.shared(job)
    if shared or job.ranks.rank == 0:
        finished = carry_out(stage, job, done)
    else:
        finished = False
        logger.info("%s: is not split over ranks: rank 0 does it", stage.name)
    if finished or not whole_job or not _more_to_do(stage, job):
        return
    wait_for(stage.name, lambda: _still_missing(stage, job), job.config.ranks.wait)
    if shared:
        carry_out(stage, job, done)


def _still_missing(stage: Stage, job: Job) -> list[str]:
    key = _key(stage, job)
    if _up_to_date(stage, job, key) is not None:
        return []
    if stage.shared(job):
        return stage.missing(job, key)
    # it says something at least every 30 s, so that a growing log is progress
    log_file = job.run.file("job.log")
    return [f"rank 0's work (its job.log has {log_file.stat().st_size if log_file.exists() else 0:,} bytes)"]


def _up_to_date(stage: Stage, job: Job, key: str) -> Marker | None:
    marker = job.run.marker(stage.name)
    return marker if marker is not None and marker.key == key and job.run.intact(marker) else None


def _key(stage: Stage, job: Job) -> str:
    return digest(stage.name, stage.version, stage.key(job))


def _demand(stage: Stage, job: Job) -> None:
    key = _key(stage, job)
    if _up_to_date(stage, job, key) is None:
        missing = stage.missing(job, key) if stage.shared(job) else []
        raise BadInput(
            f"stage {stage.name} is not done with these settings in '{job.run.path}'"
            f"{' (missing: ' + '; '.join(missing) + ')' if missing else ''}: run it first, or `run` for all"
        )


def carry_out(stage: Stage, job: Job, done: list[str]) -> bool:
    """Do the stage, unless it is up to date, and add its name to `done`; False if parts are left to other ranks."""
    key = _key(stage, job)
    # what a living collection holds is seen anew each time; what follows from it is redone if it changed
    marker = None if job.living and stage.name == "store" else _up_to_date(stage, job, key)
    if marker is not None:
        logger.info("%s: up to date (since %s)", stage.name, marker.finished)
        return True
    if job.ranks.alone or not stage.shared(job):
        job.run.forget(stage.name)
    if job.ranks.rank == 0:
        # it depends on all others: without its marker, a run killed from here on does not look whole
        job.run.forget("report")
    meter = Meter()
    stats = stage.work(job, key)
    if stats is None:
        return False
    output = stats.pop("output", key)
    stats["peak_mb_so_far"] = peak_mb()
    job.run.finish(stage.name, key, output, stage.files(job), meter.seconds, stats)
    done.append(stage.name)
    return True


def record(job: Job, done: list[str], meter: Meter) -> None:
    """Write `run.json`."""
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
    write_record(job.run, job.config.public(), __version__, choices, fallbacks, NAMES, done, meter)


def state(run: RunDir) -> list[tuple[str, Marker | None, bool]]:
    """Each stage with its marker and whether its files are in place."""
    return [
        (name, marker, marker is not None and run.intact(marker)) for name in NAMES for marker in [run.marker(name)]
    ]
