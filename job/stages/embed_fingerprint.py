"""A fingerprint of the model: token ids and vectors of a few texts, kept in the run folder with the shards.

The digest of a model's files does not cover everything: another version of the tokenizer's library can split the same
text differently, and the second half of a run would then have vectors that do not fit the first half.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import Model
from job.data import Floats
from job.runtime.errors import BadInput
from job.runtime.files import write_sealed
from job.runtime.kept_vectors import FINGERPRINT, load_fingerprint
from job.runtime.rundir import RunDir
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
class Fingerprint:
    """The fingerprint in the run folder. `fields`: its file; `vectors`: float32 [texts, d]; `shards`: made with it."""

    fields: Mapping[str, Any]
    vectors: Floats
    shards: int


def read_fingerprint(shards: Shards, run: RunDir) -> Fingerprint | None:
    """The run folder's fingerprint; None where nothing was embedded yet. Call it before shards of other settings are
    dropped.

    The fingerprint of finished work that other settings replace is removed: a kill while its shards are dropped must
    not make them look half done.
    """
    found = load_fingerprint(run)
    if found is None or not {"model", "model_digest", "pooling", "shards_key", "rows"} <= found[0].keys():
        return None
    fields, vectors = found
    made = shards.begun(str(fields["shards_key"]), int(fields["rows"]))
    if not made and fields["shards_key"] != shards.key:
        _file(run).unlink(missing_ok=True)
        return None
    return Fingerprint(fields, vectors, made)


def check_fingerprint(
    before: Fingerprint | None, encoder: FlagEncoder, model: Model, shards: Shards, run: RunDir
) -> None:
    """Compare the encoder with the fingerprint of the shards that are there, and save its own.

    Raises:
        BadInput: the stage is half done, and another model or tokenizer made the first half.
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
    if before is not None and before.shards and not _other_settings(before, now):
        difference = _difference(before, now, vectors)
        if difference is not None:
            folder = run.file("embeddings")
            raise BadInput(
                f"embed.model = '{model.name}': {difference} that {before.shards} shards in '{folder}' were made with "
                f"('{before.fields['model']}'): give the same model and package versions to go on, or another run_dir, "
                f"or delete '{folder}' to embed everything again"
            )
    write_sealed(_file(run), now)


def differs_from_run(run: RunDir, encoder: FlagEncoder, model: Model) -> str | None:
    """What differs between an encoder and the one that embedded a finished run, in words; None: nothing that matters,
    or the run has no fingerprint."""
    found = load_fingerprint(run)
    if found is None or not {"model_digest", "pooling"} <= found[0].keys():
        return None
    tokens = encoder.tokenize(TEXTS).lists()
    now = {"model_digest": model.identity, "pooling": model.pooling, "tokens": tokens}
    return _difference(Fingerprint(*found, shards=1), now, encoder.encode(TEXTS))


def _file(run: RunDir) -> Path:
    return run.file(FINGERPRINT)


def _other_settings(before: Fingerprint, now: Mapping[str, Any]) -> bool:
    """Whether the same model made the shards with other settings, such as `embed.max_length`: none of them is kept."""
    same = all(before.fields[name] == now[name] for name in ("model_digest", "pooling"))
    return same and before.fields["shards_key"] != now["shards_key"]


def _difference(before: Fingerprint, now: Mapping[str, Any], vectors: Floats) -> str | None:
    """What differs, in words; None if nothing that matters."""
    fields = before.fields
    if (fields["model_digest"], fields["pooling"]) != (now["model_digest"], now["pooling"]):
        return "it is not the model"
    if fields["tokens"] != now["tokens"]:
        return "its tokenizer splits texts differently from the one"
    if before.vectors.shape != vectors.shape or (before.vectors * vectors).sum() < _SAME * len(vectors):
        return "it gives other vectors than the model"
    return None
