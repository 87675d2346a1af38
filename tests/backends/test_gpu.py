"""Which CUDA device a process uses, with stand-ins for `torch.cuda`: CI has no CUDA device."""

from typing import Any

import pytest

from job.backends.gpu import select_gpu, why_torch_cannot
from job.backends.torch_import import import_torch


@pytest.fixture
def torch_cuda(monkeypatch: pytest.MonkeyPatch) -> Any:
    """torch's CUDA as on a machine with two devices; `current` is the list of the devices that were selected."""
    cuda = import_torch().cuda
    current: list[int] = []
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "device_count", lambda: 2)
    monkeypatch.setattr(cuda, "set_device", current.append)
    monkeypatch.setattr(cuda, "current", current, raising=False)
    return cuda


def test_each_process_of_a_machine_selects_another_device_as_far_as_there_are(torch_cuda: Any) -> None:
    for local in range(4):
        select_gpu(local)
    assert torch_cuda.current == [0, 1, 0, 1]


def test_without_a_device_nothing_is_selected(torch_cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_cuda, "is_available", lambda: False)
    select_gpu(1)
    assert torch_cuda.current == []


def test_the_reason_why_torch_cannot_use_a_device(torch_cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_torch_cannot() is None

    def init() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).\nPlease update")

    monkeypatch.setattr(torch_cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch_cuda, "init", init)
    reason = "torch cannot use the device: The NVIDIA driver on your system is too old (found version 11040)."
    assert why_torch_cannot() == reason
    monkeypatch.setattr(torch_cuda, "init", lambda: None)
    assert why_torch_cannot() == "torch finds no usable CUDA device"
