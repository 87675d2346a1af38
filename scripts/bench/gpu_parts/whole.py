"""The whole job, from texts to files, by its own pipeline with the recipe `stories` and `neighbors.backend: exact`.

Milvus Lite takes minutes for a million rows, and no server can be started on the GPU machine. So the store stage is
left out of the job here (its marker says so), and part `store` measures it on fewer rows. All other stages are the
pipeline's, in its order, in one process, as `python -m job run` does them.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gpu_parts.measure import Bench, device_peak_mb, has_rapids
from gpu_parts.model import SHAPES, checkpoint
from gpu_parts.texts import headlines

STORED = 100_000
# with more rows and without cuML, the map's layout is left out
_LAID_OUT_ON_CPU = 50_000


def run(bench: Bench) -> None:
    """Write one result per stage as soon as the stage ends, and copy `run.json` to the results."""
    from job import pipeline
    from job.context import Job
    from job.runtime.measure import Meter, peak_mb

    job = Job(_config(bench, bench.rows))
    resumed = job.run.file("headlines.parquet").exists()
    rapids = has_rapids(bench)
    # most kernels are compiled where another part or gpu.sh's warm-up ran before
    if bench.part != "million":
        _warm_up(bench)
    device_peak_mb()
    total = Meter()
    finished: list[bool] = []

    def work() -> None:
        _stop_at_once()
        for stage in job_stages(job):
            if stage.name == "project" and not rapids and bench.cuda and bench.rows > _LAID_OUT_ON_CPU:
                bench.add("project", left_out="umap-learn takes an hour for a million rows: install cuML")
                break
            if stage.name == "store":
                _mark_done(stage, job)
                continue
            if stage.up_to_date(job) is not None:
                continue
            meter = Meter()
            try:
                pipeline.do(stage, job)
            except Exception as error:
                bench.add(stage.name, meter.seconds, failed=f"{type(error).__name__}: {error}")
                break
            marker = job.run.marker(stage.name)
            bench.add(
                stage.name,
                meter.seconds,
                **_short(marker.stats if marker else {}),
                host_peak_mb=peak_mb(),
                device_peak_mb=device_peak_mb(),
            )
        complete = "report" in job.done
        what = "all except store, from texts to files" if complete else "without store, and what could not be done"
        # of a run that was stopped, the stages' own seconds count, which the markers keep
        seconds = sum(marker.seconds for stage in job_stages(job) if (marker := job.run.marker(stage.name)))
        bench.add(what, seconds if resumed else total.seconds, rows=bench.rows, resumed=resumed)
        finished.append(complete)

    try:
        pipeline.in_run_folder(job, work)
    finally:
        shutil.copy(job.run.file("run.json"), bench.out / "run.json")
    if any(finished):
        # the next call measures a new run; what could not be done, it goes on with
        shutil.rmtree(job.run.path)


def job_stages(job: Any) -> list[Any]:
    """The stages that apply."""
    from job import pipeline

    return [stage for stage in pipeline.STAGES if stage.applies(job.config)]


def store(bench: Bench) -> None:
    """Only the store stage, into Milvus Lite, on at most 100,000 rows."""
    from job import pipeline
    from job.context import Job
    from job.runtime.measure import Meter

    rows = min(STORED, bench.rows)
    job = Job(_config(bench, rows, keep=False))

    def work() -> None:
        _stop_at_once()
        ingest, embed, store = pipeline.STAGES[:3]
        pipeline.carry_out((ingest, embed), job)
        meter = Meter()
        pipeline.do(store, job)
        bench.add("store, Milvus Lite", meter.seconds, rows=rows, rows_per_s=round(rows / meter.seconds))

    pipeline.in_run_folder(job, work)


def _warm_up(bench: Bench) -> None:
    """A run of 400 rows in a process of its own: compiles and caches the kernels, which a machine does once, and shows
    on few rows what does not work."""
    settings = _settings(bench, 400, "warm-up")
    file = bench.scratch / "warm-up.yaml"
    file.write_text(json.dumps(settings))
    shutil.rmtree(settings["run_dir"], ignore_errors=True)
    command = [sys.executable, "-W", "ignore", "-m", "job", "run", str(file)]
    seconds, done = bench.timed(lambda: subprocess.run(command, capture_output=True, text=True))
    last = (done.stderr.strip().splitlines() or [""])[-1]
    bench.add("warm-up: python -m job run", seconds, rows=400, **({"failed": last} if done.returncode else {}))


def _mark_done(stage: Any, job: Any) -> None:
    """Write the marker of a stage that is left out."""
    key = stage.digest(job)
    job.run.finish(stage.name, key, key, [], 0.0, {"left_out": "measured separately: gpu.sh store"})


def _stop_at_once() -> None:
    # gpu.sh sends SIGINT at the time limit and SIGKILL 10 s later: waiting for the current batch could lose run.json
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _config(bench: Bench, rows: int, name: str = "timed", keep: bool = True) -> Any:
    """The configuration of a run of `rows` synthetic headlines, with its input in a folder of its own.

    `keep`: a run that was stopped there is continued; one that was completed has been removed.
    """
    from job.config import resolve

    settings = _settings(bench, rows, name)
    if not keep:
        shutil.rmtree(settings["run_dir"], ignore_errors=True)
    return resolve(settings, [], "scripts/bench/gpu_parts/whole.py")


def texts(bench: Bench) -> None:
    """Only the input of `job` and `million`: gpu.sh writes it while other parts use the GPU."""
    seconds, _ = bench.timed(lambda: _input(bench, bench.rows))
    bench.add("input written", seconds, rows=bench.rows)


def _input(bench: Bench, rows: int) -> Path:
    """The file of so many headlines, written if it is not there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = bench.scratch / f"headlines-{bench.shape}-{rows}.parquet"
    if not file.exists():
        bench.scratch.mkdir(parents=True, exist_ok=True)
        titles, descriptions = headlines(rows, SHAPES[bench.shape][-1], bench.seed)
        published = 1_700_000_000 + np.random.default_rng(bench.seed).integers(0, 30 * 86_400, rows)
        table = pa.table({"title": titles, "description": descriptions, "published": published})
        # two parts may write it at the same time
        part = file.with_suffix(f".{os.getpid()}")
        pq.write_table(table, part)
        part.rename(file)
    return file


def _settings(bench: Bench, rows: int, name: str) -> dict[str, Any]:
    """The settings of such a run."""
    model = checkpoint(bench.scratch / f"model-{bench.shape}", bench.shape)
    folder = bench.scratch / f"{bench.part}-{name}-{rows}"
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "run_dir": str(folder / "run"),
        "device": bench.device,
        "input": {"path": str(_input(bench, rows)), "time": "published"},
        "cluster": {"recipe": "stories"},
        "embed": {"model": str(model)},
        "neighbors": {"k": bench.k, "backend": "exact"},
    }


def _short(stats: Mapping[str, Any]) -> dict[str, Any]:
    """The important figures of a stage's record."""
    wanted = ("rows", "implementation", "backend", "device", "precision", "recall", "clusters", "noise_share")
    wanted += ("merge_above", "themes", "fallbacks")
    return {name: stats[name] for name in wanted if stats.get(name) not in (None, [])}
