"""The methods that quality.py compares: each maps a `Dataset` to labels int32 [n] (-1 is noise), by the method's name.

A method may give several answers, such as labels with and without noise.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from layout import graph_of

from job.backends.graph_hdbscan import cluster_graph, cut, linkage_of
from job.backends.knn.vote import nearest_cluster
from job.backends.reduce.cpu import linkage_of_vectors, umap_from_graph
from job.backends.stories.level import score_levels
from job.backends.stories.linkage import average_linkage as average_linkage_of
from job.backends.stories.vectors import Shares, story_vectors
from job.config import REDUCE_NEIGHBORS, Cluster
from job.data import Floats, Ints, KnnGraph
from job.stages.stories import story_labels

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
        if config.merge_above is not None:
            return {name: merged(data, config)}
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


def merged(data: Dataset, config: Cluster) -> Ints:
    """Headlines merged into stories, as the stages `merge` and `stories` do; no times are used."""
    n = len(data.texts)
    vectors = story_vectors(data.vectors, data.texts, np.full(n, np.nan), Shares())
    tree = average_linkage_of(vectors, np.arange(n, dtype=np.int32), data.graph.first(config.k or K).indices)
    return story_labels(tree, score_levels(tree, vectors, data.graph.indices).best, config.smallest_story)


def graph_setting(k: int, min_samples: int, min_cluster_size: int) -> Method:
    def run(data: Dataset) -> dict[str, Ints]:
        near = data.graph.first(k)
        found = cluster_graph(
            near.indices,
            near.distances,
            min_samples=min_samples,
            min_cluster_size=min_cluster_size,
            components="apart",
        )
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
    found = cluster_graph(near.indices, near.distances, mode="tutorial", min_samples=3, min_cluster_size=3)
    return {"tutorial": found.labels}


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
# all others read the neighbor graph, so the time to build it is part of their time
WITHOUT_GRAPH = [bertopic, evoc, k_means, average_linkage]
