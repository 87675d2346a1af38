"""`doctor`: what this machine has, what a run would choose and why, and what each of its stages needs."""

import argparse
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from job.commands.command import Command, add_config, load_config
from job.runtime.device import Choice, resolve_device, resolve_precision, resolve_rapids
from job.runtime.errors import JobError
from job.runtime.gpu_packages import installed_packages, verdict
from job.runtime.record import machine, versions

if TYPE_CHECKING:
    from job.backends.embedding.models import Model
    from job.config import Config


class DoctorCommand(Command):
    name = "doctor"
    help = "say what this machine has, and what a run with this input will need: memory, disk, time"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_config(parser, optional=True)

    def run(self, arguments: argparse.Namespace) -> Iterator[str]:
        return examine(None if arguments.config is None else load_config(arguments))


def examine(config: "Config | None") -> Iterator[str]:
    """Lines of findings; a thing that is missing is a finding, not an error."""
    about = machine()
    yield f"machine    {about['platform']}, {about['processor']}, {about['cores']} cores, {_memory_gib():.1f} GiB"
    yield "packages   " + ", ".join(f"{name} {version}" for name, version in versions().items())
    yield f"GPU        {verdict(installed_packages())}"
    yield from _device(config)
    model = None
    there = None if config is None else (yield from _milvus(config))
    if there is not None and config is not None and not config.input.paths:
        yield "model      none is needed: the collection's vectors are clustered"
    else:
        try:
            model = _model(config)
            heads = ", BGE-M3 heads" if model.m3 else ""
            yield f"model      {model.name}: {model.folder}, {model.pooling} pooling{heads}"
        except JobError as error:
            yield f"model      {error}"
    if config is None:
        return
    from job.backends.embedding.shape import BGE_M3, ModelShape, shape_of
    from job.commands.doctor_plan import plan, table_of_sizes
    from job.context import Job

    try:
        job = Job(config)
        if model is None:
            shape, rows = (ModelShape(there[0], 0), there[1]) if there else (BGE_M3, None)
            yield from table_of_sizes(job, shape, rows)
            return
        # found without a memo of its checksums, which would lie in the run folder: doctor writes nothing
        job.model = model
        yield from (plan if job.has_input else table_of_sizes)(job, shape_of(model.folder))
    except JobError as error:
        yield f"plan       {error}"


def _device(config: "Config | None") -> Iterator[str]:
    from job.backends.gpu import why_torch_cannot

    try:
        device = resolve_device(config.device if config else "auto", why_torch_cannot)
    except JobError as error:
        yield f"device     {error}"
        device = Choice("cpu", "fallback")
    precision = resolve_precision(config.embed.precision if config else "auto", device)
    rapids = resolve_rapids(device)
    yield f"device     {device.value}: {device.reason}"
    yield f"precision  {precision.value}: {precision.reason}"
    yield f"clustering {rapids.value}: {rapids.reason}"


def _model(config: "Config | None") -> "Model":
    from job.backends.embedding.models import find_model

    return find_model(config.embed.model, config.embed.pooling) if config else find_model("minilm", "auto")


def _milvus(config: "Config") -> Generator[str, None, tuple[int, int] | None]:
    """Lines on the server; returns the dimensions and rows of a collection that is to be clustered as a whole."""
    from job.backends.milvus import is_lite
    from job.backends.milvus.gpu_trial import try_gpu_index
    from job.backends.milvus.index_kinds import KINDS, MAX_TOP_K
    from job.connect import open_milvus

    uri = config.store_uri
    if is_lite(uri) and not Path(uri).expanduser().exists():
        kinds = ", ".join(kind.name for kind in KINDS.values() if kind.lite)
        yield f"milvus     Milvus Lite, a new file at {uri}: {kinds}, up to about 100,000 headlines"
        return None
    try:
        milvus = open_milvus(config, patience=0)
    except JobError as error:
        yield f"milvus     {error}"
        return None
    try:
        cloud = "Zilliz Cloud, " if milvus.connection.zilliz else ""
        database = f", database {config.store.db_name}" if config.store.db_name else ""
        yield f"milvus     {cloud}{milvus.version} at {milvus.uri}{database}"
        limits = f"top-k {MAX_TOP_K:,}, queries a search {MAX_TOP_K:,}, messages 64 MiB"
        yield f"milvus     limits: {'none known' if milvus.lite else limits}; this run asks for top-k {config.search_k}"
        name, exists = config.store.collection, milvus.exists()
        if exists and config.store.scope == "collection" and milvus.has_index():
            dim, rows, index = milvus.schema.dim, milvus.rows_written(), milvus.index()
            kept = f"index {index.kind}/{index.metric}"
            yield f"milvus     collection '{name}': {rows:,} rows x {dim:,} dimensions, {kept}"
            return dim, rows
        yield f"milvus     collection '{name}' {'exists' if exists else 'does not exist yet'}"
        asked = config.store.index
        gpu = milvus.connection.gpu(asked if asked in KINDS and KINDS[asked].gpu else "GPU_IVF_FLAT", try_gpu_index)
        yield f"milvus     GPU indexes: {gpu.value}, {gpu.reason}"
    except JobError as error:
        yield f"milvus     {error}"
    finally:
        milvus.close()
    return None


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
