"""Reading a whole collection back into the run folder, including rows that other programs wrote.

`collection/headlines.parquet` and `vectors.npy` take the place of the input's own. `input.parquet` and `rows.parquet`
are the input's rows followed by the collection's other rows, for the answer. Memory: one batch of rows, and the texts
of all.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from job.backends.arrays import lengths_of
from job.backends.milvus import Milvus
from job.backends.milvus.search import AlteredRowsError
from job.backends.tables import sources as publishers
from job.backends.tables import times as publication
from job.backends.tables.columns import first_usual
from job.backends.tables.stack import stack
from job.backends.tables.take import take_rows
from job.backends.text.markup import without_markup
from job.context import COLLECTION, Job
from job.data import HEADLINES, ROWS, Floats, Headlines, Ids
from job.runtime import signals
from job.runtime.errors import BadInput
from job.runtime.files import atomic, digest, digest_file
from job.runtime.progress import Progress

# of vectors read back in one answer: below the server's 64 MiB, and a Python float takes 32 bytes here
_ANSWER_BYTES = 4 * 2**20


@dataclass(frozen=True)
class ReadBack:
    """`rows` in all, `others` of them not of this input, `untimed` of these without a publication time; `unusable` left
    out; whether all vectors have length 1."""

    rows: int
    others: int
    untimed: int
    unusable: int
    unit_length: bool
    digest: str


def read_collection(job: Job) -> ReadBack:
    """Read the rows that `store.filter` selects (empty: all) and write the four files.

    A text is split at its first line end into title and description, as ingest joined them; this input's headlines keep
    their own. Vectors are normalized. Rows without a finite vector of a length above 0 are left out.

    Raises:
        BadInput: nothing is selected.
        AlteredRowsError: rows of this input are not in the collection.
    """
    folder = job.run.file(COLLECTION)
    folder.mkdir(exist_ok=True)
    with atomic(folder / "vectors.npy") as temporary:
        with temporary.open("wb") as file:
            found = _read_rows(job, file)
        if not sum(len(table) for table in found.tables):
            raise BadInput(_nothing_selected(job))
        table = stack(found.tables)
        _check_own_rows(job, table["id"].to_numpy())
        order = np.argsort(table["id"].to_numpy(), kind="stable")
        _finish_vectors(temporary, order, job.milvus.schema.dim)
    table = take_rows(table, order)
    headlines = _headlines(job, table)
    headlines.save(folder / "headlines.parquet")
    others = ~np.isin(headlines.ids, job.input_headlines.ids)
    _write_answer_rows(job, table.filter(pa.array(others)), headlines.table.filter(pa.array(others)))
    content = digest(headlines.ids, digest_file(folder / "headlines.parquet"), digest_file(folder / "vectors.npy"))
    untimed = int(np.isnan(headlines.times[others]).sum())
    return ReadBack(len(headlines), int(others.sum()), untimed, found.unusable, found.unit_length, content)


@dataclass
class _Found:
    tables: list[pa.Table] = field(default_factory=list)
    unusable: int = 0
    unit_length: bool = True


def _read_rows(job: Job, vectors_file: IO[bytes]) -> _Found:
    """Append the vectors to the file as raw float32; return ids, texts and extra fields."""
    found, filter = _Found(), job.config.store.filter
    with Progress("store", job.milvus.count(filter), "rows read") as progress:
        for ids, texts, vectors, extra in _batches(job.milvus, filter):
            lengths = lengths_of(vectors)
            good = np.isfinite(lengths) & (lengths > 0)
            found.unusable += int((~good).sum())
            found.unit_length = found.unit_length and bool((lengths[good] == 1).all())
            # not `tofile`: on a full disk it may end without an error
            vectors_file.write((vectors[good] / lengths[good, None]).astype(np.float32).data)
            rows = pa.table({"id": ids, "text": texts} | {name: _column(values) for name, values in extra.items()})
            found.tables.append(rows.filter(pa.array(good)))
            progress.update(len(ids))
            signals.check()
    return found


def _check_own_rows(job: Job, selected: Ids) -> None:
    """Raise `AlteredRowsError` unless each headline of this input is in the collection: in what was `selected`, or
    left out by the filter."""
    gone = np.setdiff1d(job.input_headlines.ids, selected)
    if job.config.store.filter:
        gone = np.setdiff1d(gone, job.milvus.existing(gone))
    if len(gone):
        raise AlteredRowsError(
            f"store: collection '{job.milvus.collection}' at '{job.milvus.uri}' does not have {len(gone):,} rows of "
            f"this input that were written (id {gone[0]} is one): is another program removing them? "
            "Set store.collection to another name, or run when that program does not"
        )


def _nothing_selected(job: Job) -> str:
    where, filter = f"'{job.milvus.collection}' at '{job.milvus.uri}'", job.config.store.filter
    if filter:
        return f"store.filter = '{filter}' selects no row of {where}: check its fields' names and values"
    return f"store.collection = {where} holds no row: give input.path, or name another collection"


def _batches(milvus: Milvus, filter: str) -> Iterator[tuple[Ids, list[str], Floats, dict[str, list[Any]]]]:
    fields = milvus.fields
    columns = [fields.id, fields.text, fields.vector, *fields.extra]
    size = int(np.clip(_ANSWER_BYTES // (4 * milvus.schema.dim), 1, 10_000))
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


def _finish_vectors(raw: Path, order: npt.NDArray[np.int64], dim: int) -> None:
    """Replace the raw float32 rows by a .npy file, in `order`."""
    vectors = np.memmap(raw, np.float32, "r").reshape(-1, dim)
    ordered = raw.with_name(f"{raw.name}.npy")
    step = max(1, _ANSWER_BYTES // (4 * dim))
    header = {"descr": "<f4", "fortran_order": False, "shape": vectors.shape}
    try:
        # not through a memory map: on a full disk that is a signal which ends the process without a word
        with ordered.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, len(order), step):
                file.write(vectors[order[start : start + step]].data)
        ordered.replace(raw)
    finally:
        ordered.unlink(missing_ok=True)


def _headlines(job: Job, table: pa.Table) -> Headlines:
    """The collection's rows as headlines; those of this input keep their own title, description, copies and time."""
    own = job.input_headlines
    own_rows = {id: row for row, id in enumerate(own.ids.tolist())}
    kept = own.table.to_pylist()
    times = _times(job, table)
    rows = []
    for id, text, time in zip(table["id"].to_pylist(), table["text"].to_pylist(), times, strict=True):
        row = own_rows.get(id)
        if row is None:
            title, _, rest = text.partition("\n")
            title, description = without_markup(title) or title, without_markup(rest) or None
            rows.append({"id": id, "title": title, "description": description, "text": text, "copies": 1, "time": time})
        else:
            rows.append({**kept[row], "text": text})
    return Headlines(pa.Table.from_pylist(rows, HEADLINES))


def _times(job: Job, table: pa.Table) -> list[float | None]:
    """Publication times of the rows, where the column `input.time` is one of the extra fields."""
    name = _column_of(job.config.input.time, publication.USUAL_NAMES, table)
    if name is None:
        return [None] * len(table)
    column = table[name].combine_chunks()
    times = publication.Times(job.config.input.time_format).parse(column)
    if job.config.input.time_format is not None:
        # what was stored before the format was set
        times = np.where(np.isnan(times), publication.Times().parse(column), times)
    return list(pa.array(times, from_pandas=True).to_pylist())


def _sources(job: Job, others: pa.Table) -> pa.Array:
    """Who published the rows, where the column `input.source` is one of the extra fields."""
    name = _column_of(job.config.input.source, publishers.USUAL_NAMES, others)
    if name is None:
        return pa.nulls(len(others), pa.string())
    return publishers.source_names(others[name].combine_chunks())


def _column_of(setting: str | None, usual: Sequence[str], table: pa.Table) -> str | None:
    """The column that the setting names, as ingest finds it in an input."""
    if setting is None:
        return None
    return first_usual(usual if setting == "auto" else (setting,), table.column_names)


def _write_answer_rows(job: Job, others: pa.Table, headlines: pa.Table) -> None:
    """The input's rows, then the collection's other rows with title, description and extra fields in columns of those
    names. `others` and `headlines` [m] describe the same other rows."""
    title, description = job.input_column("title"), job.input_column("description")
    columns = {title: headlines["title"], description: headlines["description"]}
    columns |= {name: others[name] for name in job.milvus.fields.extra if name not in columns}
    added = pa.table(columns)
    file, number = np.full(len(added), -1, np.int32), np.arange(len(added), dtype=np.int64)
    places = pa.table([others["id"], file, number, headlines["time"], _sources(job, others)], schema=ROWS)
    # an input of an earlier run may still be there
    if job.has_input:
        own = pq.read_table(job.run.file("input.parquet"))
        added = stack([own, _as_in(own, added)])
        places = pa.concat_tables([pq.read_table(job.run.file("rows.parquet")), places])
    for name, table in (("rows.parquet", places), ("input.parquet", added)):
        with atomic(job.run.file(COLLECTION) / name) as temporary:
            pq.write_table(table, temporary, compression="zstd")


def _as_in(own: pa.Table, added: pa.Table) -> pa.Table:
    """Milvus holds numbers, booleans and texts: the columns of other types as they are in `own`, if they fit."""
    for position, name in enumerate(added.column_names):
        if name in own.column_names:
            # a value that does not fit, as a text that is no date: the column becomes text where both are joined
            with contextlib.suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
                added = added.set_column(position, name, added[name].cast(own[name].type))
    return added
