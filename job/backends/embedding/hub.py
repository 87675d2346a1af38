"""The Hugging Face hub: its local cache first, then the network, and only the files that are needed."""

import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from job.backends.embedding.errors import one_line
from job.runtime.errors import BadInput

# the files that a model's vectors depend on; a repository also holds ONNX, TensorFlow and Flax copies that are not read
VECTOR_FILES = (
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
# read only where there is no tokenizer.json
SLOW_TOKENIZER_FILES = ("merges.txt", "vocab.json")
_OTHER_FILES = (
    "modules.json",
    "colbert_linear.pt",
    "sparse_linear.pt",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    *SLOW_TOKENIZER_FILES,
)
_TIMEOUT_SECONDS = 10.0


def needed_files(files: list[str]) -> list[str]:
    """The files of a repository that are needed; if the weights are there in two formats, only the safetensors."""

    def matches(file: str, pattern: str) -> bool:
        return file.count("/") == pattern.count("/") and fnmatchcase(file, pattern)

    needed = [file for file in files if any(matches(file, pattern) for pattern in VECTOR_FILES + _OTHER_FILES)]
    if any(file.endswith(".safetensors") for file in needed):
        needed = [file for file in needed if not file.startswith("pytorch_model")]
    return needed


def cached_folder(name: str) -> Path | None:
    """A hub id's folder in the hub's local cache; None if it is not there. It uses no network."""
    if not _is_id(name):
        raise BadInput(
            f"embed.model = '{name}': no folder '{name}' here; give 'minilm', a model's folder, or a hub id such as "
            "BAAI/bge-m3"
        )
    # without this the hub's client retries a refused connection for minutes
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", str(int(_TIMEOUT_SECONDS)))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    # the client finds a cached model only if all that is asked for is there, and only one format of the weights was
    # downloaded
    for other_format in ("pytorch_model*", "*.safetensors*"):
        patterns = [pattern for pattern in VECTOR_FILES + _OTHER_FILES if not fnmatchcase(pattern, other_format)]
        try:
            # no weights of sub-folders, which are not downloaded
            folder = Path(
                snapshot_download(
                    name, allow_patterns=patterns, ignore_patterns="*/*.safetensors*", local_files_only=True
                )
            )
        except (LocalEntryNotFoundError, OSError, ValueError):
            continue
        if any(needed_files([path.name]) for glob in ("*.safetensors", "*.bin") for path in folder.glob(glob)):
            return folder
    return None


def hub_folder(name: str) -> Path:
    """A hub id's folder in the hub's local cache. If it is not there, it is downloaded."""
    folder = cached_folder(name)
    if folder is not None:
        return folder
    from huggingface_hub import constants

    searched = f"no folder '{name}' here, nothing in the hub's cache ({constants.HF_HUB_CACHE})"
    try:
        return _download(name)
    except Exception as error:  # the client raises its own types, httpx's and OSError
        raise BadInput(
            f"embed.model = '{name}': {searched}, and the hub did not answer ({one_line(error, 160)}). "
            f"On a machine with a network: python -m job fetch-model {name} DIR; "
            "copy DIR here and set embed.model=DIR; or try embed.model=minilm"
        ) from None


def fetch(name: str, folder: Path) -> list[str]:
    """Download the needed files of a hub id into `folder`; files that are there already are not downloaded again.

    Returns their names.

    Raises:
        BadInput: there is no such model, no network, or no room.
    """
    if not _is_id(name):
        raise BadInput(f"fetch-model '{name}': expected a hub id such as BAAI/bge-m3")
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"fetch-model: '{folder}' is a file: name a folder")
    # the hub's client leaves this; files of anybody else would be overwritten
    if folder.is_dir() and any(folder.iterdir()) and not (folder / ".cache" / "huggingface").is_dir():
        raise BadInput(f"fetch-model: '{folder}' is not empty and holds no earlier download: name a new folder")
    try:
        _download(name, folder)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(
            f"fetch-model '{name}': {one_line(error, 160)}; check the name, the network (HF_HUB_OFFLINE, HF_ENDPOINT, "
            f"a proxy), the free space in '{folder}', and HF_TOKEN for a model that requires one; "
            "the same command continues the download"
        ) from None
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if _is_model_file(path, folder))


def _download(name: str, folder: Path | None = None) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    info: Any = HfApi().model_info(name, timeout=_TIMEOUT_SECONDS)
    needed = needed_files([file.rfilename for file in info.siblings])
    if "config.json" not in needed or not any(file.endswith((".safetensors", ".bin")) for file in needed):
        raise BadInput(f"'{name}' is not a model for transformers: it has no config.json, or no weights; give another")
    # the cache finds a model again by its branch; a folder gets one revision, even if the branch moves meanwhile
    revision = None if folder is None else info.sha
    return Path(
        snapshot_download(
            name, revision=revision, allow_patterns=needed, local_dir=folder, etag_timeout=_TIMEOUT_SECONDS
        )
    )


def _is_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith(("/", ".", "~"))


def _is_model_file(path: Path, folder: Path) -> bool:
    return path.is_file() and bool(needed_files([str(path.relative_to(folder))]))
