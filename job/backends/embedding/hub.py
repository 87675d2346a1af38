"""The Hugging Face hub: its local cache first, the network last, and only the files that are needed."""

import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from job.runtime.errors import BadInput

# what a model's vectors depend on; a hub folder also holds ONNX, TensorFlow and flax copies that are not read
FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "1_Pooling/config.json",
    "*.safetensors",
    "pytorch_model*.bin",
)
_ALSO = (
    "modules.json",
    "colbert_linear.pt",
    "sparse_linear.pt",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    "merges.txt",
    "vocab.json",
)
_TIMEOUT = 10.0


def needed(files: list[str]) -> list[str]:
    """Which of a repository's files to get; of two copies of the weights the safetensors."""

    def matches(file: str, pattern: str) -> bool:
        return file.count("/") == pattern.count("/") and fnmatchcase(file, pattern)

    chosen = [file for file in files if any(matches(file, pattern) for pattern in FILES + _ALSO)]
    if any(file.endswith(".safetensors") for file in chosen):
        chosen = [file for file in chosen if not file.startswith("pytorch_model")]
    return chosen


def from_hub(name: str) -> Path:
    """A hub id's folder in the local cache, downloaded first where it is not there and the hub can be reached."""
    looked = f"no folder '{name}' here"
    if not _is_id(name):
        raise BadInput(
            f"embed.model = '{name}': {looked}; give 'minilm', a model's folder, or a hub id such as BAAI/bge-m3"
        )
    # the hub's client retries a refused connection for minutes unless told otherwise
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", str(int(_TIMEOUT)))
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    # a cache is only whole if it holds all that is asked for, and `needed` took one of two copies of the weights
    for other_copy in ("pytorch_model*", "*.safetensors*"):
        patterns = [pattern for pattern in FILES + _ALSO if not fnmatchcase(pattern, other_copy)]
        try:
            folder = Path(snapshot_download(name, allow_patterns=patterns, local_files_only=True))
        except (LocalEntryNotFoundError, OSError, ValueError):
            continue
        if any(needed([path.name]) for glob in ("*.safetensors", "*.bin") for path in folder.glob(glob)):
            return folder
    looked += f", nothing in the hub's cache ({constants.HF_HUB_CACHE})"
    try:
        return _download(name)
    except Exception as error:  # the client raises its own, httpx's and OSErrors alike
        raise BadInput(
            f"embed.model = '{name}': {looked}, and the hub did not answer ({_why(error)}). "
            f"On a machine with a network: python -m job fetch-model {name} DIR; "
            "copy DIR here and set embed.model=DIR; or try embed.model=minilm"
        ) from None


def fetch(name: str, folder: Path) -> list[str]:
    """Download a hub id's needed files into a folder of their own; what is there already is not loaded again.

    Returns their names. Raises `BadInput` where there is no such model, no network or no room.
    """
    if not _is_id(name):
        raise BadInput(f"fetch-model '{name}': expected a hub id such as BAAI/bge-m3")
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"fetch-model: '{folder}' is a file: name a folder")
    try:
        _download(name, folder)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(
            f"fetch-model '{name}': {_why(error)}; check the name, the network (HF_HUB_OFFLINE, HF_ENDPOINT, a proxy), "
            f"the room in '{folder}', and HF_TOKEN for a model that asks for one; the same command goes on from here"
        ) from None
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if _is_model_file(path, folder))


def _download(name: str, folder: Path | None = None) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    info: Any = HfApi().model_info(name, timeout=_TIMEOUT)
    chosen = needed([file.rfilename for file in info.siblings])
    if "config.json" not in chosen or not any(file.endswith((".safetensors", ".bin")) for file in chosen):
        raise BadInput(f"'{name}' is no model for transformers: it has no config.json, or no weights")
    # the cache finds a model again by its branch; a folder gets one revision, though the branch may move meanwhile
    revision = None if folder is None else info.sha
    return Path(
        snapshot_download(name, revision=revision, allow_patterns=chosen, local_dir=folder, etag_timeout=_TIMEOUT)
    )


def _is_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith(("/", ".", "~"))


def _is_model_file(path: Path, folder: Path) -> bool:
    return path.is_file() and bool(needed([str(path.relative_to(folder))]))


def _why(error: Exception) -> str:
    """An error of the hub's client on one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__
