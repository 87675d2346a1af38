"""The cuML adapters on a CUDA device: HDBSCAN against scikit-learn, UMAP by the neighborhoods that it keeps."""

import numpy as np
import pytest
from exact_graphs import graph_of
from sklearn.cluster import HDBSCAN
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from job.backends.graph_hdbscan import Result
from job.backends.reduce import gpu as adapter
from job.backends.reduce import start
from job.data import Floats

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("rapids")]


def points(seed: int = 1, rows: int = 3_000) -> Floats:
    return make_blobs(rows, n_features=8, centers=20, random_state=seed)[0].astype(np.float32)


def clustered_as(vectors: Floats, min_samples: int = 5, min_cluster_size: int = 20, **others: object) -> Result:
    return adapter.hdbscan_vectors(vectors, min_samples, min_cluster_size, **others)  # type: ignore[arg-type]


def check_result(found: Result, rows: int) -> None:
    assert found.labels.dtype == np.int32
    assert found.labels.shape == found.probabilities.shape == (rows,)
    assert set(found.labels) - {-1} == set(range(len(found.persistence)))
    assert ((found.probabilities >= 0) & (found.probabilities <= 1)).all()
    assert np.isfinite(found.persistence).all()
    sizes = np.bincount(found.labels[found.labels >= 0], minlength=len(found.persistence))
    assert (np.diff(sizes) <= 0).all()


@pytest.mark.parametrize("selection", ["eom", "leaf"])
def test_hdbscan_finds_what_scikit_learn_finds(selection: str) -> None:
    vectors = points()
    found = clustered_as(vectors, selection=selection)
    check_result(found, len(vectors))
    # scikit-learn counts the point itself among min_samples
    theirs = HDBSCAN(min_cluster_size=20, min_samples=6, cluster_selection_method=selection, copy=True)
    assert adjusted_rand_score(theirs.fit_predict(vectors), found.labels) > 0.95


def test_duplicates_give_finite_results() -> None:
    vectors = np.concatenate([np.repeat(points(2, 40), 8, axis=0), points(3, 1_000)])
    check_result(clustered_as(vectors), len(vectors))


def test_all_points_equal_or_all_noise() -> None:
    equal = np.ones((200, 8), np.float32)
    check_result(clustered_as(equal), 200)
    uniform = np.random.default_rng(0).uniform(size=(200, 8)).astype(np.float32)
    found = clustered_as(uniform, min_cluster_size=150)
    check_result(found, 200)


@pytest.mark.parametrize("rows", [1, 2, 3, 10])
def test_few_rows(rows: int) -> None:
    found = clustered_as(points()[:rows], min_samples=15, min_cluster_size=20)
    check_result(found, rows)
    assert (found.labels == -1).all()


def test_float16_float32_and_device_arrays_give_the_same_labels() -> None:
    import cupy

    vectors = points().astype(np.float16)
    labels = [clustered_as(array).labels for array in (vectors, vectors.astype(np.float32), cupy.asarray(vectors))]
    np.testing.assert_array_equal(labels[0], labels[1])
    np.testing.assert_array_equal(labels[0], labels[2])


@pytest.mark.parametrize("dimensions", [2, 3, 5])
@pytest.mark.parametrize("own_start", [100, 10_000])
def test_umap_keeps_neighborhoods(dimensions: int, own_start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.manifold import trustworthiness

    monkeypatch.setattr(start, "OWN_START", own_start)
    vectors = points()
    layout = adapter.umap_from_graph(graph_of(vectors, 30), vectors, dimensions, 15, 0.1, 42)
    assert layout.dtype == np.float32
    assert layout.shape == (len(vectors), dimensions)
    assert np.isfinite(layout).all()
    assert trustworthiness(vectors, layout, n_neighbors=15) > 0.85


@pytest.mark.parametrize("own_start", [100, 10_000])
def test_umap_with_a_seed_is_reproducible(own_start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "OWN_START", own_start)
    vectors = points()
    graph = graph_of(vectors, 15)
    first, second = (adapter.umap_from_graph(graph, vectors, 2, 15, 0.1, 42) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_umap_of_duplicates_is_finite() -> None:
    vectors = np.repeat(points(2, 100), 20, axis=0)
    assert np.isfinite(adapter.umap_from_graph(graph_of(vectors, 15), vectors, 2, 15, 0.1, 42)).all()


def test_a_graph_with_missing_neighbors_is_refused() -> None:
    vectors = points()
    graph = graph_of(vectors, 15)
    graph.indices[7, 13:], graph.distances[7, 13:] = -1, np.inf
    with pytest.raises(ValueError, match="needs 14 neighbors of every row"):
        adapter.umap_from_graph(graph, vectors, 2, 15, 0.1, 42)


def test_more_neighbors_than_the_graph_has_are_refused() -> None:
    vectors = points()
    with pytest.raises(ValueError, match="needs 29 neighbors of every row"):
        adapter.umap_from_graph(graph_of(vectors, 15), vectors, 2, 30, 0.1, 42)
