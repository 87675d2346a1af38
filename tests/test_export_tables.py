"""The tables of `export` and `Result`: their types, their texts, and what writing them takes."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from conftest import Run, read_csv

import job as package
from job.commands.export_tables import _write, stories_table
from job.commands.finished import open_finished


def test_tables_of_stories_fit_together_whatever_is_in_the_runs(job_here: Run, demo: Path, copy: Path) -> None:
    assert job_here("recut", copy, "merge_above=null", "min_cluster_size=200").returncode == 0
    many, none = package.Result(demo).stories(), package.Result(copy).stories()
    assert len(none) == 0 < len(many)
    assert pa.concat_tables([many, none]).equals(many)
    assert many.column_names == list(read_csv(demo / "topics.csv")[0])


def test_names_are_as_they_are_and_not_as_a_spreadsheet_needs_them(copy: Path) -> None:
    job = open_finished(copy)
    names = {"theme": "@elonmusk", "topic": "NA"}
    job.theme_names = [replace(row, name=names[row.level]) for row in job.theme_names]
    table = stories_table(job)
    assert set(table["theme_name"].to_pylist()) == {"@elonmusk"}
    assert set(table["topic_name"].to_pylist()) - {None} == {"NA"}


def test_a_large_csv_is_not_read_back(demo: Path, tmp_path: Path) -> None:
    block = pa.table({"text": ["x" * 1_000] * 1_000})
    tracemalloc.start()
    try:
        _write(open_finished(demo), tmp_path / "out.csv", block.schema, iter([block] * 30))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    written = (tmp_path / "out.csv").read_bytes()
    assert written.startswith(b"\xef\xbb\xbf") and len(written) > 30e6
    assert peak < 20e6
