"""The map's layout from the existing neighbor graph, against UMAP on the vectors, which searches neighbors itself.

    .venv/bin/python scripts/bench/layout.py --quick
    .venv/bin/python scripts/bench/layout.py

Both use umap-learn with the same n_neighbors, min_dist and seed on MiniLM vectors of real headlines. Trustworthiness:
how far the layout's neighbors are also neighbors in the vectors (scikit-learn, 30 neighbors, at most 5,000 rows); the
best value is 1. Seconds: from graph or vectors to the layout, after a warm-up. The time to build the graph does not
count, because clustering needs the graph too.
"""

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from real_headlines import TITLES, UCI, distinct_titles, require
from sklearn.manifold import trustworthiness

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.backends.knn.brute_force import nearest
from job.backends.knn.distances import pair_distances, sort_rows
from job.backends.reduce.cpu import umap_from_graph
from job.data import Floats, KnnGraph
from job.runtime.device import resolve_device, resolve_precision

NEIGHBORS, MIN_DIST, SEED, SAMPLE = 30, 0.1, 42, 5_000


def graph_of(vectors: Floats, k: int) -> KnnGraph:
    """The exact neighbor graph with k neighbors per row."""
    blocks = []
    for start in range(0, len(vectors), 1024):
        rows = np.arange(start, min(start + 1024, len(vectors)))
        found = nearest(vectors, rows, k)
        blocks.append(sort_rows(found, pair_distances(vectors, rows, found), k))
    indices = np.concatenate([block[0] for block in blocks])
    distances = np.concatenate([block[1] for block in blocks])
    return KnnGraph(indices, distances, k)


def on_vectors(vectors: Floats) -> Floats:
    """UMAP called the usual way, without a graph."""
    from umap import UMAP

    reducer = UMAP(n_neighbors=NEIGHBORS, min_dist=MIN_DIST, random_state=SEED, n_jobs=1)
    return np.asarray(reducer.fit_transform(vectors), np.float32)


def timed(make: Callable[[], Floats]) -> tuple[Floats, float]:
    start = time.perf_counter()
    return make(), time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only 5,000 headlines")
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 20_000], help="numbers of headlines")
    parser.add_argument("--data", type=Path, default=UCI, help="a Parquet file with a column `title`")
    arguments = parser.parse_args()
    sizes = [5_000] if arguments.quick else arguments.sizes
    warnings.simplefilter("ignore")
    require(arguments.data, TITLES)
    titles = distinct_titles(arguments.data, max(sizes))
    device = resolve_device("cpu")
    precision = resolve_precision("auto", device).value
    vectors = FlagEncoder(find_model("minilm", "auto"), device.value, precision, 512, None).encode(titles)
    # from 4,096 rows on, umap-learn searches approximately: compile that search before it is measured
    warm = vectors[:4_200]
    umap_from_graph(graph_of(warm, NEIGHBORS - 1), warm, 2, NEIGHBORS, MIN_DIST, SEED)
    on_vectors(warm)
    print(f"{platform.platform()}, {os.cpu_count()} cores, MiniLM in {precision}")
    print(f"{'rows':>8} {'':<12} {'seconds':>8} {'trustworthiness':>16}")
    for subset in (vectors[:size] for size in sizes):
        size = len(subset)
        graph = graph_of(subset, NEIGHBORS - 1)
        sample = np.random.default_rng(SEED).permutation(size)[:SAMPLE]
        results = {}
        for name, make in (
            ("from graph", lambda: umap_from_graph(graph, subset, 2, NEIGHBORS, MIN_DIST, SEED)),  # noqa: B023
            ("on vectors", lambda: on_vectors(subset)),  # noqa: B023
        ):
            layout, seconds = timed(make)
            trust = trustworthiness(subset[sample], layout[sample], n_neighbors=30)
            results[name] = seconds, trust
            print(f"{size:>8,} {name:<12} {seconds:>8.1f} {trust:>16.4f}", flush=True)
    ours, theirs = results["from graph"], results["on vectors"]
    ratios = {
        "speedup_vs_umap_on_vectors": round(theirs[0] / ours[0], 2),
        "trustworthiness_difference": round(float(ours[1] - theirs[1]), 4),
    }
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
