"""Whether driver, torch, CuPy and cuML fit each other, from their versions alone; and how the versions are found."""

from dataclasses import replace

import pytest

from job.runtime.device import cuda_devices, installed
from job.runtime.gpu_packages import GpuPackages, installed_packages, unmet, verdict

CUPY, CUML = (("cupy-cuda13x", "14.2.0"),), (("cuml-cu13", "26.10.0"),)
COMPLETE = GpuPackages((13, 0), "", "2.13.0", (13, 0), CUPY, CUML)
NO_DRIVER = "no NVIDIA driver (libcuda.so.1) on this machine"
PLAIN = GpuPackages(None, NO_DRIVER, "2.13.0+cpu", None)
INSTALL = "bash scripts/setup.sh --gpu"


def test_what_fits_needs_nothing() -> None:
    expected = "driver for CUDA 13.0, torch 2.13.0 for CUDA 13.0, cupy-cuda13x 14.2.0, cuml-cu13 26.10.0: "
    assert verdict(COMPLETE) == expected + "they fit each other; nothing to do"


def test_a_newer_driver_or_another_minor_version_fits() -> None:
    for driver, torch in (((13, 2), (13, 0)), ((13, 0), (13, 2)), ((14, 0), (13, 0))):
        assert verdict(replace(COMPLETE, driver_cuda=driver, torch_cuda=torch)).endswith("nothing to do")


def test_condas_packages_do_not_name_their_cuda() -> None:
    conda = replace(COMPLETE, cupy=(("cupy", "14.2.0"),), cuml=(("cuml", "26.10.0"),))
    assert verdict(conda).endswith("they fit each other; nothing to do")


def test_a_plain_machine_needs_nothing() -> None:
    assert verdict(PLAIN) == (
        "no NVIDIA driver, torch 2.13.0+cpu for the CPU, no CuPy, no cuML: the CPU is used; nothing to do on a machine "
        "without an NVIDIA GPU"
    )


def test_a_complete_installation_without_a_device_runs_on_the_cpu() -> None:
    without = replace(COMPLETE, driver_cuda=None, missing=NO_DRIVER)
    assert verdict(without).endswith(f"they fit each other, but {NO_DRIVER}: the CPU is used")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"driver_cuda": (12, 8)}, "the driver is too old for CUDA 13: install NVIDIA driver 580 or later"),
        ({"torch": "2.13.0+cpu", "torch_cuda": None}, f"torch cannot use the GPU: {INSTALL}"),
        ({"torch_cuda": (12, 8)}, f"they do not fit: all must be built for the same CUDA; {INSTALL}"),
        ({"cupy": (("cupy-cuda12x", "14.2.0"),)}, f"they do not fit: all must be built for the same CUDA; {INSTALL}"),
        ({"cuml": ()}, f"but the map would run on the CPU: {INSTALL}"),
        ({"cupy": (), "cuml": ()}, f"but clustering and the map would run on the CPU: {INSTALL}"),
        ({"cupy": (*CUPY, ("cupy-cuda12x", "13.6.0"))}, "exclude each other: uninstall all but one"),
        ({"unmet": ("cuml-cu13 wants numba<0.65.0, and 0.68.1 is there",)}, "wants numba<0.65.0, and 0.68.1 is there"),
    ],
)
def test_what_does_not_fit_is_named_with_what_to_do(changes: dict[str, object], said: str) -> None:
    found = verdict(replace(COMPLETE, **changes))  # type: ignore[arg-type]
    assert said in found
    assert "\n" not in found


def test_packages_for_different_cuda_do_not_fit_even_where_no_device_is() -> None:
    wrong = replace(COMPLETE, driver_cuda=None, missing=NO_DRIVER, torch_cuda=(12, 8))
    assert "they do not fit" in verdict(wrong)


def test_this_machine_is_described() -> None:
    found = installed_packages()
    assert found.torch == installed("torch")
    assert bool(found.missing) == (cuda_devices()[0] == 0)
    assert (found.torch_cuda is None) == (found.torch or "").endswith("+cpu")
    assert bool(found.cupy) == any(installed(name) for name in ("cupy", "cupy-cuda12x", "cupy-cuda13x"))


def test_requirements_that_are_fulfilled_are_not_reported() -> None:
    assert unmet(["numpy", "scikit-learn", "transformers"]) == []


def test_a_requirement_that_is_not_fulfilled_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.requires", lambda name: ["numpy<1", "pip>=1; extra == 'x'", "none-such>2"])
    numpy = installed("numpy")
    wanted = ["cuml wants numpy<1, and " + str(numpy) + " is there", "cuml wants none-such>2, and nothing is there"]
    assert unmet(["cuml"]) == wanted
