"""The map's layout by umap-learn, and where it starts; HDBSCAN's tree of vectors."""

import numpy as np
import pytest
from exact_graphs import graph_of
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from job.backends.reduce import cpu, start
from job.data import Floats


def points(count: int) -> Floats:
    """Unit vectors in ten groups."""
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(10, 24)), count // 10, axis=0) + 0.6 * rng.normal(size=(count, 24))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_few_rows_start_as_the_library_does() -> None:
    assert start.start_of(points(500), 2, 42) == "spectral"


@pytest.mark.parametrize("dimensions", [2, 3])
def test_many_rows_start_from_principal_components(dimensions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "OWN_START", 400)
    monkeypatch.setattr(start, "_SAMPLE", 450)
    vectors = points(500)
    # a headline that is there twice
    vectors[1] = vectors[0]
    found = start.start_of(vectors, dimensions, 42)
    assert isinstance(found, np.ndarray) and found.dtype == np.float32
    assert found.shape == (500, dimensions)
    assert 9.9 < np.abs(found).max() < 10.1
    assert 0 < np.linalg.norm(found[0] - found[1]) < 1e-2
    expected = PCA(dimensions).fit_transform(vectors)
    # nearly the same plane, whatever its axes
    residual = found - expected @ np.linalg.lstsq(expected, found, rcond=None)[0]
    assert np.linalg.norm(residual) < 0.1 * np.linalg.norm(found)
    np.testing.assert_array_equal(found, start.start_of(vectors, dimensions, 42))


def test_a_map_of_more_dimensions_than_the_vectors_have_starts_as_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "OWN_START", 400)
    assert start.start_of(points(500)[:, :2], 3, 42) == "spectral"


@pytest.mark.parametrize("own_start", [400, 10_000])
def test_a_layout_keeps_neighborhoods_and_is_reproducible(own_start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "OWN_START", own_start)
    vectors = points(500)
    graph = graph_of(vectors, 14)
    first, second = (cpu.umap_from_graph(graph, vectors, 2, 15, 0.1, 42) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert trustworthiness(vectors, first, n_neighbors=15) > 0.85


def test_the_tree_of_vectors_is_a_minimum_spanning_tree() -> None:
    rng = np.random.default_rng(0)
    # clusters that overlap
    vectors = (rng.normal(size=(2_000, 5)) + 2 * rng.normal(size=(20, 5))[rng.integers(0, 20, 2_000)]).astype(
        np.float32
    )
    between = cdist(vectors.astype(np.float64), vectors.astype(np.float64))
    cores = np.partition(between, 5)[:, 5]
    reachability = np.maximum(np.maximum(cores[:, None], cores), between)
    expected = np.sort(minimum_spanning_tree(reachability).data)
    np.testing.assert_allclose(cpu.linkage_of_vectors(vectors, 5).merges[:, 2], expected, atol=1e-9)
