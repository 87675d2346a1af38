"""Exact search on a GPU by the neighbors stage, computed by torch on the CPU: only the choice of device is replaced."""

import numpy as np
import pytest
import torch

from job.backends.knn import exact
from job.backends.knn.exact import ExactSearch
from job.data import Ints
from job.stages.neighbors import _ExactCandidates


def test_requests_that_are_searched_ahead_are_answered_in_order_from_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(700, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    copied: list[int] = []
    to_device = exact._to_float32

    def copy(some: np.ndarray, device: torch.device) -> torch.Tensor:
        copied.append(len(some))
        return torch.as_tensor(to_device(some, device))

    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (1 << 30, 1 << 30))
    monkeypatch.setattr(exact, "_to_float32", copy)
    search = ExactSearch(vectors, "cuda")
    search._cuda = torch.device("cpu")
    requests = [np.arange(start, min(start + 64, 700)) for start in range(0, 700, 64)]
    found: list[Ints] = list(_ExactCandidates(search, 9).find_all(requests))
    expected = ExactSearch(vectors, "cpu").find(np.arange(700), 9)
    np.testing.assert_array_equal(np.sort(np.concatenate(found), axis=1), np.sort(expected, axis=1))
    assert copied.count(700) == 1
