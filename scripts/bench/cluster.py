"""Our graph clustering compared with libraries that accept a neighbor graph: same graph, same machine, same run.

    .venv/bin/pip install -c scripts/constraints.txt -e '.[bench]'
    .venv/bin/python scripts/bench/cluster.py --quick
    .venv/bin/python scripts/bench/cluster.py --sizes 10000 100000

min_samples 3 (the point itself not counted), min_cluster_size 10, 50 neighbors. The graph is exact; its points have six
dimensions: n / 500 groups of unequal density, and a tenth of noise. Each contender runs in its own process, first on a
small graph (so that numba compiles), on one core and on two (CPU affinity and thread settings). Time and memory are
measured after its input is loaded: arrays [n, k] for us, a CSR matrix for the others; the time to create the input is
shown in a separate column and not counted. Memory is the peak resident set from then on, minus the one at the start.
fast_hdbscan symmetrizes the graph itself; scikit-learn and hdbscan need both directions stored and refuse a graph that
is not connected, so the script checks that it is. `dense`: hdbscan on the n x n matrix, for small n.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from packages import require_packages

ROOT = Path(__file__).parents[2]
PROTOTYPES = ROOT.parent / "shared" / "prototypes"
K, DIMENSIONS, MIN_SAMPLES, MIN_CLUSTER_SIZE = 50, 6, 3, 10
WARM_UP = 2_000
DENSE_UP_TO = 10_000
THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def make_graph(n: int, folder: Path) -> None:
    """Write `indices.npy` int32 [n, K] and `distances.npy` float32 [n, K], rows ascending, without the point itself."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(0)
    centers = rng.uniform(0, 1, (max(2, n // 500), DIMENSIONS))
    spread = rng.lognormal(-4.0, 0.5, len(centers))
    group = rng.integers(0, len(centers), n)
    points = centers[group] + rng.normal(size=(n, DIMENSIONS)) * spread[group][:, None]
    noise = rng.random(n) < 0.1
    points[noise] = rng.uniform(0, 1, (int(noise.sum()), DIMENSIONS))
    tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
    distances, indices = tree.query(points, K + 1, workers=-1)
    itself = indices == np.arange(n)[:, None]
    itself[~itself.any(1), -1] = True
    indices = indices[~itself].reshape(n, K).astype(np.int32)
    graph = csr_array((np.ones(n * K, bool), indices.ravel(), np.arange(n + 1) * K), shape=(n, n))
    if connected_components(graph, directed=False, return_labels=False) != 1:
        raise SystemExit(f"the graph of {n:,} points is not connected")
    np.save(folder / "indices.npy", indices)
    np.save(folder / "distances.npy", distances[~itself].reshape(n, K).astype(np.float32))


# ---- contenders: one function converts the arrays to the input, another computes labels from the input


def arrays(indices: Any, distances: Any) -> Any:
    return indices, distances


def arrays_with_itself(indices: Any, distances: Any) -> Any:
    itself = np.arange(len(indices), dtype=np.int32), np.zeros(len(indices), np.float32)
    return tuple(
        np.ascontiguousarray(np.c_[one, other]) for one, other in zip(itself, (indices, distances), strict=True)
    )


def rows_as_csr(indices: Any, distances: Any) -> Any:
    from scipy.sparse import csr_matrix

    n, k = indices.shape
    return csr_matrix((distances.ravel(), indices.ravel(), np.arange(n + 1, dtype=np.int32) * k), shape=(n, n))


def symmetric_csr(indices: Any, distances: Any) -> Any:
    graph = rows_as_csr(indices, distances).astype(np.float64)
    # the graph is exact: if both directions are stored, they are equal
    both = graph.maximum(graph.T).tocsr()
    both.sort_indices()
    return both


def dense_matrix(indices: Any, distances: Any) -> Any:
    graph = symmetric_csr(indices, distances).tocoo()
    matrix = np.full(graph.shape, np.inf)
    matrix[graph.row, graph.col] = graph.data
    np.fill_diagonal(matrix, 0)
    return matrix


def ours(graph: Any, cores: int) -> Any:
    from job.backends.graph_hdbscan import cluster_graph

    return cluster_graph(*graph, min_samples=MIN_SAMPLES, min_cluster_size=MIN_CLUSTER_SIZE, threads=cores).labels


def fast_hdbscan_by(algorithm: str) -> Callable[[Any, int], Any]:
    def labels(graph: Any, cores: int) -> Any:
        from fast_hdbscan import HDBSCAN

        return HDBSCAN(
            metric="precomputed", algorithm=algorithm, min_samples=MIN_SAMPLES, min_cluster_size=MIN_CLUSTER_SIZE
        ).fit_predict(graph)

    return labels


def scikit_learn(graph: Any, cores: int) -> Any:
    from sklearn.cluster import HDBSCAN

    return HDBSCAN(
        metric="precomputed", min_samples=MIN_SAMPLES, min_cluster_size=MIN_CLUSTER_SIZE, n_jobs=cores, copy=False
    ).fit_predict(graph)


def hdbscan(graph: Any, cores: int) -> Any:
    from hdbscan import HDBSCAN

    model = HDBSCAN(
        metric="precomputed", min_samples=MIN_SAMPLES, min_cluster_size=MIN_CLUSTER_SIZE, core_dist_n_jobs=cores
    )
    return model.fit(graph).labels_


def prototype(graph: Any, cores: int) -> Any:
    sys.path.insert(0, str(PROTOTYPES))
    from graph_hdbscan import cluster_knn

    return cluster_knn(*graph, MIN_SAMPLES, MIN_CLUSTER_SIZE, semantics="sym", ties="canonical")[0]


CONTENDERS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, int], Any]]] = {
    "ours": (arrays, ours),
    "fast_hdbscan": (rows_as_csr, fast_hdbscan_by("boruvka")),
    "fast_hdbscan kruskal": (rows_as_csr, fast_hdbscan_by("kruskal")),
    "scikit-learn": (symmetric_csr, scikit_learn),
    "hdbscan sparse": (symmetric_csr, hdbscan),
    "hdbscan dense": (dense_matrix, hdbscan),
    "prototype": (arrays_with_itself, prototype),
}


# ---- one contender in its own process


def memory(field: str) -> float:
    """`VmRSS` (resident now) or `VmHWM` (peak resident) of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def run_contender(name: str, cores: int, folder: Path, small: Path) -> None:
    """Run one contender: print its time and memory as JSON, and write its labels."""
    import gc
    import warnings

    warnings.simplefilter("ignore")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    convert, cluster = CONTENDERS[name]

    def load(source: Path) -> Any:
        return convert(np.load(source / "indices.npy"), np.load(source / "distances.npy"))

    cluster(load(small), cores)
    start = time.perf_counter()
    graph = load(folder)
    converted = time.perf_counter() - start
    gc.collect()
    before = memory("VmRSS")
    # reset the peak resident set: proc(5), clear_refs
    Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    labels = cluster(graph, cores)
    seconds = time.perf_counter() - start
    peak = memory("VmHWM") - before
    np.save(folder / f"{name}-{cores}.npy", np.asarray(labels))
    print(json.dumps({"seconds": seconds, "memory": peak, "input": converted}))


def run_in_process(name: str, cores: int, folder: Path, small: Path, limit: float) -> dict[str, float] | str:
    """Run `run_contender` in a new process. Returns its time and memory, or why there are none."""
    command = [sys.executable, __file__, "--run", name, str(cores), str(folder), str(small)]
    environment = {**os.environ, **dict.fromkeys(THREADS, str(cores)), "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return f"over {limit:.0f} s"
    if done.returncode:
        return f"exit {done.returncode}: {(done.stderr.strip().splitlines() or ['no output'])[-1][:60]}"
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


# ---- the comparison


def agreement(left: Any, right: Any) -> float:
    """The adjusted Rand index, noise counted as one cluster; 1 only if the noise is the same too."""
    from sklearn.metrics import adjusted_rand_score

    index = float(adjusted_rand_score(left, right))
    return index if ((left < 0) == (right < 0)).all() else min(index, 0.9999)


def compare(n: int, names: list[str], core_counts: list[int], repeat: int, limit: float) -> dict[str, Any]:
    """Print the table of one size. Returns, by name and cores, the ratios to ours and whether labels are equal."""
    ratios: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as full_folder, tempfile.TemporaryDirectory() as warm_up_folder:
        folder, small = Path(full_folder), Path(warm_up_folder)
        make_graph(WARM_UP, small)
        subprocess.run([sys.executable, __file__, "--make", str(n), str(folder)], check=True)
        for cores in core_counts:
            runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
            failed: dict[str, str] = {}
            for _ in range(repeat):
                for name in names:
                    if name in failed:
                        continue
                    outcome = run_in_process(name, cores, folder, small, limit)
                    if isinstance(outcome, str):
                        failed[name] = outcome
                    else:
                        runs[name].append(outcome)
            best = {
                name: {key: min(run[key] for run in each) for key in each[0]} for name, each in runs.items() if each
            }
            mine = np.load(folder / f"ours-{cores}.npy")
            for name in names:
                row = f"{n:>9,} {cores:>5} {name:<21}"
                if name not in best:
                    print(f"{row} {failed[name]}", flush=True)
                    continue
                figures = best[name]
                times = {key: figures[key] / best["ours"][key] for key in ("seconds", "memory")}
                labels = np.load(folder / f"{name}-{cores}.npy")
                ratios[f"{name}, {cores}"] = times | {"equal": agreement(labels, mine) == 1}
                print(
                    f"{row} {figures['seconds']:>8.2f} {times['seconds']:>6.1f}x {figures['memory']:>8.0f} "
                    f"{times['memory']:>6.1f}x {figures['input']:>7.1f} {labels.max() + 1:>9,} "
                    f"{(labels < 0).mean():>6.1%} {agreement(labels, mine):>7.4f}",
                    flush=True,
                )
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a million points, only against fast_hdbscan")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 300_000, 1_000_000])
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--repeat", type=int, default=2, help="runs of each contender; the best time and memory count")
    parser.add_argument("--limit", type=float, default=900, help="timeout of one run in seconds")
    parser.add_argument("--run", nargs=4, metavar=("NAME", "CORES", "FOLDER", "SMALL"), help=argparse.SUPPRESS)
    parser.add_argument("--make", nargs=2, metavar=("N", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        name, cores, folder, small = arguments.run
        run_contender(name, int(cores), Path(folder), Path(small))
        return
    if arguments.make:
        make_graph(int(arguments.make[0]), Path(arguments.make[1]))
        return
    require_packages("fast_hdbscan")
    sizes, names = arguments.sizes, ["ours", *(name for name in arguments.contenders if name != "ours")]
    if arguments.quick:
        sizes, names = [1_000_000], ["ours", "fast_hdbscan", "prototype"]
    if not PROTOTYPES.is_dir():
        names = [name for name in names if name != "prototype"]
    packages = ("fast_hdbscan", "hdbscan", "scikit-learn", "numba", "numpy")
    print(f"{platform.platform()}, {os.cpu_count()} cores; {', '.join(f'{name} {version(name)}' for name in packages)}")
    print(
        f"{'points':>9} {'cores':>5} {'':<21} {'seconds':>8} {'':>7} {'peak MB':>8} {'':>7} {'input s':>7} "
        f"{'clusters':>9} {'noise':>6} {'ARI':>7}"
    )
    for n in sizes:
        contenders = [name for name in names if name != "hdbscan dense" or n <= DENSE_UP_TO]
        ratios = compare(n, contenders, arguments.cores, arguments.repeat, arguments.limit)
    result: dict[str, Any] = {}
    against = [times for key, times in ratios.items() if key.startswith("fast_hdbscan")]
    if against:
        for label, key in (("speedup", "seconds"), ("memory", "memory")):
            result[f"{label}_vs_fast_hdbscan"] = round(min(times[key] for times in against), 1)
    equal = [times["equal"] for key, times in ratios.items() if key.startswith("prototype")]
    if equal:
        result["labels_equal_prototype"] = all(equal)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
