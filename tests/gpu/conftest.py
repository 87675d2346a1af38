"""Tests of the CUDA code on a CUDA device. Without one they are skipped and say why; scripts/bench/gpu.sh runs them."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT

from job.runtime.device import cuda_devices, installed

# the benchmarks' synthetic texts, vectors and checkpoints, and the graphs of the clustering's tests
sys.path[:0] = [str(ROOT / "scripts" / "bench"), str(ROOT / "tests" / "backends" / "graph_hdbscan")]


def _missing() -> str | None:
    """Why these tests cannot run here."""
    count, why = cuda_devices()
    if not count:
        return why
    if (installed("torch") or "").endswith("+cpu"):
        return "torch is a CPU build"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = _missing()
    for item in items:
        if missing and item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(autouse=True)
def _device_memory(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Iterator[None]:
    """The most that torch held on the device goes to the test's record (`--junitxml`)."""
    if _missing() or not request.node.get_closest_marker("gpu"):
        yield
        return
    import torch

    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    yield
    record_property("device_peak_mb", torch.cuda.max_memory_allocated() >> 20)


@pytest.fixture(scope="session")
def rapids() -> None:
    """Skips where cuML is not installed: it is no dependency, and comes by `scripts/setup.sh --gpu`."""
    pytest.importorskip("cuml", reason="cuML is not installed", exc_type=ImportError)


@pytest.fixture(scope="session")
def bge_m3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of BGE-M3's full size, random weights: that of the benchmarks where gpu.sh runs the tests."""
    from gpu_parts.model import checkpoint

    scratch = os.environ.get("SCRATCH")
    folder = Path(scratch) / "model-bge-m3" if scratch else tmp_path_factory.mktemp("bge-m3")
    return checkpoint(folder, "bge-m3")
