"""What is said of files that cannot be read as they are: what to do about it."""

import json

import pytest
from ingested import Ingested, Write, refused, write_fixture  # noqa: F401

from job.config import Input
from job.runtime.errors import BadInput
from job.stages.ingest_columns import open_sources


def test_a_header_that_does_not_decode_is_answered_with_an_encoding(write: Write) -> None:
    path = write("Überschrift;Text\nGröße;x\n".encode("cp1252"))
    said = refused(path, title="Überschrift")
    assert "it has: '\ufffdberschrift, Text'; its header is in another encoding: set input.encoding=cp1252" in said
    assert Ingested(path, title="Überschrift", encoding="cp1252").titles() == {"Größe"}


@pytest.mark.parametrize("lines", [None, 1])
def test_rows_by_their_number_are_answered_with_how_to_write_rows(write: Write, lines: int | None) -> None:
    frame = {"0": {"title": "A"}, "1": {"title": "B"}}
    said = refused(write(json.dumps(frame, indent=lines), "a.json"))
    assert "it has: '0, 1'; these are no rows one after the other: with pandas, write to_json(orient='records')" in said
    split = {"columns": ["title"], "index": [0], "data": [["A"]]}
    assert refused(write(json.dumps(split), "b.json")).endswith("with pandas, write to_json(orient='records')")
    # pandas names the columns of a CSV file without a header so
    assert refused(write("0,1\nA,x\n")).endswith("set input.title=COLUMN")


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ({"type": "text/plain", "value": "A"}, "title.value"),
        ({"lang": "en", "rendered": "A"}, "title.rendered"),
        ({"@type": "html", "#text": "A"}, "title.#text"),
        ({"type": "html", "$t": "A"}, "title.$t"),
        ({"main": "A", "kicker": "k"}, "title.main"),
    ],
)
def test_titles_that_are_all_objects_are_refused_before_the_run(write: Write, title: dict[str, str], name: str) -> None:
    path = write([{"title": title, "n": 1}, {"title": None}], "a.jsonl")
    said = refused(path)
    assert said.endswith(f"expected text: '{name}' is one; no row has text there itself: set input.title={name}")
    with pytest.raises(BadInput, match="no row has text there"):
        open_sources(Input(path=str(path)))
    assert Ingested(path, title=name).titles() == {"A"}


def test_descriptions_that_are_all_objects_are_refused_too(write: Write) -> None:
    path = write([{"title": "A", "description": {"type": "html", "value": "x"}}], "a.jsonl")
    assert refused(path).endswith("set input.description=description.value")
    assert Ingested(path, description=None).titles() == {"A"}
    assert refused(write([{"title": 5}], "b.jsonl")).endswith("is of type int, expected text; no row has text there")


def test_a_file_with_some_titles_that_are_texts_is_read(write: Write) -> None:
    assert Ingested(write([{"title": 5}, {"title": "A"}], "a.jsonl")).stats["rejects"] == 1


@pytest.mark.parametrize("header", ["20240425120000,bbc.co.uk,A", "7,https://example.com/a,A", f"3,{'A b ' * 20},x"])
def test_a_file_without_a_header_is_told_so(write: Write, header: str) -> None:
    said = refused(write(f"{header}\n{header}\n"))
    assert said.endswith("set input.title=COLUMN, or give the file a first line with the columns' names")
