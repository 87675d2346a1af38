"""What the head of a CSV file says of the rest: its encoding, and its separator."""

import gzip
from pathlib import Path

import pytest
from source_files import Read, Write, refused, write_fixture  # noqa: F401

TEXT = "title,description\nA,x\n"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [TEXT, "标题,描述\r\nA,x\r\n", "title\nA\n"])
def test_utf_16_without_a_byte_order_mark_is_told_by_its_nuls(write: Write, encoding: str, text: str) -> None:
    path = write(text.encode(encoding))
    assert refused(path).endswith(f"is UTF-16: set input.encoding={encoding}")
    assert len(Read(path, encoding=encoding).records) == 1


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz"])
def test_a_first_line_that_names_the_separator_is_passed_over(write: Write, name: str) -> None:
    text = b'\xef\xbb\xbfsep=;\r\ntitle;n\r\n"A;, b";1\r\nB;2;3\r\nC;3\r\n'
    read = Read(write(gzip.compress(text) if name.endswith("gz") else text, name))
    assert read.records == [{"title": "A;, b", "n": "1"}, {"title": "C", "n": "3"}]
    assert (read.places, read.rejects) == ([(1, 3), (3, 5)], [(2, 4)])
    assert Read(write("\nsep=|\n\ntitle|n\nA|1\n")).places == [(1, 5)]


def test_one_nul_in_a_header_is_no_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"title,da\0te\nA,1\n")
    assert Read(path).column("title") == ["A"]


def test_a_header_with_spaces_after_its_commas_says_that_rows_have_them(write: Write) -> None:
    read = Read(write('"title", "description" , n\n"A, b", "x, ""y""",  1\nC,z, "two\nlines"\n'))
    assert read.schema.names == ["title", "description", "n"]
    assert read.records == [
        {"title": "A, b", "description": 'x, "y"', "n": "1"},
        {"title": "C", "description": "z", "n": "two\nlines"},
    ]
    assert Read(write("title, description,n\nA, b,1\n")).column("description") == [" b"]
