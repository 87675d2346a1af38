"""`doctor`: what this machine has, what a run would pick and why, and the memory that each stage needs."""

import os
from collections.abc import Iterator
from pathlib import Path

from job.backends.embedding.models import find_model
from job.config import SPARE_HITS, Config
from job.runtime.device import installed, resolve_device, resolve_precision, resolve_rapids
from job.runtime.errors import JobError
from job.runtime.record import machine, versions

_SIZES = (10_000, 100_000, 1_000_000)


def examine(config: Config | None) -> Iterator[str]:
    """Lines of findings; a thing that is missing is a finding, not an error."""
    about = machine()
    yield f"machine    {about['platform']}, {about['processor']}, {about['cores']} cores, {_memory_gib():.1f} GiB"
    yield "packages   " + ", ".join(f"{name} {version}" for name, version in versions().items())
    for name in ("cuml-cu13", "cupy-cuda13x"):
        if installed(name) is None:
            yield f"packages   {name} is not installed: needed on a GPU alone (environment.yml)"
    try:
        device = resolve_device(config.device if config else "auto")
    except JobError as error:
        yield f"device     {error}"
        device = resolve_device("cpu")
    precision = resolve_precision(config.embed.precision if config else "auto", device)
    rapids = resolve_rapids(device)
    yield f"device     {device.value}: {device.reason}"
    yield f"precision  {precision.value}: {precision.reason}"
    yield f"clustering {rapids.value}: {rapids.reason}"
    try:
        model = find_model(config.embed.model if config else "minilm", "auto")
        yield f"model      {model.name}: {model.folder}, {model.pooling} pooling{', BGE-M3 heads' if model.m3 else ''}"
    except JobError as error:
        yield f"model      {error}"
    if config is not None:
        for line in _milvus(config):
            yield f"milvus     {line}"
    dim = 1024 if config is None or config.embed.model != "minilm" else 384
    k = config.graph_k if config else 50
    yield f"memory     GiB needed at the peak of each stage, {dim} dimensions, k = {k}:"
    yield f"memory     {'headlines':>10} {'embed':>7} {'store':>7} {'neighbors':>10} {'cluster':>8} {'project':>8}"
    for rows in _SIZES:
        yield f"memory     {rows:>10,} " + "{:>7.1f} {:>7.1f} {:>10.1f} {:>8.1f} {:>8.1f}".format(*_needs(rows, dim, k))


def _needs(rows: int, dim: int, k: int) -> list[float]:
    """GiB by stage, libraries included; texts at 300 bytes. Array sizes, fitted to the run of 256,807 x 384 that
    configs/README.md has: 1.1, 0.6, 1.3, 0.5 and 2.7 GiB there."""
    gib = 2.0**30
    texts, half, full, graph = 300 * rows, 2 * dim * rows, 4 * dim * rows, 8 * k * rows
    # embedding holds a few shards, whatever the rows, and the weights: BGE-M3's or MiniLM's
    weights = 2.2 if dim == 1024 else 0.1
    return [
        1 + weights,
        0.5 + (2 * texts + half) / gib,
        0.5 + (texts + half + full + 3 * graph) / gib,
        0.5 + (3 * graph + 200 * rows) / gib,
        1 + (half + full + 12 * graph) / gib,
    ]


def _milvus(config: Config) -> Iterator[str]:
    from job.backends.milvus import is_lite
    from job.backends.milvus.gpu_trial import probe
    from job.backends.milvus.index_kinds import GPU_KINDS, LITE_KINDS, MAX_TOP_K
    from job.context import open_milvus

    uri = config.store_uri
    if is_lite(uri) and not Path(uri).expanduser().exists():
        yield f"Milvus Lite, a new file at {uri}: {', '.join(LITE_KINDS)}, up to about 100,000 headlines"
        return
    try:
        milvus = open_milvus(config)
    except JobError as error:
        yield str(error)
        return
    try:
        here = "Zilliz Cloud, " if milvus.connection.zilliz else ""
        database = f", database {config.store.db_name}" if config.store.db_name else ""
        yield f"{here}{milvus.version} at {milvus.uri}{database}"
        asked = config.store.index if config.store.index in GPU_KINDS else "GPU_IVF_FLAT"
        gpu = milvus.connection.gpu(asked, probe)
        yield f"GPU indexes: {gpu.value}, {gpu.reason}"
        limits = f"top-k {MAX_TOP_K:,}, queries a search {MAX_TOP_K:,}, messages 64 MiB"
        yield f"limits: {'none met' if milvus.lite else limits}; this run asks for top-k {config.graph_k + SPARE_HITS}"
        there = "is there" if milvus.exists() else "is not there yet"
        yield f"collection '{config.store.collection}' {there}"
    except JobError as error:
        yield str(error)
    finally:
        milvus.close()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
