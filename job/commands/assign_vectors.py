"""The vectors that `assign` needs: those of the new headlines, by the run's model, and the run's own."""

from typing import TYPE_CHECKING, Any

import numpy as np

from job.backends.arrays import lengths_of
from job.commands.finished import check_files
from job.runtime.errors import BadInput, JobError
from job.runtime.log import logger
from job.runtime.shards import array_files

if TYPE_CHECKING:
    from job.context import Job
    from job.data import Vectors


def embed_new(job: "Job", texts: list[str], scratch: Any) -> tuple["Vectors", Any]:
    """Unit vectors [m, d] of new texts in the dtype of the run's, and lexical weights (a SciPy CSR array) or None.

    Raises:
        BadInput: it is not the model that embedded the run.
    """
    from job.backends.embedding.encoder import FlagEncoder
    from job.backends.embedding.models import find_model
    from job.runtime.progress import Progress
    from job.stages.embed_fingerprint import differs_from_run
    from job.stages.merge import uses_lexical_weights

    settings = job.config.embed
    # a copy of the run's memo: the run folder is not written to
    memo = scratch.file("model.json")
    if job.run.file("model.json").exists():
        memo.write_bytes(job.run.file("model.json").read_bytes())
    model = find_model(settings.model, settings.pooling, memo)
    sparse = uses_lexical_weights(job)
    device = job.device.value
    encoder = FlagEncoder(model, device, job.precision.value, settings.max_length, settings.token_budget, sparse=sparse)
    difference = differs_from_run(job.run, encoder, model)
    if difference is not None:
        raise BadInput(
            f"embed.model = '{model.name}': {difference} that '{job.run.path}' was made with: give "
            "embed.model=MODEL, the model of that run"
        )
    half = job.run.stats("embed").get("dtype") == "float16"
    with Progress("assign", len(texts), "headlines") as progress:
        pending = encoder.forward(encoder.tokenize(texts), half, progress.update)
        vectors = pending.vectors().copy()
    lexical = _csr(pending.lexical(), len(texts)) if sparse else None
    encoder.release()
    return vectors, lexical


def _csr(entries: Any, rows: int) -> Any:
    from scipy.sparse import csr_array

    offsets = np.concatenate([[0], np.cumsum(np.bincount(entries["row"], minlength=rows))])
    width = int(entries["token"].max(initial=-1)) + 1
    return csr_array((entries["weight"], entries["token"], offsets), shape=(rows, width))


def run_vectors(job: "Job") -> "Vectors":
    """The vectors [n, d] of the run's headlines: from its folder or, where they are gone, from Milvus.

    Raises:
        BadInput: they are in neither.
    """
    folder = job.run.file("collection" if job.whole_collection else "embeddings")
    if (folder / "vectors.npy").exists() if job.whole_collection else array_files(folder):
        check_files(job.run, "store" if job.whole_collection else "embed", may_be_gone=True)
        vectors = job.embeddings.vectors
        if len(vectors) != len(job.headlines):
            raise BadInput(
                f"'{folder}' has {len(vectors):,} vectors for {len(job.headlines):,} headlines: some are missing; "
                "`run` again makes them"
            )
        return vectors
    logger.info("assign: '%s' has no vectors: reading them from Milvus", folder)
    ids = job.headlines.ids
    try:
        job.milvus.adopt()
        job.milvus.load()
        found = job.milvus.vectors(ids)
    except JobError as error:
        raise BadInput(
            f"'{folder}' has no vectors, and they cannot be read from Milvus ({error}); where this cannot be mended, "
            "`run` again makes them"
        ) from None
    finally:
        job.close()
    missing = len(ids) - len(found)
    if missing:
        raise BadInput(
            f"'{folder}' has no vectors, and Milvus lacks {missing:,} of {len(ids):,}: `run` again makes them"
        )
    vectors = np.stack([found[int(id)] for id in ids])
    result: Vectors = (vectors / lengths_of(vectors)[:, None]).astype(np.float32)
    return result
