"""The job's CUDA code on a real GPU, next to its lower bound in time and to what a user would run instead.

    bash scripts/bench/gpu.sh                                    # all parts, on a machine with a GPU: see there
    python scripts/bench/gpu.py embed --rows 300000 --out DIR    # one part
    python scripts/bench/gpu.py all --quick --device cpu         # tests the benchmark itself, anywhere, in a minute

Parts: peaks, embed, job, texts (the input of million), million, knn, graph, stories, brute, cluster, umap, store,
kernels (for ncu); `table` prints the results in `DIR/results.jsonl`.
Every result is appended there as soon as it is measured. Texts are synthetic, with the lengths of real headlines
(gpu_parts/texts.py); the model has BGE-M3's shape and random weights: it is as fast as BGE-M3, but its clusters mean
nothing.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from gpu_parts import embedding, graph, neighbors, stories, vectors, whole  # noqa: E402
from gpu_parts.measure import Bench, check_cuda, in_words, machine  # noqa: E402


def peaks(bench: Bench) -> None:
    """The peak rates of matrix products and of copying."""
    tflops, gbytes = bench.peak("bf16") / 1e12, bench.peak("copy") / 1e9
    bench.add("peak rates of this machine", bf16_tflops=round(tflops, 3), copy_gbytes_per_s=round(gbytes, 1))


PARTS: dict[str, Callable[[Bench], None]] = {
    "peaks": peaks,
    "embed": embedding.run,
    "job": whole.run,
    "texts": whole.texts,
    "million": whole.run,
    "knn": neighbors.run,
    "graph": graph.run,
    "stories": stories.run,
    "brute": vectors.brute,
    "cluster": vectors.cluster,
    "umap": vectors.layout,
    "store": whole.store,
    "kernels": embedding.kernels,
}
# rows on a GPU, on a GPU with --quick, and on a CPU with --quick
ROWS = {
    "peaks": (0, 0, 0),
    "embed": (200_000, 20_000, 100),
    "job": (200_000, 20_000, 400),
    "texts": (1_000_000, 20_000, 400),
    "million": (1_000_000, 20_000, 400),
    "knn": (1_000_000, 20_000, 2_000),
    "graph": (1_000_000, 20_000, 2_000),
    "stories": (1_000_000, 20_000, 2_000),
    "brute": (1_000_000, 20_000, 2_000),
    "cluster": (1_000_000, 20_000, 2_000),
    "umap": (1_000_000, 20_000, 2_000),
    "store": (100_000, 5_000, 300),
    "kernels": (3_000, 3_000, 100),
}
# the results that the last line of JSON holds
RATIOS = ("share_of_peak", "ours_times_faster", "times_faster_than_cpu", "same_labels", "recall", "rows_per_s")


def results(out: Path) -> list[dict[str, Any]]:
    """What has been measured so far."""
    file = out / "results.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def ratios(out: Path) -> dict[str, Any]:
    """The last line of JSON: the figures named in `RATIOS`."""
    return {
        f"{line['part']}: {line['name']}: {key}": line[key]
        for line in results(out)
        for key in RATIOS
        if line.get(key) is not None
    }


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*PARTS, "all", "table"])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--rows", type=int, help="default: a million; 200,000 for embed and job, 100,000 for store")
    parser.add_argument("--dim", type=int, help="dimensions of synthetic vectors; default: 1,024")
    parser.add_argument("--k", type=int, default=50)
    parser.add_argument("--shape", choices=["bge-m3", "tiny"], help="default: bge-m3; tiny with --quick on a CPU")
    parser.add_argument("--out", type=Path, help="folder for the results; default: a temporary one")
    parser.add_argument("--scratch", type=Path, help="folder for several GB of data; default: a temporary one")
    parser.add_argument("--quick", action="store_true", help="few rows; on a CPU with two cores a minute for all")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        out = arguments.out or Path(temporary) / "out"
        out.mkdir(parents=True, exist_ok=True)
        small = arguments.quick and arguments.device == "cpu"
        if arguments.part == "table":
            for line in results(out):
                print(in_words(line))
            print(json.dumps(ratios(out)))
            return
        if arguments.device == "cuda":
            check_cuda()
        about = machine(arguments.device) | {"command": " ".join(["gpu.py", *(words or sys.argv[1:])])}
        for part in PARTS if arguments.part == "all" else [arguments.part]:
            bench = Bench(
                part,
                arguments.device,
                arguments.rows or ROWS[part][(1 + small) if arguments.quick else 0],
                arguments.dim or (32 if small else 1024),
                min(arguments.k, 15) if small else arguments.k,
                arguments.shape or ("tiny" if small else "bge-m3"),
                out,
                arguments.scratch or Path(temporary) / "scratch",
            )
            bench.add("machine", **about)
            PARTS[part](bench)
        print(json.dumps(ratios(out)))


if __name__ == "__main__":
    main()
