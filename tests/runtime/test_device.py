"""One place decides the device, and says why."""

from pathlib import Path

import pytest

from job.runtime.device import (
    Choice,
    cpu_has_bf16,
    cuda_devices,
    installed,
    resolve_device,
    resolve_precision,
    resolve_rapids,
)
from job.runtime.errors import BadInput

without_gpu = pytest.mark.skipif(cuda_devices()[0] > 0, reason="this machine has a GPU")


def test_a_cpu_that_is_asked_for_is_given() -> None:
    assert resolve_device("cpu") == Choice("cpu", "device = cpu")


@without_gpu
def test_auto_without_a_gpu_is_the_cpu_and_says_what_is_missing() -> None:
    choice = resolve_device("auto")
    assert choice.value == "cpu"
    assert choice.reason == cuda_devices()[1] != ""


@without_gpu
def test_cuda_without_a_gpu_is_bad_input_that_says_what_is_missing_and_what_to_do() -> None:
    with pytest.raises(BadInput) as caught:
        resolve_device("cuda")
    assert str(caught.value).startswith(f"device = 'cuda': {cuda_devices()[1]}")
    assert "device=auto" in str(caught.value)


@pytest.mark.gpu
@pytest.mark.skipif(
    cuda_devices()[0] == 0 or (installed("torch") or "").endswith("+cpu"), reason="no GPU, or a torch without CUDA"
)
def test_auto_with_a_gpu_is_cuda() -> None:
    assert resolve_device("auto").value == resolve_device("cuda").value == "cuda"


def test_without_cuda_the_cpu_clusters_for_the_same_reason() -> None:
    assert resolve_rapids(Choice("cpu", "no driver")) == Choice("cpu", "no driver")


@pytest.mark.skipif(installed("cuml-cu13") is not None, reason="cuML is installed")
def test_cuda_without_cuml_clusters_on_the_cpu_and_says_so() -> None:
    choice = resolve_rapids(Choice("cuda", "1 CUDA device"))
    assert choice.value == "cpu"
    assert "cuML is not installed" in choice.reason


@pytest.mark.parametrize("asked", ["fp16", "bf16", "fp32"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_precision_that_is_asked_for_is_given(asked: str, device: str) -> None:
    assert resolve_precision(asked, Choice(device, "")) == Choice(asked, f"embed.precision = {asked}")


def test_half_precision_is_for_tensor_cores() -> None:
    assert resolve_precision("auto", Choice("cuda", "")).value == "fp16"


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="not Linux")
def test_bfloat16_is_for_a_cpu_that_has_it() -> None:
    choice = resolve_precision("auto", Choice("cpu", ""))
    words = set(Path("/proc/cpuinfo").read_text().split())
    assert choice.value == ("bf16" if {"avx512_bf16", "amx_bf16"} & words else "fp32")
    assert cpu_has_bf16() == (choice.value == "bf16")


def test_an_installed_package_has_a_version_and_another_none() -> None:
    assert installed("numpy")
    assert installed("no-such-package-at-all") is None
