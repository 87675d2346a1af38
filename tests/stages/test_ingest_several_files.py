"""Several files whose columns differ in spelling, or that lack a column which others have."""

import logging
from pathlib import Path

import pytest
from ingested import Ingested, Write, refused, write_fixture  # noqa: F401

from job.stages.ingest_inputs import input_digest

A = "title,description,source,time\nA,x,BBC,2024-04-25T12:00Z\n"
NOON = 1_714_046_400.0


def test_names_are_found_in_each_file_by_its_own_spelling(write: Write) -> None:
    second = write("TIME,Source,Description,Title,n\n2024-04-25T12:00Z,CNN,y,B,1\n", "b.csv")
    got = Ingested([write(A, "a.csv"), second], time="time")
    assert {headline["text"] for headline in got.headlines} == {"A\nx", "B\ny"}
    assert [(row["source"], row["time"]) for row in got.rows] == [("BBC", NOON), ("CNN", NOON)]
    # one column of the answer, not two
    assert list(got.input[1]) == ["title", "description", "source", "time", "n"]
    assert got.input[1]["title"] == "B" and got.input[1]["n"] == "1"
    assert got.stats["warnings"] == [] and got.stats["title"] == "title"


def test_a_column_beside_the_one_of_the_common_spelling_keeps_its_name(write: Write) -> None:
    both = write("title,Title\nB,b\n", "b.csv")
    got = Ingested([write("Title\nA\n", "a.csv"), both])
    assert got.titles() == {"A", "B"}
    assert [(row["Title"], row["title"]) for row in got.input] == [("A", None), ("b", "B")]


def test_with_auto_each_file_has_its_own_usual_name(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    second = write("title,description,publisher,published\nB,y,CNN,2024-04-25T12:00Z\n", "b.csv")
    got = Ingested([write(A, "a.csv"), second], time="auto")
    assert [(row["source"], row["time"]) for row in got.rows] == [("BBC", NOON), ("CNN", NOON)]
    assert (got.stats["warnings"], got.stats["rows_without_time"]) == ([], 0)
    assert "input.time = auto: column 'time', column 'published'" in caplog.text


def test_rows_of_a_file_without_times_and_publishers_are_counted_and_the_file_is_named(write: Write) -> None:
    second = write("title,description,paper,posted\nB,y,CNN,2024-04-25T12:00Z\nC,y,CNN,\n", "b.csv")
    got = Ingested([write(A, "a.csv"), second], time="auto")
    assert got.stats["rows_without_time"] == 2
    time, source = got.stats["warnings"]
    assert time == (
        f"2 rows have no time, for '{second}' has no column 'time' or of another usual name (input.time): rename its "
        "column to 'time', if it has one"
    )
    assert f"2 rows have no publisher, for '{second}' has no column 'source'" in source


def test_a_column_that_is_named_must_be_in_every_file(write: Write) -> None:
    second = write("title,posted\nB,2024-04-25T12:00Z\n", "b.csv")
    assert f"input.time = 'time': no such column in '{second}'" in refused([write(A, "a.csv"), second], time="time")


def test_an_answer_of_the_job_among_the_input_is_said(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    answer = write("title,id,cluster,status,cluster_name,probability\nB,1,2,new,n,0\n", "new_assigned.csv")
    Ingested([write("title,id,cluster\nA,1,2\n", "a.csv"), answer])
    said = [line for line in caplog.messages if "an answer of this job" in line]
    assert said == [
        f"ingest: '{answer}' has the columns of an answer of this job: if it is no news, leave it out of input.path"
    ]


def test_only_folders_below_the_beginning_of_the_glob_are_columns(tmp_path: Path) -> None:
    path = tmp_path / "lr=0.1" / "date=2024-04-25" / "a.csv"
    path.parent.mkdir(parents=True)
    path.write_text("title\nA\n")
    globbed = tmp_path / "lr=0.1" / "**" / "*.csv"
    got = Ingested(globbed, time="date")
    assert got.input == [{"title": "A", "date": "2024-04-25"}]
    assert got.rows[0]["time"] == NOON - 12 * 3600
    named = Ingested(path)
    assert named.input == [{"title": "A"}]
    assert input_digest(named.config) != input_digest(got.config), "the same file, with other columns"
    said = refused(path, time="date")
    one = str(path).replace("date=2024-04-25", "date=2024-04-25*")
    assert said.endswith(f"; 'date=2024-04-25' names one where the glob has a wildcard in it: 'input.path={one}'")
    assert Ingested(one, time="date").rows[0]["time"] == NOON - 12 * 3600


def test_where_no_file_has_times_nothing_is_missing(write: Write) -> None:
    got = Ingested([write("title\nA\n", "a.csv"), write("title\nB\n", "b.csv")], time="auto")
    assert got.stats["warnings"] == []
    assert "rows_without_time" not in got.stats
