"""Exact neighbors on the CPU: bfloat16 products with an error bound (AMX), float32 products, and the libraries.

    .venv/bin/python scripts/bench/exact.py --quick --data FILE
    .venv/bin/python scripts/bench/exact.py --data FILE

MiniLM vectors of real headlines; 4,096 of them ask for their 50 nearest among all. A whole graph takes as many times
longer as it has more rows: the rate does not depend on the number of queries. Seconds: the faster of two turns, which
take turns with the others'. Same: the share of rows whose neighbors are at the distances that float32 products find.
Without AMX the job does not use the bfloat16 products; their figure then says why.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from real_headlines import TITLES, UCI, distinct_titles, require

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.backends.knn.bf16_search import Bf16Search
from job.backends.knn.brute_force import nearest
from job.backends.knn.distances import pair_distances, sort_rows
from job.data import Floats, Ints
from job.runtime.device import cpu_has_amx, resolve_device, resolve_precision

QUERIES, K, TURNS = 4_096, 50, 2
Search = Callable[[np.ndarray], Ints]


def without_self(found: Ints, rows: np.ndarray) -> Ints:
    """The first K of K + 1 neighbors [m, K + 1], without the row itself."""
    order = np.argsort(found == rows[:, None], axis=1, kind="stable")[:, :K]
    return np.take_along_axis(found, order, 1).astype(np.int32)


def ways(vectors: Floats) -> dict[str, Search]:
    """The searches by name, and what they ask before: each of the m rows gets int32 [m, K]."""
    import faiss
    from sklearn.neighbors import NearestNeighbors

    bf16 = Bf16Search(vectors)
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    brute = NearestNeighbors(n_neighbors=K + 1, algorithm="brute").fit(vectors)

    def float32(rows: np.ndarray) -> Ints:
        return np.concatenate([nearest(vectors, rows[i : i + 1_024], K) for i in range(0, len(rows), 1_024)])

    return {
        "float32": float32,
        "bfloat16": lambda rows: bf16.find(rows, K),
        "faiss": lambda rows: without_self(flat.search(vectors[rows], K + 1)[1], rows),
        "scikit-learn": lambda rows: without_self(brute.kneighbors(vectors[rows], return_distance=False), rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only 30,000 headlines")
    parser.add_argument("--size", type=int, default=200_000, help="number of headlines")
    parser.add_argument("--data", type=Path, default=UCI, help="a Parquet file with a column `title`")
    arguments = parser.parse_args()
    require(arguments.data, TITLES)
    titles = distinct_titles(arguments.data, 30_000 if arguments.quick else arguments.size)
    device = resolve_device("cpu")
    precision = resolve_precision("auto", device).value
    vectors = FlagEncoder(find_model("minilm", "auto"), device.value, precision, 512, None).encode(titles)
    rows = np.sort(np.random.default_rng(0).choice(len(vectors), min(QUERIES, len(vectors)), replace=False))
    searches = ways(vectors)
    for search in searches.values():
        search(rows[:64])
    seconds = dict.fromkeys(searches, np.inf)
    found: dict[str, Ints] = {}
    for _ in range(TURNS):
        for name, search in searches.items():
            start = time.perf_counter()
            found[name] = search(rows)
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    far = {name: sort_rows(near, pair_distances(vectors, rows, near), K)[1] for name, near in found.items()}
    amx = "with AMX" if cpu_has_amx() else "without AMX: the job uses float32 products"
    print(f"{platform.platform()}, {os.cpu_count()} cores, {amx}; {len(vectors):,} x {vectors.shape[1]}, k = {K}")
    ratios: dict[str, float] = {}
    for name in searches:
        same = float((far[name] == far["float32"]).all(axis=1).mean())
        print(f"{name:<14} {seconds[name]:>8.2f} s  {len(rows) / seconds[name]:>8.0f} queries/s  same {same:.4f}")
        ratios[f"{name}_seconds"] = round(seconds[name] / seconds["bfloat16"], 2)
        ratios[f"{name}_same"] = round(same, 4)
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
