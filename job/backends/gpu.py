"""CUDA devices as torch sees them. torch is imported only when a function is called: that takes seconds."""

import sys

from job.backends.torch_import import import_torch


def select_gpu(local: int) -> None:
    """Make the `local`-th CUDA device the calling thread's current one; without a CUDA device do nothing.

    `local` counts the job's processes on this machine. If there are more of them than devices, they share devices.
    """
    torch = import_torch()
    if torch.cuda.is_available():
        torch.cuda.set_device(local % torch.cuda.device_count())


def give_back() -> None:
    """Return GPU memory that torch and CuPy keep for later: neither uses what the other keeps."""
    torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if cupy is not None:
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()


def why_torch_cannot() -> str | None:
    """The reason why torch cannot use this machine's CUDA devices; None if it can."""
    torch = import_torch()
    if torch.cuda.is_available():
        return None
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        lines = str(error).strip().splitlines()
        return f"torch cannot use the device: {lines[0] if lines else type(error).__name__}"
    return "torch finds no usable CUDA device"
