"""The rows of the answer, read back with the headlines that they have."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import DEMO, SAMPLE, Run, read_csv, write_csv

from job.backends.tables.answer_rows import AnswerRows, ParquetAnswer
from job.data import ROWS
from job.rows import Rows


def rows_of(folder: Path, ids: list[int], sources: list[str | None], headlines: list[int]) -> Rows:
    n = len(ids)
    columns = [ids, [0] * n, list(range(n)), [None] * n, sources]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, ROWS, strict=True)]
    pq.write_table(pa.table(arrays, schema=ROWS), folder / "rows.parquet")
    return Rows.load(folder / "rows.parquet", np.array(headlines, np.int64))


def test_rows_know_their_headline_and_rows_left_out_have_none(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, [30, 10, 30, 20], ["b", None, "a", "b"], [10, 30])
    assert rows.headlines.tolist() == [1, 0, 1, -1]
    assert [rows.source_names[code] if code >= 0 else None for code in rows.sources] == ["b", None, "a", "b"]
    assert np.isnan(rows.times).all()


def test_a_headlines_source_is_that_of_its_first_row_that_has_one(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, [30, 10, 30, 10, 20], [None, "x", "a", "y", "z"], [10, 30])
    assert rows.first_sources(2) == ["x", "a"]


def test_without_rows_or_headlines_nothing_breaks(tmp_path: Path) -> None:
    assert len(rows_of(tmp_path, [], [], [1])) == 0
    assert rows_of(tmp_path, [5], ["a"], []).headlines.tolist() == [-1]


def test_of_several_files_each_row_says_which_it_is_from(tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": list("ABC"), "Input_Row": [1, 2, 3]}), tmp_path / "input.parquet")
    places = {"id": [5, 6, 7], "file": [1, 0, -1], "row": [9, 8, 0], "time": [None] * 3, "source": [None] * 3}
    pq.write_table(pa.table(places, schema=ROWS), tmp_path / "rows.parquet")
    ours = pa.table({"id": pa.array([5, 6, 7], pa.int64())})
    answer = AnswerRows(tmp_path, ours, ["a.csv", "two\nlines.csv"])
    assert answer.schema.names == ["title", "input_Input_Row", "id", "input_file", "input_row"]
    (block,) = answer
    # of a collection's row that no file has, nothing is known
    assert block["input_file"].to_pylist() == ["two\\nlines.csv", "a.csv", None]
    assert block["input_row"].to_pylist() == [9, 8, None]
    assert AnswerRows(tmp_path, ours, ["a.csv"]).schema.names == ["title", "Input_Row", "id"]


def test_columns_of_the_input_with_our_names_in_any_case_are_renamed(tmp_path: Path) -> None:
    own = {"ID": ["a"], "id": [1], "Cluster": ["c"], "title": ["A"]}
    pq.write_table(pa.table(own), tmp_path / "input.parquet")
    rows_of(tmp_path, [7], [None], [7])
    ours = pa.table({"id": pa.array([7], pa.int64()), "cluster": [0]})
    answer = AnswerRows(tmp_path, ours)
    assert answer.schema.names == ["input_ID", "input_input_id", "input_Cluster", "title", "id", "cluster"]
    assert next(iter(answer)).to_pylist()[0]["input_input_id"] == 1


@pytest.mark.slow
def test_the_answers_of_several_files_and_the_rejects_name_every_row_once(job_here: Run, tmp_path: Path) -> None:
    rows = read_csv(SAMPLE)
    rows[3]["title"] = rows[300]["title"] = ""
    parts = enumerate((rows[:200], rows[200:]))
    files = {str(write_csv(tmp_path / f"news{number}.csv", part)): part for number, part in parts}
    run, out = tmp_path / "run", tmp_path / "out.csv"
    done = job_here("run", DEMO, f"input.path={tmp_path}/news*.csv", f"run_dir={run}")
    assert done.returncode == 0, done.stderr
    done = job_here("assign", run, f"{tmp_path}/news*.csv", "--output", out)
    assert done.returncode == 0, done.stderr
    for answer, rejects in (
        (run / "headlines_clustered.csv", run / "rejects.csv"),
        (out, tmp_path / "out_rejects.csv"),
    ):
        found = read_csv(answer)
        assert all(files[row["input_file"]][int(row["input_row"]) - 1]["title"] == row["title"] for row in found)
        places = [(row["input_file"], row["input_row"]) for row in found]
        places += [(row["file"], row["row"]) for row in read_csv(rejects)]
        assert len(set(places)) == len(places) == len(rows)


def test_rows_that_are_not_clustered_have_no_cluster_and_ids_keep_their_digits(tmp_path: Path) -> None:
    story = 2**62 + 1
    pq.write_table(pa.table({"title": ["A", "B"]}), tmp_path / "input.parquet")
    rows_of(tmp_path, [7, story], [None, None], [7])
    columns = {"id": pa.array([7]), "cluster": pa.array([0], pa.int32()), "story_id": pa.array([story])}
    answer = AnswerRows(tmp_path, pa.table(columns | {"probability": [0.5], "cluster_name": ["A"]}))
    with ParquetAnswer(tmp_path / "answer.parquet", answer.schema) as writer:
        answer.writers.append(writer)
        answer.write()
    assert pq.read_table(tmp_path / "answer.parquet").slice(1).to_pylist() == [
        {"title": "B", "id": story, "cluster": -1, "story_id": -1, "probability": None, "cluster_name": None}
    ]
    assert pq.read_table(tmp_path / "answer.parquet").to_pandas()["story_id"].tolist() == [story, -1]
