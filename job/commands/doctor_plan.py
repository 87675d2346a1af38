"""`doctor CONFIG`: what each stage of a run with this input will need here, by estimates and short trials."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from job.backends.embedding.shape import ModelShape
from job.backends.tables.take import take_rows
from job.prediction import MEGABYTE, needs, replaced_by, shortages, size_for, size_of
from job.runtime.needs import GIB, Need
from job.runtime.room import disk_room, memory_room
from job.runtime.rundir import RunDir
from job.runtime.speed import Speed, measure_speed

if TYPE_CHECKING:
    from job.context import Job

_SIZES = (10_000, 100_000, 1_000_000)
# bytes of a headline's text, where there is no input
_TEXT = 100
# a trial of the model is repeated with four times as many headlines, up to a shard, until it takes so many seconds:
# few headlines fill no batches
_FIRST_TRIAL, _TRIAL_SECONDS = 256, 4.0
# seconds before the first stage
_START = 1.0


@dataclass(frozen=True)
class _Trial:
    """The model at work: seconds to load it, and for each of the last trial's `texts`."""

    load: float
    per_text: float
    texts: int


def plan(job: "Job", model: ModelShape) -> Iterator[str]:
    """The lines of the plan. Reads the input as a run does, and embeds a sample of it; nothing that it writes stays.

    Raises:
        BadInput: the input, the model or the device cannot be used.
    """
    from job.pipeline import STAGES

    with tempfile.TemporaryDirectory(prefix="doctor-") as temporary:
        folder, start = Path(temporary), time.perf_counter()
        _read(job, folder)
        seconds = {"ingest": time.perf_counter() - start}
        size = size_of(job, folder, model)
        text = size.text / size.headlines
        yield f"input      {size.rows:,} rows, {size.headlines:,} distinct headlines of {text:.0f} bytes on average"
        trial = _try_model(job, folder, size.headlines)
    seconds["embed"] = trial.load + trial.per_text * size.headlines
    yield (
        f"trial      {1 / trial.per_text:,.0f} headlines a second ({trial.texts:,} of them, {job.precision.value} on "
        f"{job.device.value}); the model is loaded in {trial.load:.1f} s"
    )
    found, speed = needs(job, STAGES, size), measure_speed()
    yield (
        f"speed      {speed.loops:.2f} times (row by row) and {speed.products:.2f} times (matrix products) the machine "
        "of the estimates"
    )
    seconds = {name: _seconds(need, speed) for name, need in found.items()} | seconds
    cuda = job.device.value == "cuda"
    yield from _table(found, seconds, cuda)
    if cuda:
        yield "plan       seconds of neighbors, cluster, merge and project are those of the CPU code, an upper bound"
    memory, disk = memory_room(), disk_room(job.run.path)
    there = f"{memory.bytes / GIB:.1f} GiB {memory.where}, " if memory else ""
    yield f"room       {there}{disk.bytes / MEGABYTE:,.0f} MB {disk.where}"
    for line in shortages(job, found, size, replaced_by(job, STAGES)) or ["this run fits"]:
        yield f"verdict    {line}"


def table_of_sizes(job: "Job", model: ModelShape, collected: int | None = None) -> Iterator[str]:
    """Where there is no input: the memory that each stage needs for some numbers of headlines, also for those
    `collected` in a collection."""
    from job.pipeline import STAGES

    sizes = [size_for(job, model, rows, rows, _TEXT * rows) for rows in sorted({*_SIZES, collected or _SIZES[0]})]
    found = [needs(job, STAGES, size) for size in sizes]
    yield f"memory     GiB at the peak of each stage, {sizes[0].dim:,} dimensions, k = {sizes[0].k}:"
    yield "memory      headlines" + "".join(f" {name:>9}" for name in found[0])
    for size, of_size in zip(sizes, found, strict=True):
        yield f"memory     {size.rows:>10,}" + "".join(f" {need.memory / GIB:>9.1f}" for need in of_size.values())


def _read(job: "Job", folder: Path) -> None:
    from job.stages.ingest import ingest

    ingest(job.config.input, RunDir(folder), job.run.path)


def _try_model(job: "Job", folder: Path, headlines: int) -> _Trial:
    from job.backends.embedding.precision import check_precision
    from job.stages.embed import open_encoder, shard_rows

    # imports torch, before the stage begins as in a run
    check_precision(job.precision.value, job.device.value)
    start = time.perf_counter()
    encoder = open_encoder(job)
    texts = pq.read_table(folder / "headlines.parquet", columns=["text"])
    # the first pass makes what is made once
    encoder.encode(texts["text"].slice(0, 8).to_pylist())
    load = time.perf_counter() - start
    most = min(headlines, shard_rows(job))
    order, count = np.random.default_rng(0).permutation(headlines), min(_FIRST_TRIAL, most)
    while True:
        sample = take_rows(texts, order[:count])["text"].to_pylist()
        start = time.perf_counter()
        encoder.encode(sample)
        taken = time.perf_counter() - start
        if taken >= _TRIAL_SECONDS or count == most:
            encoder.release()
            return _Trial(load, taken / count, count)
        count = min(4 * count, most)


def _seconds(need: Need, speed: Speed) -> float:
    return need.loops / speed.loops + need.products / speed.products


def _table(found: dict[str, Need], seconds: dict[str, float], cuda: bool) -> Iterator[str]:
    """A line for each stage, and one for the whole run."""
    yield "plan                  seconds  memory GiB  disk MB" + ("  GPU GiB (not measured)" if cuda else "")
    total = Need(
        memory=max(need.memory for need in found.values()),
        gpu=max(need.gpu for need in found.values()),
        disk=sum(need.disk for need in found.values()),
    )
    for name, need, taken in (
        *((name, need, seconds[name]) for name, need in found.items()),
        ("in all", total, _START + sum(seconds.values())),
    ):
        gpu = f"  {need.gpu / GIB:7.1f}" if cuda else ""
        yield (f"plan       {name:>9}  {taken:7.1f}  {need.memory / GIB:10.2f}  {need.disk / MEGABYTE:7,.1f}{gpu}")
