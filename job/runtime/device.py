"""One place decides the device, and every choice comes with its reason. Imports nothing heavy."""

import ctypes
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from job.runtime.errors import BadInput

Precision = Literal["fp16", "bf16", "fp32"]


@dataclass(frozen=True)
class Choice:
    """What was picked and why."""

    value: str
    reason: str


@cache
def cuda_devices() -> tuple[int, str]:
    """The number of CUDA devices by the driver's own count, and what is missing where it is 0."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0, "no NVIDIA driver (libcuda.so.1) on this machine"
    if driver.cuInit(0) != 0:
        return 0, "the NVIDIA driver finds no usable device"
    count = ctypes.c_int(0)
    if driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return 0, "the NVIDIA driver counts no device"
    return count.value, ""


def installed(package: str) -> str | None:
    """The version of a distribution, without importing it; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def resolve_device(asked: str) -> Choice:
    """Where torch runs: `cuda` or `cpu`.

    Raises:
        BadInput: `device: cuda` was asked for where it cannot be had; the message says what is missing.
    """
    if asked == "cpu":
        return Choice("cpu", "device = cpu")
    count, missing = cuda_devices()
    torch = installed("torch") or ""
    if count and torch.endswith("+cpu"):
        count, missing = 0, f"torch {torch} is a CPU build"
    if count:
        return Choice("cuda", f"{count} CUDA device{'s' if count > 1 else ''}")
    if asked == "cuda":
        raise BadInput(f"device = 'cuda': {missing}; fix that (environment.yml), or set device=auto or device=cpu")
    return Choice("cpu", missing)


def resolve_rapids(device: Choice) -> Choice:
    """Who clusters vectors and lays out: `rapids` (cuML) or `cpu` (hdbscan, umap-learn)."""
    if device.value != "cuda":
        return Choice("cpu", device.reason)
    # `import cuml` succeeds without a GPU, so its presence alone decides nothing
    if importlib.util.find_spec("cuml") is None or importlib.util.find_spec("cupy") is None:
        return Choice("cpu", "cuML is not installed (environment.yml)")
    return Choice("rapids", f"{device.reason}, cuML found")


def resolve_graph_code(device: Choice) -> Choice:
    """Where the neighbor graph is clustered: `cuda` (CuPy) or `cpu` (numba); the labels are the same."""
    if device.value != "cuda":
        return Choice("cpu", device.reason)
    if importlib.util.find_spec("cupy") is None:
        return Choice("cpu", "CuPy is not installed (environment.yml)")
    return Choice("cuda", f"{device.reason}, CuPy found")


def resolve_precision(asked: str, device: Choice) -> Choice:
    """The encoder's arithmetic: fp16 on CUDA, bf16 on a CPU that has it in hardware, else fp32."""
    if asked != "auto":
        return Choice(asked, f"embed.precision = {asked}")
    if device.value == "cuda":
        return Choice("fp16", "tensor cores")
    if cpu_has_bf16():
        return Choice("bf16", "this CPU computes bfloat16 in hardware")
    return Choice("fp32", "this CPU has no bfloat16 in hardware")


@cache
def cpu_has_bf16() -> bool:
    """Whether the CPU has AVX512-BF16 or AMX-BF16; False where the kernel does not say."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
