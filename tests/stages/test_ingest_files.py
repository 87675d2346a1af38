"""Ingest: several files, of several formats, and columns within objects."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from ingested import Ingested, Write, refused, write_fixture  # noqa: F401

from job.config import Input
from job.stages.ingest_inputs import input_digest

# ---- columns within objects

HIT = {"_id": "1", "_source": {"title": "A", "summary": "x", "when": "2024-04-01T00:00:00Z", "paper": {"name": "P"}}}


def test_columns_within_objects_are_read_by_their_names(write: Write) -> None:
    answer = {"took": 1, "hits": {"total": 1, "hits": [HIT]}}
    names = {"title": "title", "description": "summary", "time": "when", "source": "paper.name"}
    got = Ingested(write(json.dumps(answer), "a.json"), **{key: f"_source.{name}" for key, name in names.items()})
    assert got.headlines[0]["text"] == "A\nx"
    assert {key: got.stats[key] for key in names} == {key: f"_source.{name}" for key, name in names.items()}
    assert got.stats["fallbacks"] == []
    assert got.rows[0]["source"] == "P"


def test_texts_within_objects_are_named_where_a_column_is_missing(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(json.dumps(HIT), "a.jsonl")
    assert refused(path).endswith("it has: '_id, _source'; set input.title=_source.title")
    got = Ingested(path, title="_source.title")
    assert "set input.description=_source.summary" in caplog.text
    # the object around the title is no publisher
    assert got.stats["source"] is None
    article = {"headline": {"main": "A", "kicker": "k"}, "abstract": "x"}
    assert refused(write(json.dumps(article), "b.jsonl")).endswith("set input.title=headline.main")
    assert refused(write(json.dumps({"webTitle": "A"}), "c.jsonl")).endswith("set input.title=webTitle")
    answers = [{"status": "ok", "articles": [{"title": title}]} for title in "AB"]
    action = (
        "set input.title=COLUMN; if its rows are in 'articles', write each on a line of its own: jq -c '.articles[]'"
    )
    assert refused(write("\n".join(map(json.dumps, answers)), "d.jsonl")).endswith(f"'status, articles'; {action}")
    hostile = [{"'; date; '": [{"title": title}]} for title in "AB"]
    assert refused(write("\n".join(map(json.dumps, hostile)), "h.jsonl")).endswith("write each on a line of its own")
    photos = [{"info": {"title": title}, "media": [{"title": "photo"}]} for title in "AB"]
    assert refused(write("\n".join(map(json.dumps, photos)), "e.jsonl")).endswith("set input.title=info.title")


def test_texts_that_differ_from_row_to_row_are_one_reason(write: Write) -> None:
    rows = [{"title": "A"}, {"title": {"x": "B"}}, {"title": {"y": "C"}}]
    got = Ingested(write(rows, "a.jsonl"))
    assert got.stats["reject_reasons"] == {"'title' is of type object, expected text": 2}
    assert [reject["reason"].split(": ")[1] for reject in got.rejects] == ["'title.x' is one", "'title.y' is one"]


# ---- several files


def test_a_glob_reads_files_in_order_and_columns_are_all_of_theirs(write: Write, tmp_path: Path) -> None:
    write("title,description,n\nA,x,1\nshared,,2\n", "news2.csv")
    write("title,extra\nB,e\nshared,\n", "news1.csv")
    write("title\nnot this one\n", "other.csv")
    got = Ingested(tmp_path / "news*.csv")
    assert got.stats["files"] == [str(tmp_path / "news1.csv"), str(tmp_path / "news2.csv")]
    assert [(row["file"], row["row"]) for row in got.rows] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert got.input[0] == {"title": "B", "extra": "e", "description": None, "n": None}
    assert got.input[2] == {"title": "A", "extra": None, "description": "x", "n": "1"}
    assert (got.headline("A")["text"], got.headline("B")["text"]) == ("A\nx", "B")
    assert got.headline("shared")["copies"] == 2


def test_a_list_of_files_of_several_formats_is_one_input(write: Write) -> None:
    got = Ingested(
        [
            write("title,n\nA,007\n", "a.csv"),
            write([{"title": "B", "n": 7}], "b.jsonl"),
            write(pa.table({"title": ["C"], "n": [7.5]}), "c.parquet"),
            write(gzip.compress(b"title\tn\nD\t\n"), "d.tsv.gz"),
        ]
    )
    assert got.titles() == set("ABCD")
    assert [row["n"] for row in got.input] == ["007", "7", "7.5", ""]


def test_a_column_of_one_type_in_all_files_keeps_it(write: Write) -> None:
    got = Ingested(
        [write([{"title": "A", "n": 7}], "a.jsonl"), write(pa.table({"title": ["B"], "n": [8]}), "b.parquet")]
    )
    assert [row["n"] for row in got.input] == [7, 8]


def test_a_file_named_twice_is_read_once(write: Write, tmp_path: Path) -> None:
    path = write("title\nA\n")
    assert Ingested([path, path, tmp_path / "*.csv"]).stats["rows"] == 1


def test_a_path_may_begin_in_the_home_folder(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("title\nA\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Input(path=["~/*.csv", "a~.csv"]).paths == [f"{tmp_path}/*.csv", "a~.csv"]


def test_a_file_whose_name_looks_like_a_pattern_is_found(write: Write) -> None:
    assert Ingested(write("title\nA\n", "news[1].csv")).titles() == {"A"}


def test_the_inputs_digest_follows_names_and_bytes(write: Write, tmp_path: Path) -> None:
    path = write("title\nA\n")
    config = Input(path=str(tmp_path / "*.csv"))
    before = input_digest(config)
    assert input_digest(config) == before
    path.write_text("title\nB\n")
    changed = input_digest(config)
    path.rename(tmp_path / "renamed.csv")
    assert len({before, changed, input_digest(config)}) == 3
