"""The map from the neighbor graph there is, against UMAP on the vectors, which searches neighbors of its own.

    .venv/bin/python scripts/bench/layout.py --quick
    .venv/bin/python scripts/bench/layout.py

umap-learn both times, same n_neighbors, min_dist and seed, MiniLM vectors of real headlines. Trustworthiness: how far
the map's neighbors are neighbors in the vectors (scikit-learn, 30 neighbors, on 5,000 rows at most), best 1. Seconds:
from graph or vectors to the layout, after a warm-up. The graph itself is there before: clustering needs it too.
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
import pyarrow.parquet as pq
from sklearn.manifold import trustworthiness

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.backends.knn.distances import nearest, pair_distances, sort_rows
from job.backends.reduce.cpu import umap_from_graph
from job.data import Floats, KnnGraph
from job.runtime.device import resolve_device, resolve_precision

DATA = Path(__file__).parents[3] / "shared" / "data" / "uci_dev.parquet"
NEIGHBORS, MIN_DIST, SEED, SAMPLE = 30, 0.1, 42, 5_000


def graph_of(vectors: Floats) -> KnnGraph:
    """The exact graph that the map needs."""
    parts = []
    for start in range(0, len(vectors), 1024):
        rows = np.arange(start, min(start + 1024, len(vectors)))
        found = nearest(vectors, rows, NEIGHBORS - 1)
        parts.append(sort_rows(found, pair_distances(vectors, rows, found), NEIGHBORS - 1))
    return KnnGraph(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), NEIGHBORS - 1)


def on_vectors(vectors: Floats) -> Floats:
    """UMAP as its users call it."""
    from umap import UMAP

    reducer = UMAP(n_neighbors=NEIGHBORS, min_dist=MIN_DIST, random_state=SEED, n_jobs=1)
    return np.asarray(reducer.fit_transform(vectors), np.float32)


def timed(make: Callable[[], Floats]) -> tuple[Floats, float]:
    start = time.perf_counter()
    return make(), time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5,000 headlines only; else 20,000 too")
    sizes = [5_000] if parser.parse_args().quick else [5_000, 20_000]
    warnings.simplefilter("ignore")
    if not DATA.is_file():
        raise SystemExit(f"needs real headlines: {DATA}")
    titles = list(dict.fromkeys(pq.read_table(DATA)["title"].to_pylist()))[: sizes[-1]]
    device = resolve_device("cpu")
    precision = resolve_precision("auto", device).value
    vectors = FlagEncoder(find_model("minilm", "auto"), device.value, precision, 512, None).encode(titles)
    # from 4,096 rows on umap-learn searches approximately: that is to be compiled before it is measured
    warm = vectors[:4_200]
    umap_from_graph(graph_of(warm), warm, 2, NEIGHBORS, MIN_DIST, SEED)
    on_vectors(warm)
    print(f"{platform.platform()}, {os.cpu_count()} cores, MiniLM in {precision}")
    print(f"{'rows':>8} {'':<12} {'seconds':>8} {'trustworthiness':>16}")
    for size in sizes:
        mine = vectors[:size]
        graph = graph_of(mine)
        sample = np.random.default_rng(SEED).permutation(size)[:SAMPLE]
        results = {}
        for name, make in (
            ("from graph", lambda: umap_from_graph(graph, mine, 2, NEIGHBORS, MIN_DIST, SEED)),  # noqa: B023
            ("on vectors", lambda: on_vectors(mine)),  # noqa: B023
        ):
            layout, seconds = timed(make)
            trust = trustworthiness(mine[sample], layout[sample], n_neighbors=30)
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
