"""A model's folder is data: what in it could run code is refused or left alone, never run.

Python files are left alone (`trust_remote_code=False`), PyTorch files are read as plain tensors (`weights_only`), and
settings that make transformers load something from outside of the folder are refused.
"""

import json
import os
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from job.runtime.errors import BadInput

# with weights in safetensors the first is not read; the other two are BGE-M3's heads
_PICKLES = ("pytorch_model*.bin", "colbert_linear.pt", "sparse_linear.pt")
# of sentence-transformers, with weights
_MORE_LAYERS = frozenset({"Dense", "LSTM", "CNN", "WeightedLayerPooling", "LayerNorm"})
_FORCE, _FORCE_NOT = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def check_outside(name: str, folder: Path) -> None:
    """Raise `BadInput` where loading the model would read another model, or code from the hub."""
    adapter = folder / "adapter_config.json"
    if adapter.exists():
        raise BadInput(
            f"embed.model = '{name}': '{adapter}' makes it an adapter of another model, which may be anywhere: merge "
            "the two (peft's merge_and_unload), save that and name its folder"
        )
    kinds = {kind.rpartition(".")[2] for kind in _words(_json(folder / "modules.json").get("types", []))}
    if more := sorted(_MORE_LAYERS & kinds):
        raise BadInput(
            f"embed.model = '{name}': '{folder / 'modules.json'}' names {', '.join(more)}: its vectors come out of "
            "layers behind the pooling, which are not computed here: name a model without them"
        )
    for key, value in _json(folder / "config.json").items():
        if key.endswith(("_implementation", "_implementation_internal")) and "/" in str(value):
            raise BadInput(
                f"embed.model = '{name}': '{folder / 'config.json'}' asks for code from the hub ({key} = '{value}'), "
                "which is never run: remove that line from it"
            )


def own_code(folder: Path) -> list[str]:
    """What the folder's settings would have run: `config.json names m.Model`. Empty for most models."""
    found = []
    for file in ("config.json", "tokenizer_config.json"):
        named = _json(folder / file).get("auto_map")
        if named:
            names = named.values() if isinstance(named, dict) else [named]
            found.append(f"{file} names {', '.join(dict.fromkeys(_words(names)))}")
    modules = _json(folder / "modules.json")
    others = [kind for kind in _words(modules.get("types", [])) if not kind.startswith("sentence_transformers.")]
    return [*found, *([f"modules.json names {', '.join(others)}"] if others else [])]


def why_refused(folder: Path, error: BaseException) -> str | None:
    """What in the folder was not run, where that is why the model does not load; None where something else is."""
    named = own_code(folder)
    if named and "custom code" in str(error):
        return (
            f"{'; '.join(named)}: code of the model's own, which is never run: name a model of an architecture that "
            "transformers has, such as BAAI/bge-m3"
        )
    if not isinstance(error, pickle.UnpicklingError):
        return None
    asked = re.search(r"GLOBAL ([\w.]+)", str(error))
    what = f" ({asked[1]})" if asked else ""
    return (
        f"'{_other_than_tensors(folder)}' is damaged or holds other things than tensors{what}, which could run code, "
        "and is not read: get the model again from its makers, or one with *.safetensors"
    )


@contextmanager
def weights_only() -> Iterator[None]:
    """Within this block torch reads nothing but tensors, also for a library that asks it for more."""
    before = {name: os.environ.pop(name, None) for name in (_FORCE, _FORCE_NOT)}
    os.environ[_FORCE] = "1"
    try:
        yield
    finally:
        del os.environ[_FORCE]
        os.environ.update({name: value for name, value in before.items() if value is not None})


def _other_than_tensors(folder: Path) -> Path:
    """The first file that torch does not read as plain tensors; the folder where there is none."""
    import torch

    for path in sorted(path for pattern in _PICKLES for path in folder.glob(pattern)):
        try:
            with suppress(RuntimeError, OSError, EOFError):
                torch.load(path, map_location="meta", weights_only=True)
        except pickle.UnpicklingError:
            return path
    return folder


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; of a list of modules their types; empty where the file is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if isinstance(value, list):
        return {"types": [item.get("type", "") for item in value if isinstance(item, dict)]}
    return value if isinstance(value, dict) else {}


def _words(values: Any) -> list[str]:
    """The texts in values that may be lists of texts themselves."""
    return [str(word) for value in values for word in (value if isinstance(value, list) else [value]) if word]
