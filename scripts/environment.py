"""Print environment.yml: the versions of constraints-gpu.txt as a conda environment. `scripts/lock.sh` calls it."""

from pathlib import Path

PINS = Path(__file__).parent / "constraints-gpu.txt"
HEAD = """\
# The GPU environment for conda: NVIDIA driver 580 or later. A plain machine needs only scripts/setup.sh, and a machine
# without conda only `bash scripts/setup.sh --gpu`, which installs the same versions.
#   conda env create -f environment.yml && conda activate headline-clusters
#   pip install --no-deps -e . && python -m job doctor
# Written by `bash scripts/lock.sh`. conda brings Python, and pip everything else: conda's own cuML would bring a second
# set of CUDA's libraries beside the one that torch's wheels bring. Not run on a GPU yet.
name: headline-clusters
channels:
  - conda-forge
dependencies:
  - python=3.12
  - pip
  - pip:
"""


def environment(pins: str) -> str:
    """The text of environment.yml. `pins`: lines NAME==VERSION, and comments."""
    lines = [line for line in pins.splitlines() if line and not line.startswith("#")]
    return HEAD + "".join(f"      - {line}\n" for line in lines)


if __name__ == "__main__":
    print(environment(PINS.read_text(encoding="utf-8")), end="")
