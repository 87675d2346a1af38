"""Average linkage of story vectors over the neighbor graph: time and peak memory, compared with scikit-learn.

    .venv/bin/python scripts/bench/stories.py --quick
    .venv/bin/python scripts/bench/stories.py --sizes 100000 --k 50 --vectors uci_spring.npy

The rows are story vectors of 640 dimensions: dense (384) and words (256), in the shares .7 and .3. The dense ones are
those of `--vectors` (float32 [m, 384], such as MiniLM's of uci_spring), perturbed to make more rows; or they are drawn:
stories of 1 to some 1,000 headlines, half of them below five, in topics of stories. Words are drawn so that they agree
with the dense vectors. The graph has the nearest neighbors of a search in the three nearest of n / 1,000 cells.

`ours` makes the tree and scores its levels, as the stage `merge` does; the vectors are loaded again in between, because
the tree's means take their place. scikit-learn makes its tree from the same graph, which it symmetrizes, joining its
connected components; its average linkage only counts pairs that are edges, so the trees differ. Each contender runs in
its own process, first on a small input (so that numba compiles). Time and memory are measured after the input is
loaded; memory is the peak resident set minus the one at the start, per row, and the vectors with all of it, as a
multiple of the vectors alone.
"""

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
DENSE, WORDS = 384, 256
SHARES = (0.7, 0.3)
CELL, CELLS_SEARCHED, BLOCK = 1_000, 3, 1 << 16
WARM_UP = 2_000


# ---- the input


def unit(vectors: Any) -> Any:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def drawn_headlines(rng: np.random.Generator, n: int) -> Any:
    """Dense vectors [n, DENSE] of headlines, each of an angle of a story of a topic of a section.

    As in 160,000 real headlines, half as many clusters as headlines remain after HDBSCAN, with four to five candidate
    pairs per headline.
    """
    normal = lambda count: rng.standard_normal((count, DENSE), np.float32)  # noqa: E731
    story = np.repeat(np.arange(n), np.minimum(np.ceil(4 * rng.pareto(1.0, n)), 1_000).astype(int))[:n]
    angle = np.repeat(np.arange(n), np.minimum(np.ceil(rng.pareto(1.5, n)), 50).astype(int))[:n]
    topic = rng.integers(0, max(2, n // 500), story[-1] + 1)
    section = rng.integers(0, 40, topic.max() + 1)
    topics = 0.4 * normal(40)[section] + 0.4 * normal(len(section))
    vectors = normal(n)
    vectors *= 0.5 * rng.lognormal(0, 0.5, (n, 1)).astype(np.float32)
    vectors += 0.6 * normal(angle[-1] + 1)[angle]
    vectors += (topics[topic] + 0.5 * normal(len(topic)))[story]
    return unit(vectors)[rng.permutation(n)]


def headlines(n: int, source: Path | None) -> Any:
    rng = np.random.default_rng(0)
    if source is None:
        return drawn_headlines(rng, n)
    real = np.load(source, mmap_mode="r")
    if n <= len(real):
        return unit(np.array(real[:n], np.float32))
    copies = unit(np.concatenate([real[start : start + len(real)] for start in [0] * (n // len(real) + 1)])[:n])
    for start in range(len(real), n, BLOCK):
        part = copies[start : start + BLOCK]
        part += 0.75 / DENSE**0.5 * rng.standard_normal(part.shape, np.float32)
    return unit(copies)


def story_vectors(dense: Any) -> Any:
    """Dense vectors with words that go with them: [n, DENSE + WORDS]."""
    rng = np.random.default_rng(1)
    to_words = rng.standard_normal((DENSE, 4 * WORDS), np.float32)
    result = np.empty((len(dense), DENSE + WORDS), np.float32)
    for start in range(0, len(dense), BLOCK):
        rows = slice(start, start + BLOCK)
        # a headline has the words whose direction it agrees with most
        scores = dense[rows] @ to_words
        scores[scores < 2.2] = 0
        words = scores.reshape(len(scores), WORDS, 4).sum(2) + 1e-3
        parts = zip(SHARES, (dense[rows], unit(words)), strict=True)
        result[rows] = np.hstack([share**0.5 * part for share, part in parts])
    return result


def nearest_in_cells(dense: Any, k: int) -> tuple[Any, Any]:
    """Neighbors [n, k] of each row, and Euclidean distances, from a search in the cells of the nearest pivots."""
    from job.backends.knn.distances import pair_distances, sort_rows

    n = len(dense)
    pivots = dense[np.random.default_rng(2).choice(n, max(1, n // CELL), replace=False)]
    searched = min(CELLS_SEARCHED, len(pivots))
    cell = np.concatenate([np.argmax(dense[at : at + BLOCK] @ pivots.T, axis=1) for at in range(0, n, BLOCK)])
    near = np.argsort(-(pivots @ pivots.T), axis=1)[:, :searched]
    members = np.split(np.argsort(cell, kind="stable"), np.cumsum(np.bincount(cell, minlength=len(pivots)))[:-1])
    found = np.full((n, k), -1, np.int32)
    for number, rows in enumerate(members):
        others = np.concatenate([members[other] for other in near[number]])
        for at in range(0, len(rows), 4_096):
            batch = rows[at : at + 4_096]
            scores = dense[batch] @ dense[others].T
            scores[batch[:, None] == others] = -2
            width = min(k, len(others) - 1)
            found[batch, :width] = others[np.argpartition(-scores, width - 1, axis=1)[:, :width]]
    return sort_rows(found, pair_distances(dense, np.arange(n), found), k)


def make(n: int, k: int, source: Path | None, folder: Path) -> None:
    """Write `vectors.npy` float32 [n, d] and `indices.npy` int32 [n, k]."""
    dense = headlines(n, source)
    indices, _ = nearest_in_cells(dense, k)
    np.save(folder / "indices.npy", indices)
    np.save(folder / "vectors.npy", story_vectors(dense))


# ---- the contenders


def ours(folder: Path, vectors: Any, indices: Any) -> int:
    from job.backends.stories.level import score_levels
    from job.backends.stories.linkage import average_linkage

    tree = average_linkage(vectors, np.arange(len(vectors), dtype=np.int32), indices, overwrite_vectors=True)
    with (folder / "vectors.npy").open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        file.readinto(memoryview(vectors).cast("B"))
    score_levels(tree, vectors, indices, overwrite_vectors=True)
    return len(tree.merges)


def scikit_learn(folder: Path, vectors: Any, indices: Any) -> int:
    from scipy.sparse import csr_array
    from sklearn.cluster import AgglomerativeClustering

    n, k = indices.shape
    graph = csr_array((np.ones(n * k), indices.ravel(), np.arange(n + 1) * k), shape=(n, n))
    model = AgglomerativeClustering(n_clusters=None, distance_threshold=0, linkage="average", connectivity=graph)
    return len(model.fit(vectors).children_)


CONTENDERS = {"ours": ours, "scikit-learn": scikit_learn}


def memory(field: str) -> float:
    """`VmRSS` (resident now) or `VmHWM` (peak resident) of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def run_contender(name: str, folder: Path, small: Path) -> None:
    """Run one contender and print its figures as JSON."""
    import warnings

    warnings.simplefilter("ignore")
    load = lambda source: [np.load(source / f"{part}.npy") for part in ("vectors", "indices")]  # noqa: E731
    CONTENDERS[name](small, *load(small))
    data = load(folder)
    gc.collect()
    before = memory("VmRSS")
    # reset the peak resident set: proc(5), clear_refs
    Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    merges = CONTENDERS[name](folder, *data)
    seconds = time.perf_counter() - start
    extra = memory("VmHWM") - before
    figures = {"seconds": seconds, "bytes": extra / len(data[1]), "total": 1 + extra / data[0].nbytes}
    print(json.dumps(figures | {"merges": merges}))


def run_in_process(name: str, folder: Path, small: Path, limit: float) -> dict[str, float] | str:
    """Run `run_contender` in a new process. Returns its figures, or why there are none."""
    command = [sys.executable, __file__, "--run", name, str(folder), str(small)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return f"over {limit:.0f} s"
    if done.returncode:
        return f"exit {done.returncode}: {(done.stderr.strip().splitlines() or ['no output'])[-1][:60]}"
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def make_in_process(n: int, k: int, source: Path | None, folder: Path) -> None:
    command = [sys.executable, __file__, "--make", str(n), str(folder), "--k", str(k)]
    if source:
        command += ["--vectors", str(source)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10,000, 100,000 and 1,000,000 rows, the default")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--k", type=int, default=15, help="neighbors per row")
    parser.add_argument("--vectors", type=Path, help="real dense vectors, float32 [m, 384]")
    parser.add_argument("--limit", type=float, default=120, help="timeout of a run of scikit-learn in seconds")
    parser.add_argument("--run", nargs=3, metavar=("NAME", "FOLDER", "SMALL"), help=argparse.SUPPRESS)
    parser.add_argument("--make", nargs=2, metavar=("N", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run_contender(arguments.run[0], Path(arguments.run[1]), Path(arguments.run[2]))
        return
    if arguments.make:
        make(int(arguments.make[0]), arguments.k, arguments.vectors, Path(arguments.make[1]))
        return
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; ", end="")
    print(", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "numba", "numpy")), end="; ")
    print(f"k = {arguments.k}, dense vectors {arguments.vectors.name if arguments.vectors else 'drawn'}")
    print(f"{'rows':>9} {'':<13} {'merges':>9} {'seconds':>8} {'bytes/row':>9} {'of vectors':>10}")
    results: dict[tuple[str, int], Any] = {}
    too_slow = False
    with tempfile.TemporaryDirectory() as warm_up_folder:
        small = Path(warm_up_folder)
        make_in_process(WARM_UP, arguments.k, None, small)
        for n in arguments.sizes:
            with tempfile.TemporaryDirectory() as folder:
                make_in_process(n, arguments.k, arguments.vectors, Path(folder))
                for name in CONTENDERS:
                    if name == "scikit-learn" and too_slow:
                        continue
                    limit = arguments.limit if name == "scikit-learn" else 3_600
                    found = run_in_process(name, Path(folder), small, limit)
                    if isinstance(found, str):
                        too_slow = too_slow or name == "scikit-learn"
                        print(f"{n:>9,} {name:<13} {found}", flush=True)
                        continue
                    results[name, n] = found
                    print(
                        f"{n:>9,} {name:<13} {found['merges']:>9,} {found['seconds']:>8.2f} "
                        f"{found['bytes']:>9,.0f} {found['total']:>9.2f}x",
                        flush=True,
                    )
    compared = [n for name, n in results if name == "scikit-learn"]
    summary: dict[str, float] = {}
    if compared:
        n = max(compared)
        ratio = results["scikit-learn", n]["seconds"] / results["ours", n]["seconds"]
        summary["speedup_vs_sklearn"] = round(ratio, 1)
    if ("ours", 1_000_000) in results:
        million = results["ours", 1_000_000]
        summary |= {"seconds_1m": round(million["seconds"], 1), "bytes_per_row_1m": round(million["bytes"])}
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
