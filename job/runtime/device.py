"""The one place that decides the device; every choice comes with its reason. Imports nothing heavy."""

import ctypes
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from job.runtime.errors import BadInput


@dataclass(frozen=True)
class Choice:
    """What was chosen and why."""

    value: str
    reason: str


@cache
def cuda_devices() -> tuple[int, str]:
    """The number of CUDA devices that the driver reports and, if it is 0, what is missing."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0, "no NVIDIA driver (libcuda.so.1) on this machine"
    if driver.cuInit(0) != 0:
        return 0, "the NVIDIA driver finds no usable device"
    count = ctypes.c_int(0)
    if driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return 0, "the NVIDIA driver reports no device"
    return count.value, ""


def installed(package: str) -> str | None:
    """The version of a package, without importing it; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def resolve_device(asked: str, why_unusable: Callable[[], str | None] = lambda: None) -> Choice:
    """Where torch runs: `cuda` or `cpu`.

    `why_unusable` returns the reason why torch cannot use the devices, or None if it can. It may import torch, so it
    is called only if the driver reports a device and torch is not a CPU build.

    Raises:
        BadInput: `device: cuda` was asked for and cannot be used; the message says what is missing.
    """
    if asked == "cpu":
        return Choice("cpu", "device = cpu")
    count, missing = cuda_devices()
    torch = installed("torch") or ""
    if count and torch.endswith("+cpu"):
        missing = f"torch {torch} is a CPU build"
    elif count:
        missing = why_unusable() or ""
    if not missing:
        return Choice("cuda", f"{count} CUDA device{'s' if count > 1 else ''}")
    if asked == "cuda":
        raise BadInput(
            f"device = 'cuda': {missing}; fix that (`python -m job doctor` says how), or set device=auto or device=cpu"
        )
    return Choice("cpu", missing)


def resolve_rapids(device: Choice) -> Choice:
    """What clusters vectors and computes the layout: `rapids` (cuML) or `cpu` (hdbscan, umap-learn)."""
    if device.value != "cuda":
        return Choice("cpu", device.reason)
    # `import cuml` succeeds without a GPU too, so the device is checked first
    if importlib.util.find_spec("cuml") is None or importlib.util.find_spec("cupy") is None:
        return Choice("cpu", "cuML is not installed (bash scripts/setup.sh --gpu)")
    return Choice("rapids", f"{device.reason}, cuML found")


def resolve_graph_code(device: Choice) -> Choice:
    """Where the neighbor graph is clustered: `cuda` (CuPy) or `cpu` (numba); the labels are the same."""
    if device.value != "cuda":
        return Choice("cpu", device.reason)
    if importlib.util.find_spec("cupy") is None:
        return Choice("cpu", "CuPy is not installed (bash scripts/setup.sh --gpu)")
    return Choice("cuda", f"{device.reason}, CuPy found")


def resolve_precision(asked: str, device: Choice) -> Choice:
    """The encoder's precision: fp16 on CUDA, bf16 on a CPU that has it in hardware, else fp32."""
    if asked != "auto":
        return Choice(asked, f"embed.precision = {asked}")
    if device.value == "cuda":
        return Choice("fp16", "tensor cores")
    if cpu_has_bf16():
        return Choice("bf16", "this CPU computes bfloat16 in hardware")
    return Choice("fp32", "this CPU has no bfloat16 in hardware")


def cpu_has_bf16() -> bool:
    """Whether the CPU has AVX512-BF16 or AMX-BF16; False if `/proc/cpuinfo` cannot be read."""
    return "avx512_bf16" in _cpu_flags() or cpu_has_amx()


def cpu_has_amx() -> bool:
    """Whether the CPU has AMX-BF16, whose products of matrices are several times as fast as those of float32."""
    return "amx_bf16" in _cpu_flags()


@cache
def _cpu_flags() -> frozenset[str]:
    try:
        return frozenset(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return frozenset()
