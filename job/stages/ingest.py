"""Ingest: read the input files into distinct headlines, the rows they came from, and the rejects."""

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from job.backends.tables import Block, Reject, Source, shown
from job.backends.tables import sources as publishers
from job.backends.tables.csv_answer import without_formula
from job.backends.tables.source import as_strings
from job.config import Input
from job.context import Job, Stage, StageResult
from job.data import ROWS
from job.runtime import signals
from job.runtime.errors import BadInput
from job.runtime.files import atomic, digest
from job.runtime.kept_vectors import keep_vectors
from job.runtime.log import logger
from job.runtime.needs import GIB, Need, Size
from job.runtime.rundir import RunDir
from job.stages.ingest_columns import Columns, column_of, find_columns, open_sources
from job.stages.ingest_inputs import input_digest, input_state
from job.stages.ingest_notes import Tally, column_notes, warnings
from job.stages.ingest_texts import clean_text, decoded_twice, distinct, says_something, texts_table, why_unusable
from job.stages.ingest_times import InputTimes, time_notes

# in the stats: which version made the texts
TEXTS_OF = "texts_of_version"
REJECT_COLUMNS = ("file", "row", "line", "reason")


class IngestStage(Stage):
    """Write `headlines.parquet`, `rows.parquet`, `input.parquet` and `rejects.csv`.

    `rows.parquet` maps every accepted input row, in order, to its headline's id, with its file, number, time and
    source; `input.parquet` holds the same rows' own columns. Memory: one block of rows, and the texts of all.
    """

    name = "ingest"
    version = 10

    def key(self, job: Job) -> list[Any]:
        job.once("input state", lambda: input_state(job.config.input, job.run.path))
        return [job.config.input.key(), job.once("input", lambda: input_digest(job.config.input, job.run.path))]

    def files(self, job: Job) -> list[str]:
        return ["headlines.parquet", "rows.parquet", "input.parquet", "rejects.csv"] if job.has_input else []

    def need(self, job: Job, size: Size) -> Need:
        return Need(
            memory=0.36 * GIB + 500 * size.rows + 4 * size.text,
            disk=1.3 * size.text + 60 * size.rows,
            loops=0.15 + 7e-6 * size.rows,
            remedy="give it fewer or smaller files",
        )

    def run(self, job: Job) -> StageResult:
        """Raises BadInput: no file, a column is missing, no usable row, a file changed since the run began."""
        if not job.has_input:
            return StageResult(0, "no input", stats={"headlines": 0, "rejects": 0})
        state = input_state(job.config.input, job.run.path)
        if job.once("input state", lambda: state) != state:
            paths = shown(", ".join(job.config.input.paths))
            raise BadInput(
                f"input.path = '{paths}': changed while it was read: start again when nobody writes to these files"
            )
        result = ingest(job.config.input, job.run)
        # with lexical weights, vectors are made anew
        if not job.config.embed.sparse:
            keep_vectors(job.run, str(result.output))
        return result


def ingest(config: Input, run: RunDir, run_dir: Path | None = None, day_first: bool | None = None) -> StageResult:
    """Read the input files into the run folder. `run_dir`: whose files are no input; None: the run folder's.
    `day_first`: whether the day comes before the month in dates such as 05/04/2024 where no other date of the input
    tells; None: that is not known."""
    sources = open_sources(config, run_dir or run.path)
    columns = find_columns(config, sources)
    tally = Tally(times=InputTimes(day_first))
    for number, (source, mine) in enumerate(zip(sources, columns, strict=True)):
        if mine.time is not None:
            tally.times.add(number, source, mine.time, config.time_format)
    texts = _read(sources, columns, config, run, tally)
    headlines = distinct(pa.concat_tables(texts))
    headlines.save(run.file("headlines.parquet"))
    rejected = sum(tally.rejects.values())
    logger.info("ingest: %s rows, %s distinct headlines, %s rejects", tally.rows, len(headlines), rejected)
    names = {key: column_of(key, columns) for key in ("title", "description", "time", "source")}
    fallbacks = time_notes(tally.times)
    if config.description is not None and names["description"] is None:
        # logged where it was found
        fallbacks.insert(0, "no description column: only titles are used")
    return StageResult(
        tally.rows,
        digest(headlines.ids),
        fallbacks=fallbacks,
        warnings=[*column_notes(tally, names), *warnings(tally)],
        stats={
            "files": [str(source.path) for source in sources],
            TEXTS_OF: IngestStage.version,
            "headlines": len(headlines),
            "copies": tally.rows - len(headlines),
            "rejects": rejected,
            "reject_reasons": dict(tally.rejects),
            **names,
            **({"rows_without_time": tally.rows_without_time} if names["time"] else {}),
            # as `assign` reads its files too
            **({"day_first": tally.times.told} if tally.times.told is not None else {}),
        },
    )


def _read(sources: list[Source], columns: list[Columns], config: Input, run: RunDir, tally: Tally) -> list[pa.Table]:
    """Write the three row files and return the cleaned texts of all blocks; counts go to `tally`.

    Raises:
        BadInput: there is no usable row; then no file is written.
    """
    schema = _common_schema(sources, columns)
    texts: list[pa.Table] = []
    seen: Counter[str] | None = None if config.deduplicate else Counter()
    with ExitStack() as stack:
        rows_file = stack.enter_context(atomic(run.file("rows.parquet")))
        input_file = stack.enter_context(atomic(run.file("input.parquet")))
        rejects_file = stack.enter_context(atomic(run.file("rejects.csv")))
        rejects = csv.writer(
            stack.enter_context(rejects_file.open("w", encoding="utf-8", errors="backslashreplace", newline="")),
            lineterminator="\n",
        )
        rejects.writerow(REJECT_COLUMNS)
        rows_out = stack.enter_context(pq.ParquetWriter(rows_file, ROWS, compression="zstd"))
        # what zstd sets up for each column would take longer than all the rest
        compression = "zstd" if len(schema) < 1_000 else "snappy"
        input_out = stack.enter_context(pq.ParquetWriter(input_file, schema, compression=compression))
        for number, source in enumerate(sources):
            # of a million rejects, all name the same file
            name, cell = shown(source.path), without_formula(shown(source.path))
            for item in _checked(number, source, columns[number], tally, seen):
                if isinstance(item, Reject):
                    reason = " ".join(item.reason.splitlines())
                    rejects.writerow([cell, item.row, item.line or "", reason])
                    tally.reject(name, item, reason)
                    continue
                block, clean, names = item
                tally.rows += len(block.rows)
                if columns[number].time is None:
                    tally.untimed[name] += len(block.rows)
                if columns[number].source is None:
                    tally.unnamed[name] += len(block.rows)
                texts.append(clean)
                files = np.full(len(block.rows), number, np.int32)
                rows_out.write_table(pa.table([clean["id"], files, block.rows, clean["time"], names], schema=ROWS))
                input_out.write_table(_widen(block.table.rename_columns(columns[number].common), schema))
                signals.check()
        if not tally.rows:
            why = f"; the first reject: {tally.first_reject}" if tally.first_reject else ""
            raise BadInput(f"input.path = '{shown(', '.join(config.paths))}': no usable row{why}")
    return texts


def _common_schema(sources: list[Source], columns: list[Columns]) -> pa.Schema:
    """All files' columns; a column whose type differs between files becomes text."""
    fields: dict[str, pa.Field] = {}
    for source, mine in zip(sources, columns, strict=True):
        for item, name in zip(source.schema, mine.common, strict=True):
            known = fields.setdefault(name, pa.field(name, item.type))
            if known.type != item.type:
                fields[name] = pa.field(name, pa.string())
    return pa.schema(fields.values())


def _widen(table: pa.Table, schema: pa.Schema) -> pa.Table:
    there = dict(zip(table.column_names, table.columns, strict=True))
    columns = []
    for item in schema:
        if item.name not in there:
            columns.append(pa.nulls(table.num_rows, item.type))
        elif there[item.name].type == item.type:
            columns.append(there[item.name])
        else:
            columns.append(as_strings(there[item.name]))
    return pa.Table.from_arrays(columns, schema=schema)


def _checked(
    number: int, source: Source, columns: Columns, tally: Tally, seen: Counter[str] | None
) -> Iterator[tuple[Block, pa.Table, pa.Array] | Reject]:
    """Each block of the source, the file of this number, with its cleaned texts (id, title, description, text, time)
    and its rows' publishers; and the rejects."""
    for item in source.blocks():
        if isinstance(item, Reject):
            yield item
            continue
        titles = clean_text(item.table[columns.title].combine_chunks())
        usable = says_something(titles)
        for position in np.flatnonzero(~np.asarray(usable)):
            reason = why_unusable(item.table[columns.title][position].as_py())
            yield Reject(item.rows[position], item.lines[position], reason)
        table = item.table.filter(usable)
        if not table.num_rows:
            continue
        keep = np.flatnonzero(np.asarray(usable))
        block = Block(table, [item.rows[i] for i in keep], [item.lines[i] for i in keep])
        titles = titles.filter(usable)
        twice = decoded_twice(table[columns.title].combine_chunks())
        tally.decoded_twice += len(twice)
        tally.first_decoded_twice = tally.first_decoded_twice or next(iter(twice), "")
        descriptions = pa.array([""] * len(titles), pa.string())
        if columns.description is not None:
            descriptions = clean_text(table[columns.description].combine_chunks())
            descriptions = pc.if_else(says_something(descriptions), descriptions, "")
        times = np.full(len(titles), np.nan)
        if columns.time is not None:
            times = tally.times.files[number].times.parse(table[columns.time].combine_chunks())
        names = pa.nulls(len(titles), pa.string())
        if columns.source is not None:
            names = publishers.source_names(table[columns.source].combine_chunks())
        yield block, texts_table(titles, descriptions, times, seen), names
