"""The CUDA part of embed.py: tokens a second from text on disk to vectors on disk, the share of the bf16 matmul peak
measured here, and where the GPU waits. Written without a GPU; no figure of it is measured yet."""

import time
from pathlib import Path

import numpy as np


def report(folder: str, scratch: str, texts: list[str]) -> None:
    """Print the table; `folder`: a model, `scratch`: where to write shards."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch
    from torch.profiler import ProfilerActivity, profile

    from job.backends.encoder import FlagEncoder
    from job.backends.models import find_model
    from job.runtime.progress import Progress
    from job.runtime.shards import Shards
    from job.stages.embed import embed_shards

    Path(scratch).mkdir()
    rows = Path(scratch) / "rows.parquet"
    pq.write_table(pa.table({"text": texts}), rows)
    encoder = FlagEncoder(find_model(folder, "auto"), "cuda", "fp16", 512, None)
    encoder.encode(texts[:2000])
    tokens = encoder.tokenize(texts)

    def run(name: str) -> float:
        shards = Shards(Path(scratch) / name, "key", len(texts), 100_000)
        left = shards.left()
        torch.cuda.synchronize()
        start = time.perf_counter()
        with Progress("embed", len(texts), "texts") as progress:
            embed_shards(encoder, rows, left, shards, True, progress)
        return time.perf_counter() - start

    seconds = run("timed")
    peak = matmul_peak()
    done = flops(encoder, tokens.lengths) / seconds
    total = int(tokens.lengths.sum())
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, budget {encoder.budget} tokens")
    print(
        f"{len(texts):,} texts of {total / len(texts):.1f} tokens in {seconds:.1f} s, text on disk to vectors on disk"
    )
    print(f"{len(texts) / seconds:,.0f} texts/s, {total / seconds:,.0f} tokens/s")
    print(f"{done / 1e12:.0f} TFLOP/s of a measured bf16 matmul peak of {peak / 1e12:.0f}: {done / peak:.1%}")
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        wall = run("profiled")
    kernels = [event for event in profiler.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    spans = sorted((event.time_range.start, event.time_range.end) for event in kernels)
    busy, until, gaps = 0.0, spans[0][0], []
    for start, end in spans:
        if start > until:
            gaps.append((start - until, until - spans[0][0]))
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    print(
        f"profiled: {wall:.1f} s, GPU busy {busy / 1e6:.1f} s; before the first kernel and after the last "
        f"{wall - (until - spans[0][0]) / 1e6:.1f} s"
    )
    print(
        "longest waits: " + ", ".join(f"{gap / 1e3:.1f} ms at {at / 1e6:.2f} s" for gap, at in sorted(gaps)[-8:][::-1])
    )
    print(profiler.key_averages().table(sort_by="self_device_time_total", row_limit=15))


def matmul_peak() -> float:
    """FLOP/s of an 8,192-cubed bf16 product, best of 20."""
    import torch

    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(20):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        _ = a @ a
        end.record()
        end.synchronize()
        best = min(best, start.elapsed_time(end) / 1e3)
    return 2 * 8192**3 / best


def flops(encoder: object, lengths: np.ndarray) -> float:
    """2 x weights x tokens of the encoder's layers, and 4 x length^2 x width a layer for attention."""
    config = encoder._module.config  # type: ignore[attr-defined]
    layer = 4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size
    counts = lengths.astype(np.float64)
    weights = 2.0 * layer * counts.sum()
    attention = 4.0 * config.hidden_size * (counts**2).sum()
    return float(config.num_hidden_layers * (weights + attention))
