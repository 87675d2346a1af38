"""`doctor`: what this machine has, what a run would choose and why, and the memory that each stage needs."""

import argparse
import json
import os
from collections.abc import Iterator
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

_SIZES = (10_000, 100_000, 1_000_000)
# of BGE-M3, where the model is not known
_DIM, _K = 1024, 50
# GiB of memory that the libraries take
_LIBRARIES = 0.5


class DoctorCommand(Command):
    name = "doctor"
    help = "say what this machine has: packages, devices, model, Milvus, memory"

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
    model, dim = None, _DIM
    try:
        model = _model(config)
        heads = ", BGE-M3 heads" if model.m3 else ""
        yield f"model      {model.name}: {model.folder}, {model.pooling} pooling{heads}"
        dim = _dimensions(model)
    except JobError as error:
        yield f"model      {error}"
    if config is not None:
        for line in _milvus(config):
            yield f"milvus     {line}"
    k = config.graph_k if config else _K
    yield from _memory(dim, k, _weights(model))


def _memory(dim: int, k: int, weights: float) -> Iterator[str]:
    """The peak of each stage that needs more than the libraries do. Fitted to the run of 256,807 x 384 that
    configs/README.md has: 1.1, 0.6, 1.3, 0.5 and 2.7 GiB there; `merge` is an estimate."""
    from job.context import Size
    from job.pipeline import STAGES

    large = [stage for stage in STAGES if stage.memory(Size(1, 1, 1, 0)) is not None]
    yield f"memory     GiB needed at the peak of each stage, {dim} dimensions, k = {k}:"
    yield "memory      headlines" + "".join(f" {stage.name:>10}" for stage in large)
    for rows in _SIZES:
        needs = (stage.memory(Size(rows, dim, k, weights)) or 0 for stage in large)
        yield f"memory     {rows:>10,}" + "".join(f" {_LIBRARIES + bytes / 2**30:>10.1f}" for bytes in needs)


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


def _dimensions(model: "Model") -> int:
    settings = json.loads((model.folder / "config.json").read_text(encoding="utf-8"))
    return int(settings.get("hidden_size", _DIM))


def _weights(model: "Model | None") -> float:
    """Bytes of the model's weights; BGE-M3's where the model is not known."""
    if model is None:
        return 2.2 * 2**30
    kinds = ("*.safetensors", "*.bin")
    return max(sum(path.stat().st_size for path in model.folder.glob(kind)) for kind in kinds)


def _milvus(config: "Config") -> Iterator[str]:
    from job.backends.milvus import is_lite
    from job.backends.milvus.gpu_trial import try_gpu_index
    from job.backends.milvus.index_kinds import KINDS, MAX_TOP_K
    from job.context import open_milvus

    uri = config.store_uri
    if is_lite(uri) and not Path(uri).expanduser().exists():
        kinds = ", ".join(kind.name for kind in KINDS.values() if kind.lite)
        yield f"Milvus Lite, a new file at {uri}: {kinds}, up to about 100,000 headlines"
        return
    try:
        milvus = open_milvus(config, patience=0)
    except JobError as error:
        yield str(error)
        return
    try:
        cloud = "Zilliz Cloud, " if milvus.connection.zilliz else ""
        database = f", database {config.store.db_name}" if config.store.db_name else ""
        yield f"{cloud}{milvus.version} at {milvus.uri}{database}"
        asked = config.store.index
        gpu = milvus.connection.gpu(asked if asked in KINDS and KINDS[asked].gpu else "GPU_IVF_FLAT", try_gpu_index)
        yield f"GPU indexes: {gpu.value}, {gpu.reason}"
        limits = f"top-k {MAX_TOP_K:,}, queries a search {MAX_TOP_K:,}, messages 64 MiB"
        yield f"limits: {'none known' if milvus.lite else limits}; this run asks for top-k {config.search_k}"
        exists = "exists" if milvus.exists() else "does not exist yet"
        yield f"collection '{config.store.collection}' {exists}"
    except JobError as error:
        yield str(error)
    finally:
        milvus.close()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
