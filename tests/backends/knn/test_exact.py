"""Exact neighbors by matrix products: NumPy on the CPU, and the code for CUDA on torch's CPU."""

from typing import Any

import numpy as np
import pytest
import torch

from job.backends.knn import exact
from job.backends.knn.distances import pair_distances, sort_rows
from job.backends.knn.exact import DeviceVectors, ExactSearch, largest, torch_nearest
from job.data import Floats, Ints


def unit(count: int, dim: int = 24) -> Floats:
    vectors = np.random.default_rng(count).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def sorted_distances(vectors: Floats, rows: Ints, found: Ints, k: int) -> Floats:
    return sort_rows(found, pair_distances(vectors, rows, found), k)[1]


@pytest.mark.parametrize(("count", "k"), [(2, 1), (5, 9), (300, 10), (3000, 50)])
def test_both_devices_find_the_nearest_and_never_the_row_itself(
    count: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact, "_BLOCK", 700)
    monkeypatch.setattr(exact, "_RERANK_BYTES", 300_000)
    vectors = unit(count)
    rows = np.arange(0, count, 2)
    all_distances = np.sqrt(((vectors[rows, None].astype(np.float64) - vectors[None]) ** 2).sum(axis=2))
    all_distances[np.arange(len(rows)), rows] = np.inf
    expected = np.sort(all_distances, axis=1)[:, :k].astype(np.float32)
    on_cpu = ExactSearch(vectors, "cpu").find(rows, k)
    on_torch = torch_nearest(vectors, rows, k, torch.device("cpu"))
    for found in (on_cpu, on_torch):
        assert (found != rows[:, None]).all()
        distances = sorted_distances(vectors, rows, found, k)
        assert distances.shape == (len(rows), k)
        np.testing.assert_allclose(distances[:, : expected.shape[1]], expected, rtol=1e-5)


@pytest.mark.parametrize(("columns", "wanted"), [(1, 5), (40, 40), (300, 9), (1_000, 3), (4_099, 50), (65_536, 164)])
@pytest.mark.parametrize("ties", [False, True])
def test_the_largest_scores_are_found_by_groups(columns: int, wanted: int, ties: bool) -> None:
    generator = torch.Generator().manual_seed(columns)
    scores = torch.randn(7, columns, generator=generator)
    scores = scores.round() if ties else scores
    # a row's largest side by side, and less than `wanted` that are finite
    scores[0] = torch.arange(columns)
    scores[1, wanted // 2 :] = -torch.inf
    values, places = largest(scores, wanted)
    assert torch.equal(values.sort(descending=True).values, scores.topk(min(wanted, columns)).values)
    assert torch.equal(scores.gather(1, places), values)
    assert all(len(set(row)) == len(row) for row in places.tolist())


def test_vectors_kept_on_the_device_give_the_same_neighbors(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are what is read: to gather the queries from host memory would keep the device waiting."""
    monkeypatch.setattr(exact, "_BLOCK", 128)
    monkeypatch.setattr(exact, "_QUERIES", 64)
    vectors, rows = unit(500), np.arange(500)
    sent = torch_nearest(vectors, rows, 10, torch.device("cpu"))
    full = torch.from_numpy(vectors)
    for block in (150, 500):
        resident = DeviceVectors(full, [part.to(torch.bfloat16) for part in full.split(block)])
        found = torch_nearest(np.full_like(vectors, np.nan), rows, 10, torch.device("cpu"), resident)
        np.testing.assert_array_equal(np.sort(found), np.sort(sent))
    assert torch_nearest(vectors, rows[:0], 10, torch.device("cpu"), resident).shape == (0, 10)


def test_the_current_cuda_device_is_searched_and_its_free_memory_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU: torch's answers and the search itself are replaced, only the choice of the device is ours."""
    used: list[Any] = []

    def memory(device: Any = None) -> tuple[int, int]:
        used.append(device)
        return 0, 0

    def search(vectors: Floats, rows: Ints, k: int, device: Any, *resident: Any) -> Ints:
        used.append(device)
        return np.zeros((len(rows), k), np.int32)

    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    monkeypatch.setattr(exact, "torch_nearest", search)
    finder = ExactSearch(unit(20), "cuda")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    finder.find(np.arange(20), 3)
    assert used == [torch.device("cuda", 1)] * 2
