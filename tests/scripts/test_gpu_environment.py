"""The versions for a GPU machine: they resolve together, environment.yml has them, and CPU versions are kept."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

UV = Path(sys.executable).with_name("uv")
NAME = r"^\s*(?:- )?([\w.-]+)==([\w.+]+)$"


def pins(file: str) -> dict[str, str]:
    """The versions in a file, by normalized name."""
    found = re.findall(NAME, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


GPU, CPU = pins("scripts/constraints-gpu.txt"), pins("scripts/constraints.txt")


def why_nothing_resolves(folder: Path) -> str | None:
    """The reason why uv cannot read the package index here; None if it can."""
    if not UV.exists():
        return f"{UV} is missing: bash scripts/setup.sh"
    (folder / "one.in").write_text("packaging\n")
    command = [UV, "pip", "compile", folder / "one.in", "--no-cache", "--output-file", folder / "one.txt"]
    limits = {"UV_HTTP_TIMEOUT": "20", "UV_HTTP_RETRIES": "0"}
    done = subprocess.run(command, env=os.environ | limits, capture_output=True, text=True, timeout=120)
    return None if done.returncode == 0 else f"uv cannot read the package index: {done.stderr.strip()[-300:]}"


@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.14"])
def test_the_versions_still_resolve_and_are_complete(python: str, tmp_path: Path) -> None:
    """Metadata only: no package is downloaded."""
    if reason := why_nothing_resolves(tmp_path):
        pytest.skip(reason)
    command = ["bash", "scripts/lock.sh", "--check", python]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_versions_that_do_not_fit_cuml_are_reported(tmp_path: Path) -> None:
    """The check fails where it should: with the CPU's numba, which cuML refuses."""
    if reason := why_nothing_resolves(tmp_path):
        pytest.skip(reason)
    for file in ("pyproject.toml", "environment.yml", "scripts/lock.sh", "scripts/environment.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    (tmp_path / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    text = (ROOT / "scripts" / "constraints-gpu.txt").read_text(encoding="utf-8")
    wrong = text.replace(f"numba=={GPU['numba']}", f"numba=={CPU['numba']}")
    assert wrong != text
    (tmp_path / "scripts" / "constraints-gpu.txt").write_text(wrong, encoding="utf-8")
    command = ["bash", "scripts/lock.sh", "--check"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 1
    assert f"< numba=={CPU['numba']}" in done.stdout
    assert "bash scripts/lock.sh" in done.stderr


def test_the_conda_environment_has_the_same_versions() -> None:
    command = [sys.executable, "scripts/environment.py"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed == (ROOT / "environment.yml").read_text(encoding="utf-8"), "out of date: bash scripts/lock.sh"
    assert pins("environment.yml") == GPU
    assert len(GPU) > 100


def test_every_requirement_of_the_project_has_a_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *extras["gpu"], *extras["minilm"], *extras["dev"]]:
        name = re.split(r"[<>=\[; ]", requirement)[0]
        assert re.sub(r"[-_.]+", "-", name).lower() in GPU, "out of date: bash scripts/lock.sh"


def test_only_what_cuml_requires_differs_from_the_versions_measured_on_a_cpu() -> None:
    assert {name for name, version in CPU.items() if GPU.get(name, version) != version} == {
        *("numba", "llvmlite"),  # cuML 26.10: numba < 0.65
        "pandas",  # cuDF 26.10: pandas < 3.1
    }
    assert not [name for name, version in GPU.items() if "+" in version], "a CPU build has no place here"


def test_setup_refuses_what_it_does_not_know() -> None:
    done = subprocess.run(["bash", "scripts/setup.sh", "--gpus"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "expected nothing or --gpu" in done.stderr
