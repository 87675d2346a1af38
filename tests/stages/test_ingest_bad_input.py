"""Ingest: input that is refused as a whole, and what the message says."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from ingested import Ingested, Write, refused, write_fixture  # noqa: F401

from job.runtime.errors import BadInput


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert f"input.path = '{tmp_path}/nothing.csv': no such file" in refused(tmp_path / "nothing.csv")
    assert f"input.path = '{tmp_path}/*.csv': no such file" in refused(tmp_path / "*.csv")


def test_one_missing_file_of_several_is_named(write: Write, tmp_path: Path) -> None:
    assert "nothing.csv': no such file" in refused([write("title\nA\n"), tmp_path / "nothing.csv"])


def test_a_folder_is_answered_with_how_to_name_its_files(tmp_path: Path) -> None:
    (tmp_path / "news").mkdir()
    text = refused(tmp_path / "news")
    assert "is a folder" in text
    assert f"'{tmp_path / 'news'}/*.csv'" in text


def test_a_missing_title_column_is_answered_with_those_there_are(write: Write) -> None:
    text = refused(write("headline,summary\nA,x\n"))
    assert "input.title = 'title': no such column" in text
    assert "it has: 'headline, summary'" in text
    assert text.endswith("set input.title=headline")
    assert refused(write("a,b\nA,x\n")).endswith("set input.title=COLUMN")


def test_a_file_without_a_header_is_told_to_have_one(write: Write) -> None:
    first = "Retraites : l'intersyndicale appelle à de nouvelles actions les 14, 15 et 16 janvier"
    text = refused(write(f'"{first}",2020-01-10\n"Autre",2020-01-11\n'))
    assert text.endswith("set input.title=COLUMN, or give the file a first line with the columns' names")


def test_a_title_missing_in_one_file_of_several_names_that_file(write: Write) -> None:
    good, bad = write("title\nA\n", "a.csv"), write("headline\nB\n", "b.csv")
    assert f"no such column in '{bad}'" in refused([good, bad])


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.tsv"])
def test_an_empty_file_is_said_to_be_empty(write: Write, name: str) -> None:
    assert "is empty" in refused(write("", name))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("title,description\n", "no usable row"),
        ("title,description\n,x\n,y\n", "no usable row; the first reject: "),
        ("title,description\nragged\n", "row 1: 1 fields where the header has 2"),
    ],
)
def test_a_file_without_a_usable_row_is_refused_with_the_first_reject(write: Write, content: str, why: str) -> None:
    path = write(content)
    text = refused(path)
    assert text.startswith(f"input.path = '{path}': no usable row")
    assert why in text


def test_bad_input_leaves_no_half_written_file(write: Write, tmp_path: Path) -> None:
    whole = gzip.compress(("title\n" + "".join(f"{i * 7919} {i}\n" for i in range(40_000))).encode())
    path = write(whole[: len(whole) * 3 // 4], "cut.csv.gz")
    assert "damaged or cut-off gzip" in refused(path)
    assert list((tmp_path / "run0").iterdir()) == []


def test_undecodable_bytes_in_a_parquet_title_are_a_reject_or_bad_input(write: Write) -> None:
    titles = pa.StringArray.from_buffers(2, pa.array([0, 2, 5], pa.int32()).buffers()[1], pa.py_buffer(b"okc\xffb"))
    path = write(pa.table({"title": titles}), "a.parquet")
    try:
        assert len(Ingested(path).rejects) == 1
    except BadInput as error:
        assert str(path) in str(error)


def test_a_column_of_lists_in_one_file_and_text_in_another_becomes_text(write: Write) -> None:
    got = Ingested(
        [write(pa.table({"title": ["A"], "tags": [["a"]]}), "a.parquet"), write("title,tags\nB,b\n", "b.csv")]
    )
    assert got.input[0]["tags"] in ('["a"]', "['a']")


@pytest.mark.parametrize("name", ["title", "n"])
def test_a_parquet_file_with_a_name_twice_is_read_or_refused(write: Write, name: str) -> None:
    table = pa.Table.from_arrays([pa.array(["A"]), pa.array(["x"]), pa.array(["y"])], names=["title", name, "n"])
    path = write(table, "a.parquet")
    try:
        assert Ingested(path).titles() == {"A"}
    except BadInput as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("content", [b"nonsense\n", '{"title": "A"}\n'.encode("utf-16")], ids=["nonsense", "utf-16"])
def test_json_lines_without_one_good_line_say_what_is_wrong(write: Write, content: bytes) -> None:
    text = refused(write(content, "a.jsonl"))
    assert "not JSON" in text or "input.encoding" in text


def test_blank_lines_before_the_header_are_skipped(write: Write) -> None:
    got = Ingested(write("\n\ntitle,description\nA,x\n"))
    assert got.titles() == {"A"}
    assert [row["row"] for row in got.rows] == [1]


def test_a_line_of_spaces_before_the_header_is_skipped(write: Write) -> None:
    assert Ingested(write("  \ntitle,description\nA,x\n")).titles() == {"A"}
