"""Tokens per second from text on disk to vectors on disk, the share of the bf16 matmul peak, when the device waits,
and the alternatives that a user could run: FlagEmbedding's `encode`, and sentence-transformers in fp16."""

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gpu_parts.measure import Bench, device_peak_mb
from gpu_parts.model import checkpoint
from gpu_parts.texts import headlines
from job.data import Ids

MAX_LENGTH = 512
# tokens per batch that are tried
BUDGETS = (8_192, 16_384, 32_768, 65_536)
# batch sizes that are tried for the alternatives on so many texts; the fastest is used
BATCH_SIZES = (64, 256, 1024)
TEXTS_PER_TRIAL = 8_000
PROFILED_TEXTS = 30_000


def run(bench: Bench) -> None:
    """Ours on `rows` headlines, the alternatives on a tenth of them: they are slower, and their rate is constant.

    What explains the figure comes last, since the time may end.
    """
    folder = checkpoint(bench.scratch / f"model-{bench.shape}", bench.shape)
    texts = job_texts(bench)
    few = texts[: max(200, bench.rows // 10)]
    precision = "fp16" if bench.cuda else "fp32"
    encoder, rate = _ours(bench, folder, texts, precision)
    for name, make in (("FlagEmbedding", _flagembedding), ("sentence-transformers", _sentence_transformers)):
        _alternative(bench, f"{name} {precision}", lambda make=make: make(bench, folder, precision), few, rate)
        _free_memory(bench)
    if rate is not None:
        _details(bench, folder, encoder, texts[:PROFILED_TEXTS], precision)


def job_texts(bench: Bench) -> list[str]:
    """The texts as the job makes them: title, line break, description."""
    from gpu_parts.model import SHAPES

    titles, descriptions = headlines(bench.rows, SHAPES[bench.shape][-1], bench.seed)
    return [f"{title}\n{more}" if more else title for title, more in zip(titles, descriptions, strict=True)]


def _ours(bench: Bench, folder: Path, texts: list[str], precision: str) -> tuple[Any, float | None]:
    """The encoder, and texts per second; None where it failed."""
    from job.backends.embedding.encoder import FlagEncoder
    from job.backends.embedding.models import find_model

    def load() -> FlagEncoder:
        model = FlagEncoder(find_model(str(folder), "auto"), bench.device, precision, MAX_LENGTH, None)
        model.encode(texts[:2000])
        return model

    loaded = bench.attempt("ours: loading, and a first call", load)
    if loaded is None:
        return None, None
    encoder = loaded[1]
    bench.add("ours: loading, and a first call", loaded[0], fused_layers=encoder._fused is not None)
    seconds, tokens = bench.timed(lambda: encoder.tokenize(texts))
    lengths = tokens.lengths
    bench.add("tokenizing only", seconds, texts_per_s=round(len(texts) / seconds), tokens_mean=round(lengths.mean(), 1))
    device_peak_mb()
    found = bench.attempt(f"ours {precision}, disk to disk", lambda: run_stage(bench, encoder, texts, "timed"))
    if found is None:
        return encoder, None
    seconds = found[0]
    work = flops(encoder, lengths)
    bench.add(
        f"ours {precision}, disk to disk",
        seconds,
        rows=len(texts),
        texts_per_s=round(len(texts) / seconds),
        tokens_per_s=round(int(lengths.sum()) / seconds),
        tflops=round(work / seconds / 1e12, 3),
        peak_tflops=round(bench.peak("bf16") / 1e12, 3),
        share_of_peak=round(work / seconds / bench.peak("bf16"), 4),
        floor_s=round(work / bench.peak("bf16"), 3),
        budget=encoder.budget,
        device_peak_mb=device_peak_mb(),
    )
    return encoder, len(texts) / seconds


def _details(bench: Bench, folder: Path, encoder: Any, texts: list[str], precision: str) -> None:
    """Other numbers of tokens per batch, torch's layers, and which kernels take the time."""
    from job.backends.embedding.encoder import FlagEncoder
    from job.backends.embedding.models import find_model

    usual = encoder.budget
    for budget in BUDGETS:
        encoder.budget = budget
        _rate(bench, f"ours {precision}, at most {budget:,} tokens per batch", encoder, texts)
    encoder.budget = usual
    if bench.cuda:
        model = find_model(str(folder), "auto")
        plain = FlagEncoder(model, bench.device, precision, MAX_LENGTH, None, own_layers=False)
        _rate(bench, f"ours {precision}, torch's layers", plain, texts)
        plain.release()
    bench.attempt("profile", lambda: profile_stage(bench, encoder, texts))


def _rate(bench: Bench, name: str, encoder: Any, texts: list[str]) -> None:
    """From tokens to vectors, by the second of two calls: the first sees each shape for the first time."""
    tokens = encoder.tokenize(texts)

    def work() -> None:
        encoder.forward(tokens, True).vectors()

    found = bench.attempt(name, work) and bench.attempt(name, work)
    if found is not None:
        rate = flops(encoder, tokens.lengths) / found[0]
        facts = {"tokens_per_s": round(int(tokens.lengths.sum()) / found[0]), "tflops": round(rate / 1e12, 3)}
        bench.add(name, found[0], rows=len(texts), **facts, share_of_peak=round(rate / bench.peak("bf16"), 4))


def run_stage(bench: Bench, encoder: Any, texts: list[str], name: str) -> None:
    """The embed stage's own loop: Parquet to shards."""
    import shutil

    import pyarrow as pa
    import pyarrow.parquet as pq

    from job.runtime.progress import Progress
    from job.runtime.shards import Shards
    from job.stages.embed_loop import Target, embed_shards

    rows = bench.scratch / f"texts-{len(texts)}.parquet"
    if not rows.exists():
        pq.write_table(pa.table({"id": range(len(texts)), "text": texts}), rows, compression="zstd")
    shutil.rmtree(bench.scratch / name, ignore_errors=True)
    shards = Shards(bench.scratch / name, "key", len(texts), 100_000)
    with Progress("embed", len(texts), "texts") as progress:
        embed_shards(encoder, rows, shards.to_make(), Target(shards, half=True), progress)


def profile_stage(bench: Bench, encoder: Any, texts: list[str]) -> None:
    """Which kernels take the time, and when the device waits: `profile.txt` and one line of results."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU]
    if bench.cuda:
        activities.append(ProfilerActivity.CUDA)
    run_stage(bench, encoder, texts, "before-profile")
    with profile(activities=activities) as profiler:
        start = time.perf_counter()
        run_stage(bench, encoder, texts, "profiled")
        wall = time.perf_counter() - start
    key = "self_device_time_total" if bench.cuda else "self_cpu_time_total"
    table = profiler.key_averages().table(sort_by=key, row_limit=20, max_name_column_width=70)
    (bench.out / "profile.txt").write_text(f"{len(texts):,} texts, {wall:.3f} s of wall time\n{table}")
    kernels = [event for event in profiler.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    spans = sorted((event.time_range.start, event.time_range.end) for event in kernels)
    if not spans:
        bench.add("timeline", wall, left_out="no kernels: not on a CUDA device")
        return
    busy, gaps = waits(spans)
    bench.add(
        "timeline",
        wall,
        rows=len(texts),
        busy_s=round(busy / 1e6, 3),
        before_first_and_after_last_s=round(wall - (spans[-1][1] - spans[0][0]) / 1e6, 3),
        longest_waits_ms_at_s=[(round(gap / 1e3, 2), round(at / 1e6, 3)) for gap, at in gaps[:8]],
    )


def kernels(bench: Bench) -> None:
    """One forward pass of full batches between the marks that ncu looks for (`--profile-from-start off`)."""
    import torch

    from job.backends.embedding.encoder import FlagEncoder
    from job.backends.embedding.models import find_model

    folder = checkpoint(bench.scratch / f"model-{bench.shape}", bench.shape)
    encoder = FlagEncoder(find_model(str(folder), "auto"), bench.device, "fp16" if bench.cuda else "fp32", MAX_LENGTH)
    texts = job_texts(bench)
    encoder.encode(texts)
    if bench.cuda:
        torch.cuda.profiler.start()
    seconds, _ = bench.timed(lambda: encoder.encode(texts))
    if bench.cuda:
        torch.cuda.profiler.stop()
    bench.add("a pass under the profiler", seconds, rows=len(texts))


def waits(spans: list[tuple[float, float]]) -> tuple[float, list[tuple[float, float]]]:
    """Of ascending spans (start, end): the time they cover, and the gaps between them, longest first.

    A gap is (length, when it begins, counted from the first span's start).
    """
    busy, covered_until, gaps = 0.0, spans[0][0], []
    for start, end in spans:
        if start > covered_until:
            gaps.append((start - covered_until, covered_until - spans[0][0]))
        busy += max(0.0, end - max(start, covered_until))
        covered_until = max(covered_until, end)
    return busy, sorted(gaps, reverse=True)


def _alternative(bench: Bench, name: str, make: Callable[[], Any], texts: list[str], ours: float | None) -> None:
    loaded = bench.attempt(f"{name}: loading", make)
    if loaded is None:
        return
    encode: Callable[..., Any] = loaded[1]
    seconds = {}
    if bench.attempt(f"{name}: first call", lambda: encode(texts[:64], 64)) is None:
        return
    for size in BATCH_SIZES:
        trial = bench.attempt(f"{name}, {size} per batch", lambda size=size: encode(texts[:TEXTS_PER_TRIAL], size))
        if trial is not None:
            seconds[size] = trial[0]
    if not seconds:
        return
    size = min(seconds, key=seconds.__getitem__)
    found = bench.attempt(name, lambda: encode(texts, size))
    if found is not None:
        rate = len(texts) / found[0]
        times = round(ours / rate, 2) if ours else None
        bench.add(name, found[0], rows=len(texts), texts_per_s=round(rate), batch=size, ours_times_faster=times)


def _flagembedding(bench: Bench, folder: Path, precision: str) -> Callable[[list[str], int], Any]:
    from FlagEmbedding import BGEM3FlagModel

    device = "cuda:0" if bench.cuda else "cpu"
    flag = BGEM3FlagModel(str(folder), use_fp16=precision == "fp16", devices=device)
    return lambda texts, size: flag.encode(texts, batch_size=size, max_length=MAX_LENGTH)["dense_vecs"]


def _sentence_transformers(bench: Bench, folder: Path, precision: str) -> Callable[[list[str], int], Any]:
    import torch
    from sentence_transformers import SentenceTransformer, models

    kind = torch.float16 if precision == "fp16" else torch.float32
    word = models.Transformer(str(folder), max_seq_length=MAX_LENGTH, model_kwargs={"torch_dtype": kind})
    pooling = models.Pooling(word.get_embedding_dimension(), "cls")
    model = SentenceTransformer(modules=[word, pooling, models.Normalize()], device=bench.device)
    return lambda texts, size: model.encode(texts, batch_size=size, show_progress_bar=False)


def _free_memory(bench: Bench) -> None:
    gc.collect()
    if bench.cuda:
        import torch

        torch.cuda.empty_cache()


def flops(encoder: Any, lengths: Ids) -> float:
    """2 x weights x tokens of the encoder's layers, plus 4 x length^2 x width per layer for attention."""
    config = encoder._module.config
    layer = 4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size
    counts = lengths.astype(np.float64)
    attention = 4.0 * config.hidden_size * (counts**2).sum()
    return float(config.num_hidden_layers * (2.0 * layer * counts.sum() + attention))
