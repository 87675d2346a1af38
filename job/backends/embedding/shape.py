"""How large a model is, from its folder, without loading it."""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path

from safetensors import SafetensorError, safe_open


@dataclass(frozen=True)
class ModelShape:
    """`dim`: of its vectors; `parameters`: how many weights it has."""

    dim: int
    parameters: int


# where the model is not known
BGE_M3 = ModelShape(1_024, 568_000_000)


def shape_of(folder: Path) -> ModelShape:
    """The shape of the model in a folder; what cannot be read is taken from BGE-M3."""
    try:
        dim = int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"])
    except (OSError, ValueError, KeyError, TypeError):
        dim = BGE_M3.dim
    try:
        parameters = sum(map(_parameters, folder.glob("*.safetensors")))
    except (OSError, SafetensorError):
        parameters = 0
    # a pickled checkpoint says nothing of itself; most are float32
    parameters = parameters or max((path.stat().st_size // 4 for path in folder.glob("*.bin")), default=0)
    return ModelShape(dim, parameters or BGE_M3.parameters)


def _parameters(file: Path) -> int:
    """The number of weights in a safetensors file, by its header."""
    with safe_open(file, framework="np") as opened:
        return sum(prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118 - no mapping
