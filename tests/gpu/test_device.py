"""The choice of a device on a machine with a GPU, and the job's command line there."""

import json
from pathlib import Path

import pytest
from conftest import SAMPLE, Run

from job.runtime.device import cuda_devices, resolve_device, resolve_graph_code, resolve_precision

pytestmark = pytest.mark.gpu


def test_the_device_is_found_and_the_reason_gives_the_number_of_devices() -> None:
    import torch

    count, _ = cuda_devices()
    assert count == torch.cuda.device_count() >= 1
    for asked in ("auto", "cuda"):
        choice = resolve_device(asked)
        assert choice.value == "cuda"
        assert str(count) in choice.reason
    assert resolve_device("cpu").value == "cpu"
    assert resolve_precision("auto", resolve_device("auto")).value == "fp16"


def test_the_graph_is_clustered_on_the_device_if_cupy_is_installed() -> None:
    from importlib.util import find_spec

    assert resolve_graph_code(resolve_device("auto")).value == ("cuda" if find_spec("cupy") else "cpu")


@pytest.mark.parametrize("backend", ["exact", "milvus"])
def test_the_job_runs_on_the_device(job: Run, tiny_m3: Path, tmp_path: Path, backend: str) -> None:
    run = tmp_path / "run"
    words = (f"run_dir={run}", f"input.path={SAMPLE}", f"embed.model={tiny_m3}", f"neighbors.backend={backend}")
    done = job("run", "configs/demo.yaml", *words, "device=cuda")
    assert done.returncode == 0, done.stderr
    record = json.loads((run / "run.json").read_text())
    assert record["stages"]["embed"]["device"] == "cuda"
    assert record["stages"]["embed"]["precision"] == "fp16"
    assert record["choices"]["graph_clustering"]["value"] == "cuda"
    assert record["headlines"] > 400
    assert (run / "map.html").stat().st_size > 0
