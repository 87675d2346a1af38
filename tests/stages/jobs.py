"""Real jobs over headlines, vectors and graphs that a test made itself, for running one stage at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from job.backends.embedding.lexical_weights import ENTRY
from job.backends.milvus import Milvus
from job.config import Config
from job.context import Job, StageResult
from job.data import HEADLINES, ROWS, Embeddings, Headlines

SPARSE = {"sparse": True}
BEFORE = ("ingest", "embed", "store", "neighbors")


def headlines_of(ids: Any, texts: list[str], titles: list[str] | None = None) -> Headlines:
    """Headlines with these ids (ascending) and texts, without descriptions."""
    none = [None] * len(texts)
    columns = [list(ids), titles or texts, none, texts, [1] * len(texts), none]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, HEADLINES, strict=True)]
    return Headlines(pa.table(arrays, schema=HEADLINES))


def job_of(
    folder: Path,
    headlines: Headlines | None = None,
    embeddings: Embeddings | None = None,
    milvus: Milvus | None = None,
    key: str = "",
    extra: list[dict[str, Any]] | None = None,
    **sections: Any,
) -> Job:
    """A job on the CPU whose earlier stages are done, with `key` as their output; `sections`: of its configuration.

    `extra`: the input's own columns, one dict per headline.
    """
    folder.mkdir(exist_ok=True)
    job = Job(Config(run_dir=folder, device="cpu", **{"input": {"path": "news.csv"}, **sections}))
    for name in BEFORE:
        if job.run.marker(name) is None or name in ("ingest", "embed"):
            job.run.finish(name, key, key, [], 0.0, {})
    for name, value in (("input_headlines", headlines), ("input_embeddings", embeddings), ("milvus", milvus)):
        if value is not None:
            setattr(job, name, value)
    if headlines is not None:
        n, table = len(headlines), headlines.table
        places = [headlines.ids, np.zeros(n, np.int32), np.arange(n), table["time"], pa.nulls(n, pa.string())]
        pq.write_table(pa.table(places, schema=ROWS), folder / "rows.parquet")
    if extra is not None and headlines is not None:
        names = {name: None for row in extra for name in row}
        columns = {name: [row.get(name) for row in extra] for name in names}
        pq.write_table(pa.table(columns or {"none": np.zeros(len(extra))}), folder / "input.parquet")
    return job


def write_lexical_weights(folder: Path, weights: np.ndarray) -> None:
    """The dense `weights` [n, vocabulary] as the only shard of a finished embed stage, with empty vectors."""
    rows, tokens = np.nonzero(weights)
    entries = np.empty(len(rows), ENTRY)
    entries["row"], entries["token"], entries["weight"] = rows, tokens, weights[rows, tokens]
    for name, array in (("sparse", entries), ("embeddings", np.zeros((len(weights), 0), np.float32))):
        (folder / name).mkdir(exist_ok=True)
        np.save(folder / name / "00000.npy", array)


def stats_of(result: StageResult | None) -> dict[str, Any]:
    """A finished stage's result as one dict."""
    assert result is not None
    about = {"rows": result.rows, "output": result.output}
    return {**about, "fallbacks": result.fallbacks, "warnings": result.warnings, **result.stats}
