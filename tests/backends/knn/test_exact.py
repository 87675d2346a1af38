"""Exact neighbors by matrix products: the NumPy way, and the CUDA way's logic on torch's CPU."""

import numpy as np
import pytest
import torch

from job.backends.knn.distances import pair_distances, sort_rows
from job.backends.knn.exact import ExactKnn, Kept, torch_nearest
from job.data import Floats, Ints


def unit(count: int, dim: int = 24) -> Floats:
    found = np.random.default_rng(count).normal(size=(count, dim))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def sorted_distances(vectors: Floats, rows: Ints, found: Ints, k: int) -> Floats:
    return sort_rows(found, pair_distances(vectors, rows, found), k)[1]


@pytest.mark.parametrize(("count", "k"), [(2, 1), (5, 9), (300, 10), (3000, 50)])
def test_both_ways_find_the_nearest_and_never_the_row_itself(
    count: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("job.backends.knn._BLOCK", 700)
    monkeypatch.setattr("job.backends.knn._RERANK", 33)
    vectors = unit(count)
    rows = np.arange(0, count, 2)
    all_distances = np.sqrt(((vectors[rows, None].astype(np.float64) - vectors[None]) ** 2).sum(axis=2))
    all_distances[np.arange(len(rows)), rows] = np.inf
    wanted = np.sort(all_distances, axis=1)[:, :k].astype(np.float32)
    on_cpu = ExactKnn(vectors, "cpu").find(rows, k)
    on_torch = torch_nearest(vectors, rows, k, torch.device("cpu"))
    for found in (on_cpu, on_torch):
        assert (found != rows[:, None]).all()
        mine = sorted_distances(vectors, rows, found, k)
        assert mine.shape == (len(rows), k)
        np.testing.assert_allclose(mine[:, : wanted.shape[1]], wanted, rtol=1e-5)


def test_what_is_kept_on_the_device_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("job.backends.knn._BLOCK", 128)
    vectors, rows = unit(500), np.arange(500)
    halves = [torch.from_numpy(vectors[start : start + 128]).to(torch.bfloat16) for start in range(0, 500, 128)]
    sent = torch_nearest(vectors, rows, 10, torch.device("cpu"))
    kept = Kept(torch.from_numpy(vectors), halves)
    np.testing.assert_array_equal(torch_nearest(vectors, rows, 10, torch.device("cpu"), lambda device: kept), sent)
