"""What a living collection holds, read back to the run folder: also the rows that this machine never saw.

`collection/headlines.parquet` and `vectors.npy` take the places of the input's own; `input.parquet` and
`rows.parquet` are the input's rows with the collection's other rows behind them, for the answer. A batch of rows
is in memory at a time, beside the texts of all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from job.backends.milvus import Milvus
from job.data import HEADLINES, ROWS, Embeddings, Floats, Headlines, Ids
from job.runtime import signals
from job.runtime.errors import BadInput
from job.runtime.progress import Progress
from job.runtime.rundir import RunDir, atomic, digest, digest_file

FOLDER = "collection"
FILES = tuple(f"{FOLDER}/{name}" for name in ("headlines.parquet", "vectors.npy", "rows.parquet", "input.parquet"))
# of vectors read back in one answer: below the server's 64 MiB, and a Python float takes 32 bytes here
_ANSWER_BYTES = 4 * 2**20
_UNIT = 1e-3


@dataclass(frozen=True)
class Population:
    """`rows` in all, `others` of them not of this input, `unusable` left out; whether all have length 1."""

    rows: int
    others: int
    unusable: int
    unit: bool
    digest: str


def read_population(
    milvus: Milvus, filter: str, own: Headlines, run: RunDir, title: str, description: str | None
) -> Population:
    """Read the rows that `filter` selects (empty: all) and write the four files.

    A text is split at its first line end into title and description, as ingest joined them; `own` headlines keep
    their own. Vectors are brought to length 1. Rows without a finite vector of some length are left out.

    Raises:
        BadInput: nothing is selected.
    """
    folder = run.file(FOLDER)
    folder.mkdir(exist_ok=True)
    fields = milvus.fields
    total = milvus.count(filter)
    tables: list[pa.Table] = []
    unit, unusable = True, 0
    with atomic(folder / "vectors.npy") as temporary:
        with Progress("store", total, "rows read") as progress, temporary.open("wb") as file:
            for ids, texts, vectors, extra in _batches(milvus, filter):
                lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
                good = np.isfinite(lengths) & (lengths > 0)
                unusable += int((~good).sum())
                unit = unit and bool((abs(lengths[good] - 1) < _UNIT).all())
                # a vector that is of length 1 but for rounding stays as it is stored
                lengths[abs(lengths - 1) < _UNIT] = 1.0
                (vectors[good] / lengths[good, None]).astype(np.float32).tofile(file)
                rows = pa.table({"id": ids, "text": texts} | {name: _column(v) for name, v in extra.items()})
                tables.append(rows.filter(pa.array(good)))
                progress.update(len(ids))
                signals.check()
        if not sum(len(table) for table in tables):
            where = f"'{milvus.collection}' at '{milvus.uri}'"
            raise BadInput(
                f"store.filter = '{filter}' selects no row of {where}: see its fields' names and values"
                if filter
                else f"store.collection = {where} holds no row: give input.path, or name another collection"
            )
        table = pa.concat_tables(tables, promote_options="permissive")
        order = np.argsort(table["id"].to_numpy(), kind="stable")
        _finish_vectors(temporary, order, milvus.layout.dim)
    table = table.take(order)
    headlines = _headlines(table, own)
    headlines.save(run.file(FILES[0]))
    others = ~np.isin(headlines.ids, own.ids)
    _answer_rows(table.filter(pa.array(others)), headlines, others, fields.extra, run, title, description)
    content = digest(headlines.ids, digest_file(run.file(FILES[0])), digest_file(run.file(FILES[1])))
    return Population(len(headlines), int(others.sum()), unusable, unit, content)


def load_vectors(headlines: Headlines, run: RunDir) -> Embeddings:
    """The vectors that were read, mapped from the file."""
    return Embeddings(headlines.ids, np.load(run.file(FILES[1]), mmap_mode="r"))


def _batches(milvus: Milvus, filter: str) -> Iterator[tuple[Ids, list[str], Floats, dict[str, list[Any]]]]:
    fields = milvus.fields
    columns = [fields.id, fields.text, fields.vector, *fields.extra]
    size = int(np.clip(_ANSWER_BYTES // (4 * milvus.layout.dim), 1, 10_000))
    for batch in milvus.rows(columns, filter, size):
        yield (
            np.array([row[fields.id] for row in batch], np.int64),
            [row[fields.text] or "" for row in batch],
            np.array([row[fields.vector] for row in batch], np.float32),
            {name: [row.get(name) for row in batch] for name in fields.extra},
        )


def _column(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _finish_vectors(raw: Path, order: np.ndarray[Any, np.dtype[np.int64]], dim: int) -> None:
    """The raw float32 rows as a .npy file, in `order`; they come ascending by id, so that it rarely differs."""
    vectors = np.memmap(raw, np.float32, "r").reshape(-1, dim)
    ordered = raw.with_name(f"{raw.name}.npy")
    out = np.lib.format.open_memmap(ordered, mode="w+", dtype=np.float32, shape=vectors.shape)
    step = max(1, _ANSWER_BYTES // (4 * dim))
    for start in range(0, len(order), step):
        out[start : start + step] = vectors[order[start : start + step]]
    out.flush()
    del vectors, out
    ordered.replace(raw)


def _headlines(table: pa.Table, own: Headlines) -> Headlines:
    ids = table["id"].to_numpy()
    mine = {id: row for row, id in enumerate(own.ids.tolist())}
    titles, descriptions, copies = own.column("title"), own.column("description"), own.column("copies")
    columns: list[list[Any]] = [[], [], [], [], []]
    for id, text in zip(ids.tolist(), table["text"].to_pylist(), strict=True):
        row = mine.get(id)
        if row is None:
            title, _, rest = text.partition("\n")
            values = (id, title, rest or None, text, 1)
        else:
            values = (id, titles[row], descriptions[row], text, copies[row])
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, HEADLINES, strict=True)]
    return Headlines(pa.table(arrays, schema=HEADLINES))


def _answer_rows(
    foreign: pa.Table,
    headlines: Headlines,
    others: np.ndarray[Any, np.dtype[np.bool_]],
    extra: tuple[str, ...],
    run: RunDir,
    title: str,
    description: str | None,
) -> None:
    """The input's rows, then the other rows with title, description and extra fields in columns of those names."""
    texts = headlines.table.filter(pa.array(others))
    theirs = {title: texts["title"], description or "description": texts["description"]}
    theirs |= {name: foreign[name] for name in extra if name not in theirs}
    more = pa.table(theirs)
    places = pa.table(
        [foreign["id"], np.full(len(more), -1, np.int32), np.arange(len(more), dtype=np.int64)], schema=ROWS
    )
    if run.file("input.parquet").exists():
        mine = pq.read_table(run.file("input.parquet"))
        for name in more.column_names:
            if name in mine.column_names and more[name].type != mine[name].type:
                column = more.column_names.index(name)
                more = more.set_column(column, name, more[name].cast(mine[name].type, safe=False))
        more = pa.concat_tables([mine, more], promote_options="permissive")
        places = pa.concat_tables([pq.read_table(run.file("rows.parquet")), places])
    for name, table in (("rows.parquet", places), ("input.parquet", more)):
        with atomic(run.file(f"{FOLDER}/{name}")) as temporary:
            pq.write_table(table, temporary, compression="zstd")
