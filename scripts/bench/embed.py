"""Our embedding against the `encode` of the alternatives: same texts, model and threads, each in a process of its own.

    .venv/bin/pip install -c scripts/constraints.txt -e '.[bench]'
    .venv/bin/python scripts/bench/embed.py --quick --data FILE
    .venv/bin/python scripts/bench/embed.py --repeat 4 --layers --data FILE
    .venv/bin/python scripts/bench/embed.py --shape bge-m3 --rows 2000 --data FILE     # BGE-M3's size, random weights

Loading and a warm-up are not counted. The runs alternate, and the fastest of each counts. FlagEmbedding and
sentence-transformers get the best batch size of 32 to 256, found on the first texts (FlagEmbedding in bf16 on a CPU is
left out: 43 texts/s). Then a million synthetic texts of 8 to 80 tokens are read, tokenized, grouped and written with a
stand-in for the model, to measure the pipeline without it. `--layers`: ours with torch's own layers too, which shows
what oneDNN's layers gain. What a GPU reaches of its peak, and where it waits: gpu.py.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from embed_contenders import CONTENDERS, MAX_LENGTH, timed
from packages import require_packages
from real_headlines import TITLES, UCI, require

ROOT = Path(__file__).parents[2]
# name of the ratio, ours, the alternative
RATIOS = (
    ("fp32_vs_flagembedding", "ours fp32", "flagembedding fp32"),
    ("fp32_vs_sentence_transformers", "ours fp32", "sentence-transformers fp32"),
    ("fp32_vs_onnxruntime", "ours fp32", "onnxruntime fp32"),
    ("bf16_vs_flagembedding", "ours bf16", "flagembedding fp32"),
    ("bf16_vs_sentence_transformers", "ours bf16", "sentence-transformers fp32"),
    ("bf16_vs_sentence_transformers_bf16", "ours bf16", "sentence-transformers bf16"),
    ("fp16_vs_flagembedding", "ours fp16", "flagembedding fp16"),
    ("fp16_vs_sentence_transformers", "ours fp16", "sentence-transformers fp16"),
)


# ---- in a process of its own


def contend(name: str, folder: str, device: str, texts_file: str, vectors_file: str) -> None:
    """Load, warm up, then one timed pass over all texts."""
    warnings.simplefilter("ignore")
    texts = json.loads(Path(texts_file).read_text())
    make, settings = CONTENDERS[name]
    encode = make(folder, device, **settings)
    import torch  # after our encoder, which imports it with settings of its own

    torch.set_num_threads(os.cpu_count() or 1)
    encode(texts[:1000])
    seconds, vectors = timed(lambda: encode(texts))
    np.save(vectors_file, np.asarray(vectors, np.float32))
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}))


def pipeline(rows_file: str, folder: str) -> None:
    """The embed stage's threads with a stand-in for the model's forward pass."""
    warnings.simplefilter("ignore")
    from types import SimpleNamespace

    import pyarrow.parquet as pq
    import torch

    from job.backends.embedding.encoder import FlagEncoder
    from job.backends.embedding.models import find_model
    from job.runtime.progress import Progress
    from job.runtime.shards import Shards
    from job.stages.embed_loop import Target, embed_shards

    torch.set_num_threads(1)
    encoder = FlagEncoder(find_model("minilm", "auto"), "cpu", "fp32", MAX_LENGTH, 16_384)
    state = torch.nn.functional.normalize(torch.ones(1, 1, encoder.dim), dim=-1)
    encoder._module = lambda input_ids: SimpleNamespace(last_hidden_state=state.expand(*input_ids.shape, encoder.dim))
    encoder._pooling = "cls"
    rows = pq.read_metadata(rows_file).num_rows
    shards = Shards(Path(folder), "key", rows, 100_000)
    start = time.perf_counter()
    with Progress("pipeline", rows, "texts") as progress:
        embed_shards(encoder, Path(rows_file), shards.to_make(), Target(shards, half=True), progress)
    seconds = time.perf_counter() - start
    assert not shards.missing()
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb(), "rows": rows}))


def peak_mb() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def in_process(*words: str) -> dict[str, Any]:
    """The result that another process prints as its last line; if it fails, its stderr is shown."""
    done = subprocess.run(
        [sys.executable, __file__, "--process", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true", "TQDM_DISABLE": "1"},
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "batch size" in done.stderr:
        result["batch"] = done.stderr.split("batch size ")[1].split()[0]
    return result


# ---- texts and checkpoints


def synthetic(rows: int, words: list[str], file: str) -> None:
    """Write texts of 8 to 80 tokens: real words at random, with ids, as in `headlines.parquet`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 42, rows)  # in words of about 1.8 tokens each, to which two special tokens are added
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for start in range(0, rows, 100_000):
            ends = np.cumsum(lengths[start : start + 100_000]).tolist()
            drawn = [words[i] for i in rng.integers(0, len(words), ends[-1]).tolist()]
            texts = [" ".join(drawn[i:j]) for i, j in zip([0, *ends], ends, strict=False)]
            writer.write_table(pa.table({"id": range(start, start + len(texts)), "text": texts}, schema))


def bge_m3(folder: Path, tokenizer: Path) -> None:
    """Write a checkpoint of BGE-M3's architecture with random weights, and MiniLM's tokenizer."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    folder.mkdir()
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


# ---- the comparison


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two runs of each")
    parser.add_argument("--repeat", type=int, default=4, help="runs of each; the fastest counts")
    parser.add_argument("--rows", type=int, default=0, help="headlines; 10,000, or 5,000 with --quick")
    parser.add_argument("--layers", action="store_true", help="ours with torch's own layers too (CPU)")
    parser.add_argument("--synthetic", type=int, default=1_000_000, help="texts for the pipeline; 0: skip it")
    parser.add_argument("--data", type=Path, default=UCI, help="a Parquet file with a column `title`")
    parser.add_argument("--shape", choices=["minilm", "bge-m3"], default="minilm")
    parser.add_argument("--only", help="besides ours, only contenders whose names begin with this", default="")
    parser.add_argument("--process", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def chosen(arguments: argparse.Namespace, device: str) -> list[str]:
    """The contenders that can run on the device and were asked for."""
    from job.runtime.device import cpu_has_bf16

    return [
        name
        for name in CONTENDERS
        if name.startswith(("ours", arguments.only))
        and ("bf16" not in name or cpu_has_bf16() or device == "cuda")
        and not (device == "cuda" and "onnx" in name)
        and (device == "cuda" or "fp16" not in name)
        and (arguments.layers or "torch's" not in name)
    ]


def main() -> None:
    arguments = parse()
    if arguments.process:
        kind, *rest = arguments.process
        {"contend": contend, "pipeline": pipeline}[kind](*rest)
        return
    require(arguments.data, TITLES)
    require_packages("onnx", "onnxruntime", "sentence_transformers")

    import pyarrow.parquet as pq
    import torch

    from job.backends.embedding.models import find_model

    device = "cuda" if torch.cuda.is_available() else "cpu"
    titles = pq.read_table(arguments.data, columns=["title"])["title"].to_pylist()
    rows = arguments.rows or (5_000 if arguments.quick else 10_000)
    texts = (titles * (rows // len(titles) + 1))[:rows]
    names = chosen(arguments, device)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    folder = find_model("minilm", "auto").folder
    with tempfile.TemporaryDirectory() as scratch:
        texts_file = f"{scratch}/texts.json"
        Path(texts_file).write_text(json.dumps(texts))
        if arguments.shape == "bge-m3":
            bge_m3(Path(scratch) / "bge-m3", folder)
            folder = Path(scratch) / "bge-m3"
        for _ in range(2 if arguments.quick else arguments.repeat):
            for name in names:
                runs[name].append(in_process("contend", name, str(folder), device, texts_file, f"{scratch}/{name}.npy"))
        vectors = {name: np.load(f"{scratch}/{name}.npy") for name in names}
        without_model = None
        if arguments.synthetic:
            words = sorted({word for title in titles for word in title.split()})
            synthetic(arguments.synthetic, words, f"{scratch}/synthetic.parquet")
            without_model = in_process("pipeline", f"{scratch}/synthetic.parquet", f"{scratch}/shards")

    length = sum(map(len, texts)) / len(texts)
    print(f"{platform.platform()}, {os.cpu_count()} cores, {len(texts):,} titles of {length:.0f} characters, {folder}")
    report(len(texts), runs, vectors, without_model)


def report(
    count: int,
    runs: dict[str, list[dict[str, Any]]],
    vectors: dict[str, np.ndarray],
    without_model: dict[str, Any] | None,
) -> None:
    """Print one line per contender, then the ratios as JSON."""
    print(f"{'':<28} {'texts/s':>8} {'all runs':>22} {'batch':>6} {'peak MB':>8} {'min cosine to':>14}")
    print(f"{'':<28} {'':>8} {'':>22} {'':>6} {'':>8} {'FlagEmb. fp32':>14}")
    best = {name: count / min(run["seconds"] for run in runs[name]) for name in runs}
    reference = vectors.get("flagembedding fp32", vectors["ours fp32"])
    for name in runs:
        rates = " ".join(f"{count / run['seconds']:.0f}" for run in runs[name])
        peak = max(run["peak_mb"] for run in runs[name])
        batch = runs[name][0].get("batch", "-")
        cosine = (vectors[name] * reference).sum(axis=1).min()
        print(f"{name:<28} {best[name]:>8.0f} {rates:>22} {batch:>6} {peak:>8} {cosine:>14.6f}")
    ratios: dict[str, float] = {
        ratio: round(best[mine] / best[theirs], 2) for ratio, mine, theirs in RATIOS if mine in best and theirs in best
    }
    if "ours bf16" in vectors:
        ratios["bf16_min_cosine"] = round(float((vectors["ours bf16"] * reference).sum(axis=1).min()), 6)
    if without_model is not None:
        rate = without_model["rows"] / without_model["seconds"]
        peak = without_model["peak_mb"]
        print(f"pipeline without the model: {without_model['rows']:,} texts, {rate:,.0f} texts/s, peak {peak} MB")
        ratios["pipeline_texts_per_second"] = round(rate)
        ratios["pipeline_peak_mb"] = peak
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
