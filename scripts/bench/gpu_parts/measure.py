"""Timing that waits for the device, the machine's peak rates, and results that are written at once."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
PACKAGES = (
    "numba-cuda", "torch", "cupy-cuda13x", "cuml-cu13", "cuvs-cu13", "numpy", "numba", "scikit-learn", "transformers",
    "sentence-transformers", "FlagEmbedding", "hdbscan", "umap-learn", "milvus-lite",
)  # fmt: skip


@dataclass
class Bench:
    """The settings of one part. `out`: folder for results; `scratch`: folder for data that parts on a machine share."""

    part: str
    device: str
    rows: int
    dim: int
    k: int
    shape: str
    out: Path
    scratch: Path
    seed: int = 0
    _peaks: dict[str, float] = field(default_factory=dict)

    @property
    def cuda(self) -> bool:
        return self.device == "cuda"

    def add(self, name: str, seconds: float | None = None, **facts: Any) -> None:
        """Append one line of JSON to `results.jsonl`, flush it to disk, and print it."""
        line = {"part": self.part, "name": name, "seconds": None if seconds is None else round(seconds, 4)} | facts
        self.out.mkdir(parents=True, exist_ok=True)
        with (self.out / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(in_words(line), flush=True)

    def attempt(self, name: str, work: Callable[[], T], **facts: Any) -> tuple[float, T] | None:
        """Time `work`. If it raises, the error is written as a result and None returned: the benchmark goes on."""
        try:
            seconds, result = self.timed(work)
        except Exception as error:
            traceback.print_exc(limit=-6)
            self.add(name, failed=f"{type(error).__name__}: {str(error).strip().splitlines()[:1]}", **facts)
            return None
        return seconds, result

    def timed(self, work: Callable[[], T]) -> tuple[float, T]:
        """Seconds until the device has finished `work`, and its result."""
        self.wait()
        start = time.perf_counter()
        result = work()
        self.wait()
        return time.perf_counter() - start, result

    def wait(self) -> None:
        if self.cuda:
            import torch

            torch.cuda.synchronize()
            # CuPy and cuML may use their own streams
            torch.cuda.current_stream().synchronize()

    def peak(self, what: str) -> float:
        """This machine's `bf16` FLOP/s in a large matrix product, or `copy` bytes/s read and written; measured once."""
        if not self._peaks:
            self._peaks = peak_rates(self.device)
        return self._peaks[what]


def in_words(line: dict[str, Any]) -> str:
    """A result in a form for people."""
    seconds = "" if line["seconds"] is None else f"{line['seconds']:9.3f} s"
    facts = " ".join(f"{key}={value}" for key, value in line.items() if key not in ("part", "name", "seconds"))
    return f"{line['part']:<8} {line['name']:<46} {seconds:>11}  {facts}"


def peak_rates(device: str) -> dict[str, float]:
    """Peak rates: the best of 10 runs each, on random data, because products of zeros run faster."""
    import torch

    side, length = (8192, 1 << 30) if device == "cuda" else (256, 1 << 20)
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    b = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    source = torch.randint(0, 255, (length,), device=device, dtype=torch.uint8)
    target = torch.empty_like(source)

    def best(work: Callable[[], Any]) -> float:
        work()
        seconds = []
        for _ in range(10):
            if device == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            work()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    return {"bf16": 2 * side**3 / best(lambda: a @ b), "copy": 2 * length / best(lambda: target.copy_(source))}


def check_cuda() -> None:
    """End the program with the reason if torch cannot use a CUDA device."""
    from job.backends.gpu import why_torch_cannot

    if why := why_torch_cannot():
        raise SystemExit(f"gpu.py: {why}; --device cpu --quick tries the benchmark itself")


def machine(device: str) -> dict[str, Any]:
    """The device, its driver, and the package versions that a result depends on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    about: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count(), "versions": versions}
    if device == "cuda":
        import torch

        command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        try:
            about["nvidia_smi"] = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
        except (OSError, subprocess.SubprocessError) as error:
            about["nvidia_smi"] = str(error)
        about["device"], about["cuda"] = torch.cuda.get_device_name(), torch.version.cuda
    return about


class DeviceMemory(threading.Thread):
    """The device's memory that is in use, whoever took it (torch, CuPy, cuML), looked at 50 times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.least_free = self._free()
        self.start()

    def _free(self) -> int:
        import torch

        return int(torch.cuda.mem_get_info()[0])

    def run(self) -> None:
        while True:
            self.least_free = min(self.least_free, self._free())
            time.sleep(0.02)

    def peak_mb(self) -> int:
        """MiB in use at most since the last call."""
        import torch

        peak = torch.cuda.mem_get_info()[1] - min(self.least_free, self._free())
        self.least_free = self._free()
        return int(peak) >> 20


@cache
def _device_memory() -> DeviceMemory:
    return DeviceMemory()


def device_peak_mb() -> int | None:
    """MiB of the device's memory in use at most since the last call; None without a device."""
    import torch

    if not torch.cuda.is_available():
        return None
    return _device_memory().peak_mb()


def has_rapids(bench: Bench) -> bool:
    """Whether cuML can be loaded on this machine; if not, a result says why. It is tried once, in a process of its own:
    here its import would change where CuPy takes memory from."""
    if not bench.cuda:
        bench.add("cuML", left_out="no CUDA device")
        return False
    if find_spec("cuml") is None:
        bench.add("cuML", left_out="it is not installed")
        return False
    said = bench.scratch / "cuml.txt"
    if not said.exists():
        command = [sys.executable, "-W", "ignore", "-c", "import cupy, cuml.cluster, cuml.manifold"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=100)
            why = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        except subprocess.TimeoutExpired:
            why = "importing it takes longer than 100 s"
        bench.scratch.mkdir(parents=True, exist_ok=True)
        said.write_text(why)
    if why := said.read_text():
        bench.add("cuML", left_out=f"it cannot be loaded: {why}")
    return not why
