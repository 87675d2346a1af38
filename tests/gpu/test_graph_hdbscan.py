"""Graph clustering with CuPy on a CUDA device gives the CPU's labels, on the CPU tests' graphs and larger ones."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from job.backends.graph_hdbscan import boruvka, cluster_graph, core_distances, cut, linkage_of
from job.data import Floats, Ints

pytestmark = pytest.mark.gpu

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")

PARAMETERS = pytest.mark.parametrize(("min_samples", "min_cluster_size"), [(1, 2), (3, 3), (5, 4), (60, 5)])


def graphs() -> dict[str, tuple[Ints, Floats]]:
    """Blobs, ties, duplicates, several components, isolates, padding with -1, fewer points than k, all identical."""
    from graphs import GRAPHS

    return {name: make() for name, make in GRAPHS.items()}


@cache
def nearest(rows: int, dim: int, k: int) -> tuple[Ints, Floats]:
    """The exact graph of clustered vectors."""
    from gpu_parts.texts import clustered

    from job.backends.knn.brute_force import nearest
    from job.backends.knn.distances import pair_distances, sort_rows

    vectors, every = clustered(rows, dim, "cuda"), np.arange(rows)
    near = np.concatenate([nearest(vectors, every[i : i + 2048], k) for i in range(0, rows, 2048)])
    return sort_rows(near, pair_distances(vectors, every, near), k)


def rounded(rows: int, dim: int, k: int, places: int | None) -> tuple[Ints, Floats]:
    """The graph of `nearest`, its distances rounded to `places` decimals, so that nearly all weights are ties."""
    near, far = nearest(rows, dim, k)
    return near, far if places is None else np.round(far, places)


def check(graph: tuple[Ints, Floats], min_samples: int, **options: Any) -> None:
    on_cpu = linkage_of(*graph, min_samples=min_samples, device="cpu")
    on_gpu = linkage_of(*graph, min_samples=min_samples, device="cuda")
    np.testing.assert_array_equal(on_gpu.merges[:, 2], on_cpu.merges[:, 2])
    actual, expected = cut(on_gpu, **options), cut(on_cpu, **options)
    np.testing.assert_array_equal(actual.labels, expected.labels)
    np.testing.assert_array_equal(actual.probabilities, expected.probabilities)
    np.testing.assert_array_equal(actual.persistence, expected.persistence)


@PARAMETERS
def test_small_graphs_get_the_cpus_labels(min_samples: int, min_cluster_size: int) -> None:
    found = graphs()
    assert len(found) >= 32
    for graph in found.values():
        check(graph, min_samples, min_cluster_size=min_cluster_size)


@pytest.mark.parametrize("places", [None, 2, 1])
@pytest.mark.parametrize("selection", ["eom", "leaf"])
def test_larger_graphs_with_and_without_ties_get_the_cpus_labels(places: int | None, selection: str) -> None:
    graph = rounded(20_000, 48, 20, places)
    check(graph, 5, min_cluster_size=10, selection=selection)
    check(graph, 5, min_cluster_size=10, selection=selection, epsilon=0.5, allow_single_cluster=True)


def test_core_distances_equal_the_cpus() -> None:
    for indices, distances in graphs().values():
        for m in (1, 3, 7):
            m = min(m, len(indices) - 1)
            on_gpu = boruvka.core_distances(cupy, cupy.asarray(indices), cupy.asarray(distances), m).get()
            np.testing.assert_array_equal(on_gpu, core_distances.from_both_sides(indices, distances, m))


def test_rows_without_neighbors_are_noise() -> None:
    indices, distances = rounded(500, 16, 10, None)
    indices, distances = indices.copy(), distances.copy()
    indices[::5], distances[::5] = -1, np.inf
    indices[:, 6:], distances[:, 6:] = -1, np.inf
    check((indices, distances), 3, min_cluster_size=5)
    none = np.full((30, 4), -1, np.int32), np.full((30, 4), np.inf, np.float32)
    assert (cluster_graph(*none, device="cuda").labels == -1).all()


def test_two_runs_give_the_same_tree() -> None:
    graph = rounded(20_000, 48, 20, 2)
    first, second = (linkage_of(*graph, device="cuda").merges for _ in range(2))
    np.testing.assert_array_equal(first, second)
