"""Our embedding against the alternatives' own `encode`: same texts, same model, same threads, a process each.

    .venv/bin/pip install -c scripts/constraints.txt -e '.[bench]'
    .venv/bin/python scripts/bench/embed.py --quick
    .venv/bin/python scripts/bench/embed.py --repeat 4 --layers
    .venv/bin/python scripts/bench/embed.py --shape bge-m3 --rows 2000        # BGE-M3's size, random weights

Loading and a warm-up are not counted. Runs alternate and the fastest of each counts. FlagEmbedding and
sentence-transformers get their best batch size of 32 to 256, found on the first texts (FlagEmbedding in bf16 on a CPU
is left out: 43 texts/s). Then a million synthetic texts of 8 to 80 tokens go through read, tokenize, group and write
with a stand-in for the model, for the pipeline alone. `--layers`: ours with torch's own layers too, for what oneDNN's
are worth. What a GPU reaches of its peak, and where it waits: gpu.py.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "uci_dev.parquet"
BATCHES = (32, 64, 128, 256)
MAX_LENGTH = 512
Encode = Callable[[list[str]], np.ndarray]


def ours(folder: str, device: str, precision: str, extras: bool = True) -> Encode:
    from job.backends.embedding.encoder import FlagEncoder
    from job.backends.embedding.models import find_model

    return FlagEncoder(find_model(folder, "auto"), device, precision, MAX_LENGTH, None, extras=extras).encode


def flagembedding(folder: str, device: str, precision: str) -> Encode:
    from FlagEmbedding import BGEM3FlagModel, FlagAutoModel

    from job.backends.embedding.models import find_model

    model = find_model(folder, "auto")
    common = {"use_fp16": precision == "fp16", "use_bf16": precision == "bf16", "devices": device}
    if model.m3:
        flag = BGEM3FlagModel(folder, **common)
        return best_batch(lambda t, b: flag.encode(t, batch_size=b, max_length=MAX_LENGTH)["dense_vecs"])
    flag = FlagAutoModel.from_finetuned(
        folder,
        model_class="encoder-only-base",
        pooling_method=model.pooling,
        query_instruction_format="{}{}",
        **common,
    )
    return best_batch(lambda t, b: flag.encode(t, batch_size=b, max_length=MAX_LENGTH))


def sentence_transformers(folder: str, device: str, precision: str) -> Encode:
    import torch
    from sentence_transformers import SentenceTransformer, models

    from job.backends.embedding.models import find_model

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    word = models.Transformer(folder, max_seq_length=MAX_LENGTH, model_kwargs={"torch_dtype": dtype})
    pooling = models.Pooling(word.get_embedding_dimension(), find_model(folder, "auto").pooling)
    model = SentenceTransformer(modules=[word, pooling, models.Normalize()], device=device)
    return best_batch(lambda t, b: model.encode(t, batch_size=b, show_progress_bar=False).astype(np.float32))


def onnx(folder: str, device: str, precision: str) -> Encode:
    """ONNX Runtime on the exported model; batches of one length, as ours, which is the best that it can get."""
    import onnxruntime
    import torch

    from job.backends.embedding.batches import lay_out, plan
    from job.backends.embedding.encoder import FlagEncoder
    from job.backends.embedding.models import find_model

    model = find_model(folder, "auto")
    encoder = FlagEncoder(model, "cpu", "fp32", MAX_LENGTH, None, extras=False)

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = encoder._module

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.inner(input_ids=ids).last_hidden_state

    with tempfile.TemporaryDirectory() as out:
        torch.onnx.export(
            Plain(),
            (torch.zeros(2, 9, dtype=torch.int64),),
            f"{out}/model.onnx",
            input_names=["ids"],
            dynamic_axes={"ids": {0: "m", 1: "length"}},
            dynamo=False,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = os.cpu_count() or 1
        session = onnxruntime.InferenceSession(f"{out}/model.onnx", options, providers=["CPUExecutionProvider"])

    def encode(texts: list[str]) -> np.ndarray:
        tokens = encoder.tokenize(texts)
        batches = plan(tokens.lengths, 4_096)
        flat = lay_out(tokens, batches, 0)
        vectors = np.empty((len(texts), encoder.dim), np.float32)
        at = 0
        for batch in batches:
            ids = flat[at : at + len(batch) * batch.length].reshape(len(batch), batch.length)
            at += ids.size
            states = session.run(None, {"ids": ids.astype(np.int64)})[0]
            pooled = states[:, 0] if model.pooling == "cls" else states.mean(axis=1)
            vectors[batch.rows] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return vectors

    return encode


def best_batch(encode: Callable[[list[str], int], np.ndarray]) -> Encode:
    best: list[int] = []

    def with_best(texts: list[str]) -> np.ndarray:
        if not best:
            some = texts[:800]
            encode(some[:200], 32)
            seconds = {size: timed(lambda size=size: encode(some, size))[0] for size in BATCHES}
            best.append(min(seconds, key=seconds.__getitem__))
            print(f"batch size {best[0]}", file=sys.stderr)
        return encode(texts, best[0])

    return with_best


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


CONTENDERS: dict[str, tuple[Callable[..., Encode], dict[str, Any]]] = {
    "ours fp32": (ours, {"precision": "fp32"}),
    "flagembedding fp32": (flagembedding, {"precision": "fp32"}),
    "sentence-transformers fp32": (sentence_transformers, {"precision": "fp32"}),
    "onnxruntime fp32": (onnx, {"precision": "fp32"}),
    "ours bf16": (ours, {"precision": "bf16"}),
    "sentence-transformers bf16": (sentence_transformers, {"precision": "bf16"}),
    "ours fp16": (ours, {"precision": "fp16"}),
    "flagembedding fp16": (flagembedding, {"precision": "fp16"}),
    "sentence-transformers fp16": (sentence_transformers, {"precision": "fp16"}),
    "ours fp32, torch's layers": (ours, {"precision": "fp32", "extras": False}),
    "ours bf16, torch's layers": (ours, {"precision": "bf16", "extras": False}),
}


def contend(name: str, folder: str, device: str, texts_file: str, vectors_file: str) -> None:
    """In a process of its own: load, warm up, then one timed pass over all texts."""
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    texts = json.loads(Path(texts_file).read_text())
    make, settings = CONTENDERS[name]
    encode = make(folder, device, **settings)
    encode(texts[:1000])
    seconds, vectors = timed(lambda: encode(texts))
    np.save(vectors_file, np.asarray(vectors, np.float32))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": round(peak)}))


def pipeline(rows_file: str, folder: str) -> None:
    """In a process of its own: the embed stage's threads with a stand-in for the model's forward pass."""
    warnings.simplefilter("ignore")
    from types import SimpleNamespace

    import pyarrow.parquet as pq
    import torch

    from job.backends.embedding.encoder import FlagEncoder
    from job.backends.embedding.models import find_model
    from job.runtime.progress import Progress
    from job.runtime.shards import Shards
    from job.stages.embed import embed_shards

    torch.set_num_threads(1)
    encoder = FlagEncoder(find_model("minilm", "auto"), "cpu", "fp32", MAX_LENGTH, 16_384)
    state = torch.nn.functional.normalize(torch.ones(1, 1, encoder.dim), dim=-1)
    encoder._module = lambda input_ids: SimpleNamespace(last_hidden_state=state.expand(*input_ids.shape, encoder.dim))
    encoder._pooling = "cls"
    rows = pq.read_metadata(rows_file).num_rows
    shards = Shards(Path(folder), "key", rows, 100_000)
    start = time.perf_counter()
    with Progress("pipeline", rows, "texts") as progress:
        embed_shards(encoder, Path(rows_file), shards.left(), shards, True, progress)
    seconds = time.perf_counter() - start
    assert not shards.left()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": round(peak), "rows": rows}))


def synthetic(rows: int, words: list[str], file: str) -> None:
    """Texts of 8 to 80 tokens: real words at random, in the layout of `headlines.parquet`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    chance = np.random.default_rng(0)
    lengths = chance.integers(4, 42, rows)  # in words; about 1.8 tokens each, and two special ones
    with pq.ParquetWriter(file, pa.schema([("text", pa.string())]), compression="zstd") as writer:
        for start in range(0, rows, 100_000):
            ends = np.cumsum(lengths[start : start + 100_000]).tolist()
            drawn = [words[i] for i in chance.integers(0, len(words), ends[-1]).tolist()]
            texts = [" ".join(drawn[i:j]) for i, j in zip([0, *ends], ends, strict=False)]
            writer.write_table(pa.table({"text": texts}))


def bge_m3(folder: Path, tokenizer: Path) -> None:
    """A checkpoint of BGE-M3's architecture with random weights, and MiniLM's tokenizer."""
    import shutil

    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(tokenizer / name, folder / name)
    config = XLMRobertaConfig(
        vocab_size=250_002,
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        max_position_embeddings=8194,
        type_vocab_size=1,
    )
    XLMRobertaModel(config).save_pretrained(folder)
    torch.save(torch.nn.Linear(1024, 1024).state_dict(), folder / "colbert_linear.pt")
    torch.save(torch.nn.Linear(1024, 1).state_dict(), folder / "sparse_linear.pt")


def in_process(*words: str) -> dict[str, Any]:
    """What a process of its own says on its last line; its words on stderr are shown if it fails."""
    done = subprocess.run(
        [sys.executable, __file__, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true", "TQDM_DISABLE": "1"},
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-3000:]}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "batch size" in done.stderr:
        said["batch"] = done.stderr.split("batch size ")[1].split()[0]
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two runs of each")
    parser.add_argument("--repeat", type=int, default=4, help="runs of each; the fastest counts")
    parser.add_argument("--rows", type=int, default=0, help="headlines; 10,000, or 5,000 with --quick")
    parser.add_argument("--layers", action="store_true", help="ours with torch's own layers too (CPU)")
    parser.add_argument("--synthetic", type=int, default=1_000_000, help="texts through the pipeline alone; 0: none")
    parser.add_argument("--data", default=str(DATA), help="a Parquet file with a column `title`")
    parser.add_argument("--shape", choices=["minilm", "bge-m3"], default="minilm")
    parser.add_argument("--only", help="contenders whose names begin so, apart from ours", default="")
    parser.add_argument("--process", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.process:
        kind, *rest = arguments.process
        {"contend": contend, "pipeline": pipeline}[kind](*rest)
        return

    import pyarrow.parquet as pq
    import torch

    from job.backends.embedding.models import find_model
    from job.runtime.device import cpu_has_bf16

    device = "cuda" if torch.cuda.is_available() else "cpu"
    titles = pq.read_table(arguments.data, columns=["title"])["title"].to_pylist()
    rows = arguments.rows or (5_000 if arguments.quick else 10_000)
    texts = (titles * (rows // len(titles) + 1))[:rows]
    repeat = 2 if arguments.quick else arguments.repeat
    minilm = find_model("minilm", "auto").folder
    with tempfile.TemporaryDirectory() as scratch:
        texts_file = f"{scratch}/texts.json"
        Path(texts_file).write_text(json.dumps(texts))
        folder = minilm
        if arguments.shape == "bge-m3":
            folder = Path(scratch) / "bge-m3"
            folder.mkdir()
            bge_m3(folder, minilm)
        names = [
            name
            for name in CONTENDERS
            if name.startswith(("ours", arguments.only))
            and ("bf16" not in name or cpu_has_bf16() or device == "cuda")
            and not (device == "cuda" and "onnx" in name)
            and (device == "cuda" or "fp16" not in name)
            and (arguments.layers or "torch's" not in name)
        ]
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for _ in range(repeat):
            for name in names:
                words = ("--process", "contend", name, str(folder), device, texts_file, f"{scratch}/{name}.npy")
                runs[name].append(in_process(*words))
        vectors = {name: np.load(f"{scratch}/{name}.npy") for name in names}
        through = None
        if arguments.synthetic:
            words = sorted({word for title in titles for word in title.split()})
            synthetic(arguments.synthetic, words, f"{scratch}/synthetic.parquet")
            through = in_process("--process", "pipeline", f"{scratch}/synthetic.parquet", f"{scratch}/shards")

    lengths = sum(map(len, texts)) / len(texts)
    print(f"{platform.platform()}, {os.cpu_count()} cores, {len(texts):,} titles of {lengths:.0f} characters, {folder}")
    print(f"{'':<28} {'texts/s':>8} {'all runs':>22} {'batch':>6} {'peak MB':>8} {'min cosine to':>14}")
    print(f"{'':<28} {'':>8} {'':>22} {'':>6} {'':>8} {'FlagEmb. fp32':>14}")
    best = {name: len(texts) / min(run["seconds"] for run in runs[name]) for name in names}
    reference = vectors.get("flagembedding fp32", vectors["ours fp32"])
    for name in names:
        every = " ".join(f"{len(texts) / run['seconds']:.0f}" for run in runs[name])
        peak = max(run["peak_mb"] for run in runs[name])
        batch = runs[name][0].get("batch", "-")
        cosine = (vectors[name] * reference).sum(axis=1).min()
        print(f"{name:<28} {best[name]:>8.0f} {every:>22} {batch:>6} {peak:>8} {cosine:>14.6f}")
    ratios: dict[str, float] = {}

    def ratio(key: str, mine: str, theirs: str) -> None:
        if mine in best and theirs in best:
            ratios[key] = round(best[mine] / best[theirs], 2)

    ratio("fp32_vs_flagembedding", "ours fp32", "flagembedding fp32")
    ratio("fp32_vs_sentence_transformers", "ours fp32", "sentence-transformers fp32")
    ratio("fp32_vs_onnxruntime", "ours fp32", "onnxruntime fp32")
    ratio("bf16_vs_flagembedding", "ours bf16", "flagembedding fp32")
    ratio("bf16_vs_sentence_transformers", "ours bf16", "sentence-transformers fp32")
    ratio("bf16_vs_sentence_transformers_bf16", "ours bf16", "sentence-transformers bf16")
    ratio("fp16_vs_flagembedding", "ours fp16", "flagembedding fp16")
    ratio("fp16_vs_sentence_transformers", "ours fp16", "sentence-transformers fp16")
    if "ours bf16" in vectors:
        ratios["bf16_min_cosine"] = round(float((vectors["ours bf16"] * reference).sum(axis=1).min()), 6)
    if through is not None:
        rate = through["rows"] / through["seconds"]
        print(f"pipeline alone: {through['rows']:,} texts, {rate:,.0f} texts/s, peak {through['peak_mb']} MB")
        ratios["pipeline_texts_per_second"] = round(rate)
        ratios["pipeline_peak_mb"] = through["peak_mb"]
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
