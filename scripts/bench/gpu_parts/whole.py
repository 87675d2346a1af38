"""The whole job, text to files, by its own pipeline with `neighbors.backend: exact`; Milvus measured apart.

Milvus Lite takes minutes for a million rows and no server can be started on the machine, so the store stage is left out
of the job here (its marker says so) and measured on some rows of its own, in part `store`. All other stages are the
pipeline's, in its order, in one process, as `python -m job run` carries them out.
"""

import shutil
from typing import Any

from gpu_parts.measure import Bench, device_peak_mb, has_rapids
from gpu_parts.model import SHAPES, checkpoint
from gpu_parts.texts import headlines

STORED = 100_000
_LAID_OUT_ON_CPU = 50_000


def run(bench: Bench) -> None:
    """Every stage is a line of results as it ends; `run.json` is copied to the results."""
    from job import pipeline
    from job.context import Job
    from job.runtime.measure import Meter, peak_mb

    config = _config(bench, bench.rows)
    job = Job(config)
    # what a machine does once, not once a run: kernels compiled and cached
    _warm(bench)
    device_peak_mb(reset=True)
    rapids = has_rapids(bench)
    total = Meter()
    done: list[str] = []
    try:
        with job.run.locked():
            for stage in pipeline.STAGES:
                meter = Meter()
                if stage.name == "project" and not rapids and bench.cuda and bench.rows > _LAID_OUT_ON_CPU:
                    bench.add("project", left_out="umap-learn lays a million out in an hour; bring cuML along")
                    break
                if stage.name == "store":
                    key = pipeline._key(stage, job)
                    job.run.finish("store", key, key, [], 0.0, {"left_out": "measured apart: gpu.sh store"})
                    continue
                pipeline.carry_out(stage, job, done)
                marker = job.run.marker(stage.name)
                bench.add(
                    stage.name,
                    meter.seconds,
                    **_short(marker.stats if marker else {}),
                    host_peak_mb=peak_mb(),
                    device_peak_mb=device_peak_mb(reset=True),
                )
            files = "report" in done
            what = "all but store, text to files" if files else "text to clusters, without store"
            bench.add(what, total.seconds, rows=bench.rows, stages=len(done))
    finally:
        pipeline.record(job, done, total)
        shutil.copy(job.run.file("run.json"), bench.out / "run.json")


def store(bench: Bench) -> None:
    """The store stage alone, into Milvus Lite, on at most 100,000 rows."""
    from job import pipeline
    from job.context import Job
    from job.runtime.measure import Meter

    rows = min(STORED, bench.rows)
    job = Job(_config(bench, rows))
    try:
        with job.run.locked():
            for stage in pipeline.STAGES[:3]:
                meter = Meter()
                pipeline.carry_out(stage, job, [])
                if stage.name == "store":
                    bench.add("store, Milvus Lite", meter.seconds, rows=rows, rows_per_s=round(rows / meter.seconds))
    finally:
        job.close()


def _warm(bench: Bench) -> None:
    from job import pipeline
    from job.context import Job

    job = Job(_config(bench, 400, "warm"))
    with job.run.locked():
        for stage in pipeline.STAGES:
            if stage.name == "store":
                key = pipeline._key(stage, job)
                job.run.finish("store", key, key, [], 0.0, {})
            else:
                pipeline.carry_out(stage, job, [])


def _config(bench: Bench, rows: int, name: str = "timed") -> Any:
    """A run of `rows` synthetic headlines in a fresh folder, and its input."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from job.config import resolve

    model = checkpoint(bench.scratch / f"model-{bench.shape}", bench.shape)
    folder = bench.scratch / f"{bench.part}-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    titles, descriptions = headlines(rows, SHAPES[bench.shape][-1], bench.seed)
    pq.write_table(pa.table({"title": titles, "description": descriptions}), folder / "news.parquet")
    settings: dict[str, Any] = {
        "run_dir": str(folder / "run"),
        "device": bench.device,
        "input": {"path": str(folder / "news.parquet")},
        "embed": {"model": str(model)},
        "neighbors": {"k": bench.k, "backend": "exact"},
    }
    return resolve(settings, [], "scripts/bench/gpu_parts/whole.py")


def _short(stats: dict[str, Any]) -> dict[str, Any]:
    """The figures of a stage's record that say how it went."""
    wanted = ("rows", "implementation", "backend", "precision", "recall", "clusters", "noise_share", "fallbacks")
    return {name: stats[name] for name in wanted if stats.get(name) not in (None, [])}
