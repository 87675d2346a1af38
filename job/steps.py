"""How each stage of the pipeline is called: its own settings and what the stages before it left, out of the job.

Heavy imports wait until a stage runs.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from job.backends.milvus import is_lite
from job.config import SPARE_HITS
from job.context import Job
from job.runtime.ranks import ALONE
from job.runtime.rundir import digest
from job.stages import store_collection as population


def ingest(job: Job, key: str) -> dict[str, Any]:
    from job.stages import ingest as stage

    if not job.config.input.paths:
        return {"rows": 0, "headlines": 0, "rejects": 0, "output": "no input"}
    return stage.ingest(job.config.input, job.run)


def ingest_key(job: Job) -> list[Any]:
    """What is read, and how; where the files lie does not matter."""
    from job.stages.ingest import input_digest

    return [job.config.input.model_dump(mode="json", exclude={"path"}), input_digest(job.config.input)]


def embed(job: Job, key: str) -> dict[str, Any] | None:
    from job.stages import embed as stage

    if not job.config.input.paths:
        return {"rows": 0, "output": "no input"}
    return stage.embed(_part(job, key))


def embed_missing(job: Job, key: str) -> list[str]:
    """The shards still to be embedded, by rank."""
    from job.stages import embed as stage

    return stage.missing_shards(_part(job, key)) if job.config.input.paths else []


def _part(job: Job, key: str) -> Any:
    from job.stages.embed import Part

    return Part(job.config.embed, job.model, job.device, job.precision, job.ranks, job.run, key)


def store(job: Job, key: str) -> dict[str, Any]:
    from job.stages import store as stage
    from job.stages.embed import load_sparse
    from job.stages.ingest import extra_values

    config = job.config
    stats: dict[str, Any] = {}
    if config.input.paths:
        extra = extra_values(config.store.extra_fields, job.input_headlines, job.run)
        top_k = config.graph_k + SPARE_HITS
        written = job.input_headlines, job.input_embeddings
        lexical = load_sparse(job.run) if config.embed.sparse else None
        options: dict[str, Any] = {"key": key, "top_k": top_k, "extra": extra, "lexical": lexical}
        stats = stage.store(config.store, job.milvus, *written, job.run, **options)
    if job.living:
        stats |= stage.survey(config, job.milvus, job.input_headlines, job.run)
    return stats


def many_can_search(job: Job) -> bool:
    """A Lite file belongs to one process, and what a living collection holds is what rank 0 saw in it."""
    asks_lite = job.config.neighbors.backend == "milvus" and is_lite(job.config.store_uri)
    return not asks_lite and not job.living


def neighbors_missing(job: Job, key: str) -> list[str]:
    """The rows of the graph still to be found, by rank."""
    from job.stages.neighbors import shards_of

    shards = shards_of(job.config.neighbors, key, len(job.headlines), job.run)
    return shards.in_words(shards.unmarked(), job.ranks)


def neighbors(job: Job, key: str) -> dict[str, Any] | None:
    from job.stages import neighbors as stage

    config = job.config
    return stage.neighbors(
        config.neighbors,
        config.graph_k,
        config.seed,
        job.milvus if config.neighbors.backend == "milvus" else None,
        key,
        job.embeddings,
        job.run,
        device=job.device.value,
        filter=config.store.filter,
        living=job.living,
        clustering=config.cluster,
        ranks=job.ranks if many_can_search(job) else ALONE,
    )


def cluster(job: Job, key: str) -> dict[str, Any]:
    from job.stages import cluster as stage

    config = job.config
    return stage.cluster(
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


def project(job: Job, key: str) -> dict[str, Any]:
    from job.stages import project as stage

    return stage.project(job.config.project, job.config.seed, job.rapids, job.graph, job.embeddings, job.run)


def describe(job: Job, key: str) -> dict[str, Any]:
    from job.stages import describe as stage

    return stage.describe(job.headlines, job.embeddings, job.clusters, job.run)


def report(job: Job, key: str) -> dict[str, Any]:
    from job.stages import report as stage
    from job.stages.describe import load_topics

    settings = job.config.cluster
    assigned = job.clusters.assigned(settings.noise_distance) if settings.noise == "nearest" else None
    source = job.run.file(population.FOLDER) if job.living else job.run.path
    topics = load_topics(job.run)
    return stage.report(job.config.report, assigned, job.headlines, job.clusters, topics, job.layout, job.run, source)


def embed_files(job: Job) -> list[str]:
    folders = ("embeddings", "sparse")
    return [f"{folder}/{path.name}" for folder in folders for path in sorted(job.run.file(folder).glob("[0-9]*.npy"))]


def store_files(job: Job) -> list[str]:
    uri = job.config.store_uri
    database = [str(Path(uri).expanduser().resolve())] if is_lite(uri) else []
    return database + (list(population.FILES) if job.living else [])


def ingest_files(job: Job) -> list[str]:
    return ["headlines.parquet", "rows.parquet", "input.parquet", "rejects.csv"] if job.config.input.paths else []


def files(*names: str) -> Callable[[Job], list[str]]:
    return lambda job: list(names)
