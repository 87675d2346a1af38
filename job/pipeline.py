"""READ FIRST: the stages in order. What is done is skipped, what changed is done again.

    ingest -> embed -> store -> neighbors -> cluster -> project -> describe -> report

Each stage has a key, the digest of its settings, of the results it starts from and of its code's version.
A stage whose marker has that key, with its files in place, is up to date.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job import __version__
from job.backends import population
from job.backends.milvus import is_lite
from job.config import SPARE_HITS, Config
from job.context import Job
from job.preflight import fail_early, note_config
from job.runtime import log, preempt
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

    `missing`: for a stage that ranks share, which pieces of all ranks are still to be made, in words, given the
    key; `work` then does this rank's and returns None while others' are missing. Other stages are rank 0's.
    """

    name: str
    version: int
    files: Callable[[Job], list[str]]
    key: Callable[[Job], list[Any]]
    work: Callable[[Job, str], dict[str, Any] | None]
    missing: Callable[[Job, str], list[str]] | None = None


def _ingest(job: Job, key: str) -> dict[str, Any]:
    from job.stages.ingest import ingest

    if not job.config.input.paths:
        return {"rows": 0, "headlines": 0, "rejects": 0, "output": "no input"}
    return ingest(job.config.input, job.run)


def _ingest_key(job: Job) -> list[Any]:
    from job.stages.ingest import input_digest

    return [job.config.input.model_dump(mode="json", exclude={"path"}), input_digest(job.config.input)]


def _embed(job: Job, key: str) -> dict[str, Any] | None:
    from job.stages.embed import Part, embed

    if not job.config.input.paths:
        return {"rows": 0, "output": "no input"}
    return embed(Part(job.config.embed, job.model, job.device, job.precision, job.ranks, job.run, key))


def _embed_missing(job: Job, key: str) -> list[str]:
    from job.stages.embed import Part, missing_shards

    if not job.config.input.paths:
        return []
    return missing_shards(Part(job.config.embed, job.model, job.device, job.precision, job.ranks, job.run, key))


def _store(job: Job, key: str) -> dict[str, Any]:
    from job.stages.embed import load_sparse
    from job.stages.ingest import extra_values
    from job.stages.store import store, survey

    config = job.config
    stats: dict[str, Any] = {}
    if config.input.paths:
        extra = extra_values(config.store.extra_fields, job.input_headlines, job.run)
        top_k = config.graph_k + SPARE_HITS
        written = job.input_headlines, job.input_embeddings
        lexical = load_sparse(job.run) if config.embed.sparse else None
        options: dict[str, Any] = {"key": key, "top_k": top_k, "extra": extra, "lexical": lexical}
        stats = store(config.store, job.milvus, *written, job.run, **options)
    if job.living:
        stats |= survey(config, job.milvus, job.input_headlines, job.run)
    return stats


def _neighbors(job: Job, key: str) -> dict[str, Any]:
    from job.stages.neighbors import neighbors

    config = job.config
    return neighbors(
        config.neighbors,
        config.graph_k,
        config.seed,
        job.milvus,
        key,
        job.embeddings,
        job.run,
        device=job.device.value,
        filter=config.store.filter,
        living=job.living,
        clustering=config.cluster,
    )


def _cluster(job: Job, key: str) -> dict[str, Any]:
    from job.stages.cluster import cluster

    config = job.config
    return cluster(
        config.cluster,
        config.seed,
        tree_key(job),
        job.graph_code,
        job.rapids,
        job.headlines,
        job.graph,
        lambda: job.embeddings,
        job.run,
    )


def tree_key(job: Job) -> str:
    """The digest of what the single linkage tree depends on; the other settings of clustering cut it."""
    config = job.config
    shape = config.cluster.model_dump(mode="json", include={"input", "k", "reduce_to", "mode", "min_samples"})
    of_vectors = [job.clustered("embed"), config.seed, config.device] if config.cluster.input == "vectors" else []
    return digest(job.clustered("ingest"), job.output("neighbors"), shape, of_vectors)


def _project(job: Job, key: str) -> dict[str, Any]:
    from job.stages.project import project

    return project(job.config.project, job.config.seed, job.rapids, job.graph, job.embeddings, job.run)


def _describe(job: Job, key: str) -> dict[str, Any]:
    from job.stages.describe import describe

    return describe(job.headlines, job.embeddings, job.clusters, job.run)


def _report(job: Job, key: str) -> dict[str, Any]:
    from job.stages.describe import load_topics
    from job.stages.report import report

    settings = job.config.cluster
    assigned = job.clusters.assigned(settings.noise_distance) if settings.noise == "nearest" else None
    source = job.run.file(population.FOLDER) if job.living else job.run.path
    topics = load_topics(job.run)
    return report(job.config.report, assigned, job.headlines, job.clusters, topics, job.layout, job.run, source)


def _shards(job: Job) -> list[str]:
    folders = ("embeddings", "sparse")
    return [f"{folder}/{path.name}" for folder in folders for path in sorted(job.run.file(folder).glob("[0-9]*.npy"))]


def _database(job: Job) -> list[str]:
    uri = job.config.store_uri
    database = [str(Path(uri).expanduser().resolve())] if is_lite(uri) else []
    return database + (list(population.FILES) if job.living else [])


def _ingested(job: Job) -> list[str]:
    return ["headlines.parquet", "rows.parquet", "input.parquet", "rejects.csv"] if job.config.input.paths else []


def _these(*names: str) -> Callable[[Job], list[str]]:
    return lambda job: list(names)


# the asked precision and device are in the keys, not the resolved ones: a run that embedded on a GPU node
# may end on a CPU node
STAGES = (
    Stage("ingest", 1, _ingested, _ingest_key, _ingest),
    Stage(
        "embed",
        2,
        _shards,
        lambda job: [
            job.output("ingest"),
            *([job.model.identity, job.model.pooling] if job.config.input.paths else []),
            job.config.embed.model_dump(mode="json", include={"max_length", "precision", "shard_rows", "sparse"}),
        ],
        _embed,
        _embed_missing,
    ),
    Stage(
        "store",
        1,
        _database,
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
        _store,
    ),
    Stage(
        "neighbors",
        1,
        _these("neighbors.npz"),
        lambda job: [
            job.output("store"),
            job.config.graph_k,
            job.config.neighbors.model_dump(mode="json", exclude={"batch", "parallel"}),
            [job.config.cluster.model_dump(mode="json")] * (job.config.neighbors.audit == "full"),
        ],
        _neighbors,
    ),
    Stage(
        "cluster",
        2,
        _these("clusters.parquet", "tree.npz"),
        lambda job: [tree_key(job), job.config.cluster.model_dump(mode="json", exclude={"recipe"})],
        _cluster,
    ),
    Stage(
        "project",
        1,
        _these("layout.npy"),
        lambda job: [
            job.clustered("embed"),
            job.output("neighbors"),
            job.config.project.model_dump(mode="json"),
            job.config.seed,
            job.config.device,
        ],
        _project,
    ),
    Stage(
        "describe",
        1,
        _these("topics.parquet"),
        lambda job: [job.clustered("ingest"), job.clustered("embed"), job.output("cluster")],
        _describe,
    ),
    Stage(
        "report",
        1,
        _these("headlines_clustered.parquet", "headlines_clustered.csv", "topics.csv", "map.html"),
        lambda job: [
            job.clustered("ingest"),
            _marker_key(job, "ingest"),
            *(job.output(stage) for stage in ("cluster", "project", "describe")),
            [job.config.cluster.noise, job.config.cluster.noise_distance],
            job.config.report.model_dump(mode="json"),
        ],
        _report,
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
    with job.run.locked(job.ranks), log.to_file(log_file), preempt.stop_signals():
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
                preempt.check()
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
    return job.ranks.rank == 0 or any(later.missing for later in STAGES[STAGES.index(stage) + 1 :])


def _take_part(stage: Stage, job: Job, done: list[str], whole_job: bool) -> None:
    """This rank's part of the stage. In `run` all ranks are there at once and wait for each other's parts where a
    stage needs them; `stage NAME` waits for nobody, so that ranks may also run one after the other."""
    shared = stage.missing is not None
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
    return stage.missing(job, key) if stage.missing else ["rank 0's work"]


def _up_to_date(stage: Stage, job: Job, key: str) -> Marker | None:
    marker = job.run.marker(stage.name)
    return marker if marker is not None and marker.key == key and job.run.intact(marker) else None


def _key(stage: Stage, job: Job) -> str:
    return digest(stage.name, stage.version, stage.key(job))


def _demand(stage: Stage, job: Job) -> None:
    key = _key(stage, job)
    if _up_to_date(stage, job, key) is None:
        missing = stage.missing(job, key) if stage.missing else []
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
    if job.ranks.alone or stage.missing is None:
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
