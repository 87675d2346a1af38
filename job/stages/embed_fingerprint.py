"""Is this the model that made the shards? A few texts' token ids and vectors, kept with the run.

The digest of a model's files does not see everything: another version of the tokenizer's library can split the
same text otherwise, and half of a run would then lie in another space than the rest.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import Model
from job.data import Floats
from job.runtime.errors import BadInput
from job.runtime.rundir import RunDir, write_json
from job.runtime.shards import Shards

# scripts, punctuation, case, accents, emoji, digits, and a special token's name as text
TEXTS = (
    "Ferry strike ends after 6.5% pay deal",
    "naïve CAFÉ — “quotes”… №5, ½ price, 3 000 €",
    "地震で東京の列車が停止　速報 중앙은행 금리 동결",
    "Выборы прошли спокойно; انتخابات هادئة; चुनाव शांत रहे",
    "🎈 </s> <unk> [SEP] &amp; \tword word",
)
# mean cosine: that of the same model in another precision or on another device is above, another model's far below
_SAME = 0.99


@dataclass(frozen=True)
class Before:
    """What the run's shards were begun with, as the run folder has it; `begun`: how many of them there are."""

    said: Mapping[str, Any]
    vectors: Floats
    begun: int


def read_probe(shards: Shards, run: RunDir) -> Before | None:
    """To be called before shards of other settings are dropped. None: nothing was embedded here yet."""
    try:
        said = dict(json.loads(_file(run).read_text(encoding="utf-8")))
        vectors = np.frombuffer(base64.b64decode(said["vectors_float32"], validate=True), "<f4")
        begun = shards.begun(str(said["shards_key"]), int(said["rows"]))
        if not {"model", "model_digest", "pooling", "tokens"} <= said.keys():
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Before(said, vectors, begun)


def check_probe(before: Before | None, encoder: FlagEncoder, model: Model, shards: Shards, run: RunDir) -> None:
    """Compare with what the run's shards were begun with, and remember what they are made with now.

    Raises:
        BadInput: the stage is half done, and was begun with another model or tokenizer.
    """
    vectors = encoder.encode(TEXTS)
    now = {
        "model": model.name,
        "model_digest": model.identity,
        "pooling": model.pooling,
        "shards_key": shards.key,
        "rows": sum(map(len, shards.all)),
        "tokens": encoder.tokenize(TEXTS).lists(),
        "vectors_float32": base64.b64encode(vectors.astype("<f4").tobytes()).decode(),
    }
    difference = _difference(before, now, vectors) if before is not None and before.begun else None
    if before is not None and difference is not None:
        folder = run.file("embeddings")
        raise BadInput(
            f"embed.model = '{model.name}': {difference} that {before.begun} shards in '{folder}' were made with "
            f"('{before.said['model']}'): give the same model and package versions to go on, or another run_dir, or "
            f"delete '{folder}' to embed all anew"
        )
    write_json(_file(run), now)


def _file(run: RunDir) -> Path:
    return run.file("embed_probe.json")


def _difference(before: Before, now: Mapping[str, Any], vectors: Floats) -> str | None:
    """What is another than before, in words; None if nothing that matters."""
    said = before.said
    if (said["model_digest"], said["pooling"]) != (now["model_digest"], now["pooling"]):
        return "it is not the model"
    if said["tokens"] != now["tokens"]:
        return "its tokenizer splits texts otherwise than the one"
    if before.vectors.size != vectors.size or (before.vectors * vectors.ravel()).sum() < _SAME * len(vectors):
        return "it gives other vectors than the model"
    return None
