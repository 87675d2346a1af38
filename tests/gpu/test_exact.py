"""Exact neighbors on a CUDA device, compared with float64 distances."""

import numpy as np
import pytest

from job.backends.knn.distances import pair_distances, sort_rows
from job.data import Floats, Ints

pytestmark = pytest.mark.gpu


def found_by(vectors: Floats, rows: np.ndarray, k: int) -> Ints:
    from job.backends.knn.exact import ExactSearch

    return ExactSearch(vectors, "cuda").find(rows, k)


def exact_distances(vectors: Floats, rows: np.ndarray, k: int) -> np.ndarray:
    """The k smallest distances of each row to others, float64 [m, k] ascending, inf where there are fewer."""
    wide = vectors.astype(np.float64)
    distances = np.stack([np.sqrt(((wide - wide[row]) ** 2).sum(axis=1)) for row in rows])
    distances[np.arange(len(rows)), rows] = np.inf
    nearest = np.full((len(rows), k), np.inf)
    found = np.sort(distances, axis=1)[:, :k]
    nearest[:, : found.shape[1]] = found
    return nearest


def check(vectors: Floats, rows: np.ndarray, k: int) -> None:
    found = found_by(vectors, rows, k)
    assert found.dtype == np.int32
    assert found.shape[0] == len(rows)
    assert (found != rows[:, None]).all(), "a row is its own neighbor"
    for row in found:
        neighbors = row[row >= 0]
        assert len(set(neighbors.tolist())) == len(neighbors), "a neighbor occurs twice"
    distances = sort_rows(found, pair_distances(vectors, rows, found), k)[1]
    np.testing.assert_allclose(distances, exact_distances(vectors, rows, k), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("count", "dim", "k"), [(2, 8, 1), (5, 8, 9), (70, 8, 69), (3_000, 384, 50)])
def test_the_nearest_are_found(count: int, dim: int, k: int) -> None:
    from gpu_parts.texts import clustered

    check(clustered(count, dim, "cuda"), np.arange(0, count, 1 + count // 300), k)


def test_the_nearest_are_found_across_blocks() -> None:
    """More rows than one block of vectors and than one batch of queries; 40 of them are compared."""
    from gpu_parts.texts import clustered

    from job.backends.knn import exact

    vectors = clustered(300_000, 32, "cuda")
    assert len(vectors) > exact._RESIDENT_BLOCK
    near = found_by(vectors, np.arange(3 * exact._QUERIES), 50)
    rows = np.sort(np.random.default_rng(0).choice(len(near), 40, replace=False))
    check(vectors, rows, 50)
    alone = found_by(vectors, rows, 50)
    # the 50th and the 51st may be equally near
    assert min(len(set(a) & set(b)) for a, b in zip(near[rows], alone, strict=True)) >= 49


def test_equal_vectors_are_neighbors_at_distance_0() -> None:
    from gpu_parts.texts import clustered

    vectors = np.repeat(clustered(40, 64, "cuda"), 30, axis=0)
    rows = np.arange(len(vectors))
    found = found_by(vectors, rows, 20)
    assert (found // 30 == rows[:, None] // 30).all()
    assert (pair_distances(vectors, rows, found) == 0).all()


def test_vectors_that_do_not_fit_into_free_memory_are_sent_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from gpu_parts.texts import clustered

    vectors = clustered(20_000, 64, "cuda")
    rows = np.arange(500)
    resident = found_by(vectors, rows, 20)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (1 << 20, 1 << 40))
    np.testing.assert_array_equal(np.sort(found_by(vectors, rows, 20)), np.sort(resident))
