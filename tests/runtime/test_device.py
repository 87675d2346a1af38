"""One place decides the device, and gives the reason."""

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


def test_the_cpu_is_used_if_asked_for() -> None:
    assert resolve_device("cpu") == Choice("cpu", "device = cpu")


@without_gpu
def test_auto_without_a_gpu_is_the_cpu_and_names_what_is_missing() -> None:
    choice = resolve_device("auto")
    assert choice.value == "cpu"
    assert choice.reason == cuda_devices()[1] != ""


@without_gpu
def test_cuda_without_a_gpu_is_bad_input_that_names_what_is_missing_and_what_to_do() -> None:
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


def reports_one_device(monkeypatch: pytest.MonkeyPatch, torch: str) -> None:
    """Stands in for a machine whose driver reports a device, with this version of torch: CI has neither."""
    monkeypatch.setattr("job.runtime.device.cuda_devices", lambda: (1, ""))
    monkeypatch.setattr("job.runtime.device.installed", lambda package: torch)


def test_a_device_that_torch_cannot_use_is_a_fallback_for_auto_and_an_error_for_cuda(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports_one_device(monkeypatch, "2.9.0+cu130")
    reason = "torch cannot use the device: the NVIDIA driver is too old"
    assert resolve_device("auto", lambda: reason) == Choice("cpu", reason)
    with pytest.raises(BadInput, match=f"^device = 'cuda': {reason}; .*device=auto"):
        resolve_device("cuda", lambda: reason)
    assert resolve_device("auto", lambda: None) == resolve_device("cuda") == Choice("cuda", "1 CUDA device")


def test_torch_is_not_asked_without_a_device_or_with_a_cpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    def why_unusable() -> str:
        raise AssertionError("must not be called")

    reports_one_device(monkeypatch, "2.9.0+cpu")
    assert resolve_device("auto", why_unusable) == Choice("cpu", "torch 2.9.0+cpu is a CPU build")
    reports_one_device(monkeypatch, "2.9.0+cu130")
    assert resolve_device("cpu", why_unusable).value == "cpu"
    monkeypatch.setattr("job.runtime.device.cuda_devices", lambda: (0, "no driver"))
    assert resolve_device("auto", why_unusable) == Choice("cpu", "no driver")


def test_without_cuda_the_cpu_clusters_for_the_same_reason() -> None:
    assert resolve_rapids(Choice("cpu", "no driver")) == Choice("cpu", "no driver")


@pytest.mark.skipif(installed("cuml-cu13") is not None, reason="cuML is installed")
def test_cuda_without_cuml_clusters_on_the_cpu_and_gives_the_reason() -> None:
    choice = resolve_rapids(Choice("cuda", "1 CUDA device"))
    assert choice.value == "cpu"
    assert "cuML is not installed" in choice.reason


@pytest.mark.parametrize("asked", ["fp16", "bf16", "fp32"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_precision_is_used_if_asked_for(asked: str, device: str) -> None:
    assert resolve_precision(asked, Choice(device, "")) == Choice(asked, f"embed.precision = {asked}")


def test_half_precision_is_for_tensor_cores() -> None:
    assert resolve_precision("auto", Choice("cuda", "")).value == "fp16"


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="not Linux")
def test_bfloat16_is_for_a_cpu_that_has_it() -> None:
    choice = resolve_precision("auto", Choice("cpu", ""))
    words = set(Path("/proc/cpuinfo").read_text().split())
    assert choice.value == ("bf16" if {"avx512_bf16", "amx_bf16"} & words else "fp32")
    assert cpu_has_bf16() == (choice.value == "bf16")


def test_only_an_installed_package_has_a_version() -> None:
    assert installed("numpy")
    assert installed("no-such-package-at-all") is None
