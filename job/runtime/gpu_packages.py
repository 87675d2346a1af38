"""Whether the NVIDIA driver, torch, CuPy and cuML fit each other, and what to do if not. Imports none of them."""

import ctypes
import importlib.metadata
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from job.runtime.device import cuda_devices, installed

# the oldest driver for programs built for a major version of CUDA (NVIDIA, "CUDA compatibility"): it serves its minor
# versions too
DRIVERS = {12: 525, 13: 580}
INSTALL = "bash scripts/setup.sh --gpu"


@dataclass(frozen=True)
class GpuPackages:
    """What is installed; None where it is not.

    `driver_cuda`: (major, minor) of the newest CUDA that the driver runs. `missing`: what the driver lacks, empty if it
    reports a device. `torch_cuda`: (major, minor) of the CUDA that torch was built for, None of a CPU build. `cupy`,
    `cuml`: (package, version) of every variant. `unmet`: requirements of these packages that are not fulfilled.
    """

    driver_cuda: tuple[int, int] | None
    missing: str
    torch: str | None
    torch_cuda: tuple[int, int] | None
    cupy: tuple[tuple[str, str], ...] = ()
    cuml: tuple[tuple[str, str], ...] = ()
    unmet: tuple[str, ...] = ()


def verdict(found: GpuPackages) -> str:
    """One sentence: whether they fit each other, and what to do."""
    return f"{_listed(found)}: {_judged(found)}"


def _judged(found: GpuPackages) -> str:
    several = [[name for name, _ in variants] for variants in (found.cupy, found.cuml) if len(variants) > 1]
    majors = {major for name, _ in found.cupy + found.cuml if (major := _cuda_major(name))}
    if found.torch_cuda:
        majors.add(found.torch_cuda[0])
    if found.missing and not (found.cupy or found.cuml or found.torch_cuda):
        return "the CPU is used; nothing to do on a machine without an NVIDIA GPU"
    if several:
        return f"{' and '.join(several[0])} exclude each other: uninstall all but one"
    if found.unmet:
        return f"they do not fit: {'; '.join(found.unmet)}; {INSTALL} installs versions that do"
    if len(majors) > 1:
        return f"they do not fit: all must be built for the same CUDA; {INSTALL} installs versions that are"
    if found.missing:
        return f"they fit each other, but {found.missing}: the CPU is used"
    needed = max(majors, default=0)
    if found.driver_cuda and found.driver_cuda[0] < needed:
        driver = DRIVERS.get(needed, "of today")
        return f"the driver is too old for CUDA {needed}: install NVIDIA driver {driver} or later"
    if found.torch_cuda is None:
        return f"torch cannot use the GPU: {INSTALL}"
    if not (found.cupy and found.cuml):
        on_cpu = "the map" if found.cupy else "clustering and the map"
        return f"they fit each other, but {on_cpu} would run on the CPU: {INSTALL}"
    return "they fit each other; nothing to do"


def _listed(found: GpuPackages) -> str:
    driver = "no NVIDIA driver" if found.driver_cuda is None else f"driver for CUDA {_dotted(found.driver_cuda)}"
    build = f"CUDA {_dotted(found.torch_cuda)}" if found.torch_cuda else "the CPU"
    torch = f"torch {found.torch} for {build}" if found.torch else "no torch"
    others = [
        " and ".join(f"{name} {version}" for name, version in variants) or f"no {title}"
        for title, variants in (("CuPy", found.cupy), ("cuML", found.cuml))
    ]
    return ", ".join([driver, torch, *others])


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _cuda_major(package: str) -> int | None:
    """The major version of CUDA in a package's name; None where the name has none, as conda's."""
    match = re.search(r"(?:cuda|cu)(\d\d)x?$", package)
    return int(match[1]) if match else None


def installed_packages() -> GpuPackages:
    """What this machine has."""
    cupy = _variants("cupy", "cupy-cuda12x", "cupy-cuda13x", "cupy-cuda14x")
    cuml = _variants("cuml", "cuml-cu12", "cuml-cu13", "cuml-cu14")
    wrong = tuple(unmet([name for name, _ in cupy + cuml]))
    return GpuPackages(_driver_cuda(), cuda_devices()[1], installed("torch"), _torch_cuda(), cupy, cuml, wrong)


def _variants(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, version) for name in names if (version := installed(name)) is not None)


def unmet(packages: Iterable[str]) -> list[str]:
    """The requirements of installed packages that are not fulfilled: `NAME wants REQUIREMENT, and VERSION is there`."""
    from packaging.requirements import Requirement

    found = []
    for name in packages:
        for text in importlib.metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            version = installed(requirement.name)
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                wanted = f"{requirement.name}{requirement.specifier}"
                found.append(f"{name} wants {wanted}, and {version or 'nothing'} is there")
    return found


def _driver_cuda() -> tuple[int, int] | None:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    version = ctypes.c_int(0)
    if driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return None
    return version.value // 1000, version.value % 1000 // 10


def _torch_cuda() -> tuple[int, int] | None:
    """From the file that torch's build writes: importing torch takes seconds."""
    try:
        file = importlib.metadata.distribution("torch").locate_file("torch/version.py")
        text = Path(str(file)).read_text(encoding="utf-8")
    except (importlib.metadata.PackageNotFoundError, OSError):
        return None
    match = re.search(r"^cuda\b[^=]*= *['\"](\d+)\.(\d+)", text, re.MULTILINE)
    return (int(match[1]), int(match[2])) if match else None
