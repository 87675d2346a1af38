"""The map's layout from the existing neighbor graph, against UMAP on the vectors, which searches neighbors itself.

    .venv/bin/python scripts/bench/layout.py --quick --data FILE
    .venv/bin/python scripts/bench/layout.py --data FILE

All use umap-learn with the same n_neighbors, min_dist and seed on MiniLM vectors of real headlines. Above 10,000 rows
the job's map starts from principal components: umap-learn's own start from the same graph is measured beside it.

Trustworthiness: how far the layout's neighbors are also neighbors in the vectors (scikit-learn, 30 neighbors, at most
5,000 rows); the best value is 1. Order: Spearman's correlation of the distances of 200,000 random pairs, in the vectors
and in the layout. Seconds: from graph or vectors to the layout, after a warm-up. The time to build the graph does not
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
from scipy.stats import spearmanr
from sklearn.manifold import trustworthiness

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.backends.knn.brute_force import nearest
from job.backends.knn.distances import pair_distances, sort_rows
from job.backends.reduce.cpu import neighbors_with_self, umap_from_graph
from job.backends.reduce.start import OWN_START
from job.data import Floats, KnnGraph
from job.runtime.device import resolve_device, resolve_precision

NEIGHBORS, MIN_DIST, SEED, SAMPLE, PAIRS = 30, 0.1, 42, 5_000, 200_000


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


def from_own_start(graph: KnnGraph, vectors: Floats) -> Floats:
    """The same graph with umap-learn's own start, from eigenvectors of the graph."""
    from umap import UMAP

    knn = (*neighbors_with_self(graph, NEIGHBORS), None)
    reducer = UMAP(n_neighbors=NEIGHBORS, min_dist=MIN_DIST, random_state=SEED, n_jobs=1, precomputed_knn=knn)
    return np.asarray(reducer.fit_transform(vectors), np.float32)


def order(vectors: Floats, layout: Floats) -> float:
    """See `Order` above."""
    rng = np.random.default_rng(SEED)
    a, b = rng.integers(0, len(vectors), (2, PAIRS))
    far = np.linalg.norm(vectors[a] - vectors[b], axis=1), np.linalg.norm(layout[a] - layout[b], axis=1)
    return float(spearmanr(*far).statistic)


def timed(make: Callable[[], Floats]) -> tuple[Floats, float]:
    start = time.perf_counter()
    return make(), time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only 5,000 headlines")
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 60_000], help="numbers of headlines")
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
    print(f"{'rows':>8} {'':<22} {'seconds':>8} {'trustworthiness':>16} {'order':>7}")
    ratios: dict[str, float] = {}
    for subset in (vectors[:size] for size in sizes):
        size = len(subset)
        graph = graph_of(subset, NEIGHBORS - 1)
        sample = np.random.default_rng(SEED).permutation(size)[:SAMPLE]
        ways = {
            "from graph": lambda: umap_from_graph(graph, subset, 2, NEIGHBORS, MIN_DIST, SEED),  # noqa: B023
            "on vectors": lambda: on_vectors(subset),  # noqa: B023
        }
        if size > OWN_START:
            ways["from graph, own start"] = lambda: from_own_start(graph, subset)  # noqa: B023
        seconds, trust = {}, {}
        for name, make in ways.items():
            layout, seconds[name] = timed(make)
            trust[name] = trustworthiness(subset[sample], layout[sample], n_neighbors=30)
            there = order(subset, layout)
            print(f"{size:>8,} {name:<22} {seconds[name]:>8.1f} {trust[name]:>16.4f} {there:>7.3f}", flush=True)
        for name in list(ways)[1:]:
            of = f"{size}_{name.replace(', ', ' ').replace(' ', '_')}"
            ratios[f"{of}_seconds"] = round(seconds[name] / seconds["from graph"], 2)
            ratios[f"{of}_trustworthiness"] = round(float(trust["from graph"] - trust[name]), 4)
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
