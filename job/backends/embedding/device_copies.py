"""Copies between host memory and the device on which an encoder runs."""

from typing import Any

from job.backends.torch_import import import_torch


class DeviceCopies:
    """Copies arrays to a torch device and tensors back.

    On a CUDA device each direction has its own stream and the host's side is pinned memory, so the copies overlap with
    the forward passes. On the CPU nothing is copied.
    """

    def __init__(self, device: Any) -> None:
        self._torch = import_torch()
        self._device, self._cuda = device, device.type == "cuda"
        if self._cuda:
            self._upload, self._download = self._torch.cuda.Stream(), self._torch.cuda.Stream()

    def to_device(self, array: Any) -> Any:
        """A NumPy array as a tensor on the device; the compute stream waits for the copy."""
        torch = self._torch
        host = torch.from_numpy(array)
        if not self._cuda:
            return host
        with torch.cuda.stream(self._upload):
            tensor = host.pin_memory().to(self._device, non_blocking=True)
        compute = torch.cuda.current_stream()
        compute.wait_stream(self._upload)
        tensor.record_stream(compute)
        return tensor

    def to_host(self, tensor: Any) -> tuple[Any, Any]:
        """A tensor in host memory and the event after which it is filled; the event is None if it is filled already."""
        torch = self._torch
        if not self._cuda:
            return tensor, None
        self._download.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._download):
            host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            host.copy_(tensor, non_blocking=True)
            tensor.record_stream(self._download)
            event = torch.cuda.Event()
            event.record(self._download)
        return host, event
