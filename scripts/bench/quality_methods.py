"""The methods that quality.py compares: each maps a `Dataset` to labels int32 [n], -1 = in no cluster."""

from collections.abc import Callable, Iterable

import numpy as np
from quality_data import SEED, Dataset, K
from sklearn.metrics import adjusted_mutual_info_score

from job.backends.graph_hdbscan import cluster_graph, cut
from job.backends.knn.vote import nearest_cluster
from job.backends.reduce.cpu import linkage_of_vectors, umap_from_graph
from job.backends.stories.level import score_levels
from job.backends.stories.linkage import MergeTree, average_linkage
from job.backends.stories.linkage import cut as cut_tree
from job.backends.stories.themes import find_themes
from job.backends.stories.vectors import Shares, _turn_by_time, story_vectors
from job.config import REDUCE_NEIGHBORS, Cluster
from job.data import Floats, Ints
from job.stages.stories import story_labels

Method = Callable[[Dataset], Ints]
_RECIPE = Cluster(recipe="stories")
_STORY_K = _RECIPE.k or K


def alone(labels: Ints) -> Ints:
    """The labels, with a cluster of its own for each headline in none."""
    lone = labels < 0
    return np.where(lone, labels.max(initial=-1) + np.cumsum(lone), labels).astype(np.int32)


def merges(data: Dataset, vectors: Floats, start: Ints | None = None) -> MergeTree:
    first = np.arange(len(vectors), dtype=np.int32) if start is None else start
    return average_linkage(vectors, first, data.graph.first(_STORY_K).indices)


def stories(
    data: Dataset, vectors: Floats | None = None, above: float | None = None, start: Ints | None = None
) -> Ints:
    """The recipe's labels, as the stages `merge` and `stories` make them; or with something of it changed."""
    if vectors is None:
        vectors = story_vectors(data.vectors, data.texts, data.times, Shares())
    tree = merges(data, vectors, start)
    level = above or score_levels(tree, vectors, data.graph.indices).best
    data.chosen.setdefault("level", level)
    return story_labels(tree, level, _RECIPE.smallest_story)


def without_words(data: Dataset) -> Ints:
    return stories(data, story_vectors(data.vectors, data.texts, data.times, Shares(words=0.0)))


def without_time(data: Dataset) -> Ints:
    return stories(data, story_vectors(data.vectors, data.texts, np.full(len(data.texts), np.nan), Shares()))


def without_centering(data: Dataset) -> Ints:
    shares, d = Shares(), data.vectors.shape[1]
    vectors = story_vectors(data.vectors, data.texts, np.full(len(data.texts), np.nan), shares)
    vectors[:, :d] = np.sqrt(1 - shares.words) * data.vectors
    if np.isfinite(data.times).any():
        _turn_by_time(vectors, data.times / 3600, shares, threads=2)
    return stories(data, vectors)


def without_core(data: Dataset) -> Ints:
    vectors = story_vectors(data.vectors, data.texts, data.times, Shares())
    tree = merges(data, vectors)
    labels = cut_tree(tree, score_levels(tree, vectors, data.graph.indices).best)
    return np.where(np.bincount(labels)[labels] >= _RECIPE.smallest_story, labels, -1).astype(np.int32)


def best_level(data: Dataset) -> Ints:
    """The recipe, cut where the true stories say."""
    vectors = story_vectors(data.vectors, data.texts, data.times, Shares())
    tree = merges(data, vectors)
    levels = score_levels(tree, vectors, data.graph.indices).levels
    return _best(data, "best level", ((level, story_labels(tree, level, _RECIPE.smallest_story)) for level in levels))


def hdbscan(min_samples: int, min_cluster_size: int, vote: bool = False) -> Method:
    """HDBSCAN on the graph of 15 neighbors. `vote`: noise joins the cluster of its neighbors within 1.1."""

    def run(data: Dataset) -> Ints:
        near = data.graph.first(15)
        sizes = {"min_samples": min_samples, "min_cluster_size": min_cluster_size}
        labels = cluster_graph(near.indices, near.distances, components="apart", **sizes).labels
        return _voted(labels, data, 15) if vote else labels

    return run


def _voted(labels: Ints, data: Dataset, k: int, within: float = 1.1) -> Ints:
    near = data.graph.first(k)
    voted, distance = nearest_cluster(labels, near.indices, near.distances)
    return np.where((labels < 0) & ~(distance < within), -1, voted).astype(np.int32)


def recipe_topics(data: Dataset) -> Ints:
    config = Cluster(recipe="topics")
    assert config.reduce_to is not None
    low = umap_from_graph(data.graph, data.vectors, config.reduce_to, REDUCE_NEIGHBORS, 0.0, SEED)
    labels = cut(linkage_of_vectors(low, config.min_samples), **config.cut_settings()).labels
    return _voted(labels, data, config.k or K, config.noise_distance)


def tutorial(data: Dataset) -> Ints:
    """The tutorial's settings: 50 hits, one of them the row itself; min_samples and min_cluster_size 3."""
    near = data.graph.first(K - 1)
    return cluster_graph(near.indices, near.distances, mode="tutorial", min_samples=3, min_cluster_size=3).labels


class _Reduced:
    """Stands for BERTopic's UMAP, whose result for these vectors is known."""

    def __init__(self, low: Floats) -> None:
        self.low = low

    def fit(self, vectors: Floats, y: object = None) -> "_Reduced":
        return self

    def transform(self, vectors: Floats) -> Floats:
        return self.low


def bertopic(min_topic_size: int = 10, reduce_outliers: bool = False, topics: int | None = None) -> Method:
    """BERTopic's defaults and a seed; outliers reduced by embeddings; topics merged by it to the given number."""

    def run(data: Dataset) -> Ints:
        from bertopic import BERTopic

        # its number of topics counts the outliers as one
        number = None if topics is None else topics + 1
        model = BERTopic(umap_model=_Reduced(data.umap), min_topic_size=min_topic_size, nr_topics=number)
        found, _ = model.fit_transform(data.texts, data.vectors)
        if reduce_outliers and -1 in found and max(found) >= 0:
            found = model.reduce_outliers(data.texts, found, strategy="embeddings", embeddings=data.vectors)
        return np.asarray(found, np.int32)

    return run


def evoc(data: Dataset) -> Ints:
    from evoc import EVoC

    return np.asarray(EVoC(random_state=SEED).fit_predict(data.vectors), np.int32)


def k_means(clusters: int) -> Method:
    def run(data: Dataset) -> Ints:
        from sklearn.cluster import KMeans

        return KMeans(clusters, n_init=3, random_state=SEED).fit_predict(data.vectors).astype(np.int32)

    return run


def leiden(data: Dataset) -> Ints:
    """Leiden's constant Potts model on the graph of 30 neighbors, edges weighted by cosine; the best resolution."""
    import igraph
    import leidenalg

    near = data.graph.first(30)
    rows, columns = np.repeat(np.arange(len(near)), 30), near.indices.ravel()
    pairs = np.stack([np.minimum(rows, columns), np.maximum(rows, columns)], axis=1)
    pairs, first = np.unique(pairs, axis=0, return_index=True)
    weights = 1 - near.distances.ravel()[first].astype(np.float64) ** 2 / 2
    network = igraph.Graph(len(near), pairs.tolist())

    def answers() -> Iterable[tuple[float, Ints]]:
        for resolution in (0.2, 0.3, 0.4, 0.5, 0.6):
            options = {"weights": weights.tolist(), "resolution_parameter": resolution, "seed": SEED}
            found = leidenalg.find_partition(network, leidenalg.CPMVertexPartition, **options)
            yield resolution, np.asarray(found.membership, np.int32)

    return _best(data, "Leiden", answers())


def dense_linkage(data: Dataset) -> Ints:
    """Average linkage of all pairs by cosine, without a graph; the best threshold."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distances = 1 - data.vectors @ data.vectors.T
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(np.maximum(distances, 0), checks=False), "average")
    thresholds = np.arange(0.3, 0.85, 0.05).round(2)
    cuts = ((float(t), fcluster(tree, t, "distance").astype(np.int32) - 1) for t in thresholds)
    return _best(data, "dense linkage", cuts)


def _best(data: Dataset, name: str, answers: Iterable[tuple[float, Ints]]) -> Ints:
    """The answer with the highest AMI; its setting goes to `data.chosen`."""
    known = data.truth != ""
    scored = [
        (adjusted_mutual_info_score(data.truth[known], alone(labels)[known]), setting, labels)
        for setting, labels in answers
    ]
    _, setting, labels = max(scored, key=lambda one: one[0])
    data.chosen[name] = setting
    return labels


def our_themes(count: int) -> Method:
    """The themes of the recipe's stories, at the given number."""

    def run(data: Dataset) -> Ints:
        return find_themes(data.vectors, stories(data), counts=(count, 4 * count)).themes

    return run


STORIES: dict[str, Method] = {
    "recipe stories": stories,
    "HDBSCAN 5/10 + vote, the recipe before": hdbscan(5, 10, vote=True),
    "HDBSCAN 2/2": hdbscan(2, 2),
    "tutorial": tutorial,
    "BERTopic": bertopic(),
    "BERTopic, outliers reduced": bertopic(reduce_outliers=True),
    "BERTopic, size 3": bertopic(3),
    "BERTopic, size 3, outliers reduced": bertopic(3, reduce_outliers=True),
    "EVoC": evoc,
    "Leiden, best resolution": leiden,
    "dense linkage, best threshold": dense_linkage,
}
ABLATIONS: dict[str, Method] = {
    "without words": without_words,
    "without time": without_time,
    "without centering": without_centering,
    "above 0.18": lambda data: stories(data, above=0.18),
    "from HDBSCAN 2/2": lambda data: stories(data, start=alone(hdbscan(2, 2)(data))),
    "without the core rule": without_core,
    "best level": best_level,
}
SIZES: dict[str, Method] = {
    "recipe stories": stories,
    "best level": best_level,
    "HDBSCAN 5/10 + vote": hdbscan(5, 10, vote=True),
}


def theme_methods(counts: Iterable[int]) -> dict[str, Method]:
    """The methods for themes, named `METHOD, K`; then those that find their own number."""
    found: dict[str, Method] = {}
    for count in counts:
        found[f"ours, {count}"] = our_themes(count)
        found[f"BERTopic, outliers reduced, {count}"] = bertopic(reduce_outliers=True, topics=count)
        found[f"k-means, {count}"] = k_means(count)
    return found | {
        "recipe topics": recipe_topics,
        "BERTopic, outliers reduced": bertopic(reduce_outliers=True),
        "EVoC": evoc,
    }
