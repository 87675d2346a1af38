"""Ingest: read the input files into distinct headlines, the rows they came from, and the rejects."""

import csv
import glob
import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from job.backends.tables import Block, Reject, Source, open_source, reading
from job.backends.tables.source import as_strings
from job.config import Input
from job.context import Job, Stage, StageResult
from job.data import HEADLINES, ROWS, Headlines, Ids
from job.runtime import signals
from job.runtime.errors import BadInput, JobError
from job.runtime.log import logger
from job.runtime.rundir import RunDir, atomic, digest, digest_file

# line ends and tabs separate words, so they become spaces; other control characters are removed
_SPACING = "[\t\n\x0b\x0c\r\x85\u2028\u2029]"
_CONTROL = r"\p{Cc}"


@dataclass
class _Tally:
    rows: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    first_reject: str = ""


class IngestStage(Stage):
    """Write `headlines.parquet`, `rows.parquet`, `input.parquet` and `rejects.csv`.

    `rows.parquet` maps every accepted input row, in order, to its headline's id, with its file and number;
    `input.parquet` holds the same rows' own columns. Memory: one block of rows, and the titles and descriptions of all.
    """

    name = "ingest"

    def key(self, job: Job) -> list[Any]:
        return [job.config.input.key(), input_digest(job.config.input)]

    def files(self, job: Job) -> list[str]:
        return ["headlines.parquet", "rows.parquet", "input.parquet", "rejects.csv"] if job.has_input else []

    def run(self, job: Job) -> StageResult:
        """Raises BadInput: no file, a column is missing, no usable row."""
        if not job.has_input:
            return StageResult(0, "no input", stats={"headlines": 0, "rejects": 0})
        return ingest(job.config.input, job.run)


def ingest(config: Input, run: RunDir) -> StageResult:
    """Read the input files into the run folder."""
    sources = open_sources(config)
    description = _description(config, sources)
    tally = _Tally()
    texts = _read(sources, config, description, run, tally)
    if not tally.rows:
        why = f"; the first reject: {tally.first_reject}" if tally.first_reject else ""
        raise BadInput(f"input.path = '{', '.join(config.paths)}': no usable row{why}")
    headlines = _distinct(pa.concat_tables(texts))
    headlines.save(run.file("headlines.parquet"))
    rejected = sum(tally.rejects.values())
    logger.info("ingest: %s rows, %s distinct headlines, %s rejects", tally.rows, len(headlines), rejected)
    return StageResult(
        tally.rows,
        digest(headlines.ids),
        fallbacks=[] if description == config.description else ["no description column: only titles are used"],
        stats={
            "files": [str(source.path) for source in sources],
            "headlines": len(headlines),
            "copies": tally.rows - len(headlines),
            "rejects": rejected,
            "reject_reasons": dict(tally.rejects),
            "description": description,
        },
    )


def _read(sources: list[Source], config: Input, description: str | None, run: RunDir, tally: _Tally) -> list[pa.Table]:
    """Write the three row files and return the cleaned texts of all blocks; counts go to `tally`."""
    schema = _common_schema(sources)
    texts: list[pa.Table] = []
    seen: Counter[str] | None = None if config.deduplicate else Counter()
    with ExitStack() as stack:
        rows_file = stack.enter_context(atomic(run.file("rows.parquet")))
        input_file = stack.enter_context(atomic(run.file("input.parquet")))
        rejects_file = stack.enter_context(atomic(run.file("rejects.csv")))
        rejects = csv.writer(
            stack.enter_context(rejects_file.open("w", encoding="utf-8", newline="")), lineterminator="\n"
        )
        rejects.writerow(["file", "row", "line", "reason"])
        rows_out = stack.enter_context(pq.ParquetWriter(rows_file, ROWS, compression="zstd"))
        input_out = stack.enter_context(pq.ParquetWriter(input_file, schema, compression="zstd"))
        for number, source in enumerate(sources):
            for item in _checked(source, config.title, description, seen):
                if isinstance(item, Reject):
                    rejects.writerow([source.path, item.row, item.line or "", item.reason])
                    tally.rejects[item.reason.split(":")[0]] += 1
                    tally.first_reject = tally.first_reject or f"{source.path}, row {item.row}: {item.reason}"
                    continue
                block, clean = item
                tally.rows += len(block.rows)
                texts.append(clean)
                files = np.full(len(block.rows), number, np.int32)
                rows_out.write_table(pa.table([clean["id"], files, block.rows], schema=ROWS))
                input_out.write_table(_widen(block.table, schema))
                signals.check()
    return texts


def input_digest(config: Input) -> str:
    """Digest of the input's content: the files' names and bytes.

    Raises:
        BadInput: no such file.
    """
    parts: list[list[str]] = []
    for path in find_files(config):
        with reading(path):
            parts.append([str(path), digest_file(path)])
    return digest(parts)


def find_files(config: Input) -> list[Path]:
    """The input's files, globs expanded in sorted order."""
    found: list[Path] = []
    for pattern in config.paths:
        here = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]
        if not here and Path(pattern).exists():
            here = [Path(pattern)]
        if not here:
            raise BadInput(f"input.path = '{pattern}': no such file; give a file or a glob such as 'news/*.csv'")
        for path in here:
            if path.is_dir():
                raise BadInput(f"input.path = '{path}' is a folder: name the files in it, such as '{path}/*.csv'")
            if path not in found:
                found.append(path)
    return found


def open_sources(config: Input) -> list[Source]:
    """Open every file's head and check that it has the title column.

    Raises:
        BadInput: a file is missing, empty, unreadable, or lacks the title column (the message lists what it has).
    """
    texts = {config.title} | ({config.description} if config.description else set())
    sources = [open_source(path, config.format, config.encoding, texts) for path in find_files(config)]
    for source in sources:
        if config.title not in source.schema.names:
            raise BadInput(_no_column(source, "title", config.title))
    return sources


def _description(config: Input, sources: list[Source]) -> str | None:
    """The description column; None where no file has the default one: then only titles are used."""
    name = config.description
    if name is None:
        return None
    without = [source for source in sources if name not in source.schema.names]
    if not without:
        return name
    if name != Input.model_fields["description"].default:
        raise BadInput(_no_column(without[0], "description", name))
    logger.warning("ingest: no column 'description' in %s: only its titles are used", without[0].path)
    return name if len(without) < len(sources) else None


def _no_column(source: Source, key: str, name: str) -> str:
    names = ", ".join(source.schema.names)
    shown = names if len(names) < 500 else names[:497] + "..."
    return f"input.{key} = '{name}': no such column in '{source.path}'; it has: {shown!r}; set input.{key}=COLUMN"


def _common_schema(sources: list[Source]) -> pa.Schema:
    """All files' columns; a column whose type differs between files becomes text."""
    fields: dict[str, pa.Field] = {}
    for source in sources:
        for item in source.schema:
            known = fields.setdefault(item.name, pa.field(item.name, item.type))
            if known.type != item.type:
                fields[item.name] = pa.field(item.name, pa.string())
    return pa.schema(fields.values())


def _widen(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for item in schema:
        if item.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, item.type))
        elif table[item.name].type == item.type:
            columns.append(table[item.name])
        else:
            columns.append(as_strings(table[item.name]))
    return pa.Table.from_arrays(columns, schema=schema)


def _checked(
    source: Source, title: str, description: str | None, seen: Counter[str] | None
) -> Iterator[tuple[Block, pa.Table] | Reject]:
    """Each block of the source with its cleaned texts (id, title, description, text), and the rejects."""
    for item in source.blocks():
        if isinstance(item, Reject):
            yield item
            continue
        titles = clean_text(item.table[title].combine_chunks())
        usable = pc.greater(pc.utf8_length(titles), 0)
        for position in np.flatnonzero(~np.asarray(usable)):
            missing = not item.table[title][int(position)].is_valid
            reason = "title is missing" if missing else "title is blank"
            yield Reject(item.rows[position], item.lines[position], reason)
        table = item.table.filter(usable)
        if not table.num_rows:
            continue
        keep = np.flatnonzero(np.asarray(usable))
        block = Block(table, [item.rows[i] for i in keep], [item.lines[i] for i in keep])
        titles = titles.filter(usable)
        if description is not None and description in table.column_names:
            descriptions = clean_text(table[description].combine_chunks())
        else:
            descriptions = pa.array([""] * len(titles), pa.string())
        yield block, _texts(titles, descriptions, seen)


def clean_text(column: pa.Array) -> pa.Array:
    """Unicode NFC, line ends and tabs to spaces, other control characters dropped, trimmed; null becomes ''."""
    column = pc.utf8_normalize(pc.fill_null(column, ""), "NFC")
    column = pc.replace_substring_regex(column, _SPACING, " ")
    column = pc.replace_substring_regex(column, _CONTROL, "")
    return pc.utf8_trim_whitespace(column)


def _texts(titles: pa.Array, descriptions: pa.Array, seen: Counter[str] | None) -> pa.Table:
    """id, title, description and text of each row. `seen` counts equal texts where each copy becomes a headline of its
    own; None merges copies."""
    no_description = pc.equal(descriptions, "")
    texts = pc.if_else(no_description, titles, pc.binary_join_element_wise(titles, descriptions, "\n"))
    ids = []
    for text in texts.to_pylist():
        ids.append(headline_id(text, seen[text] if seen is not None else 0))
        if seen is not None:
            seen[text] += 1
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "title": titles,
            "description": pc.if_else(no_description, None, descriptions),
            "text": texts,
        }
    )


def headline_id(text: str, copy: int = 0) -> int:
    """A 63-bit id from BLAKE2b of the normalized text; `copy` distinguishes equal texts where copies are kept."""
    salt = copy.to_bytes(8, "big")
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, salt=salt).digest(), "big") >> 1


def _distinct(texts: pa.Table) -> Headlines:
    """One row per text, ascending by id, with the number of its copies."""
    ids: Ids = texts["id"].to_numpy()
    order = np.argsort(ids, kind="stable")
    new = np.concatenate([[True], ids[order][1:] != ids[order][:-1]])
    first = order[new]
    group = np.cumsum(new) - 1
    copies = np.bincount(group).astype(np.int32)
    repeats = np.flatnonzero(~new)
    if len(repeats):
        copies_of, originals = texts["text"].take(order[repeats]), texts["text"].take(first[group[repeats]])
        if not pc.all(pc.equal(copies_of, originals)).as_py():
            raise JobError("two different headlines have the same 63-bit id: please report these two texts")
    table = texts.take(first).append_column("copies", pa.array(copies))
    return Headlines(table.combine_chunks().cast(HEADLINES))
