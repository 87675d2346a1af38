"""Files of other kinds, whatever their names: what to do about them."""

import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import Read, Write, refused, write_fixture  # noqa: F401

TEXT = b"title\nA\n"


def archive(*members: str, method: int = zipfile.ZIP_STORED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as file:
        for member in members:
            file.writestr(member, TEXT)
    return packed.getvalue()


def changed(content: bytes, offset: int, value: int) -> bytes:
    """An archive with another byte in the entry of its first member in the list at its end."""
    place = content.index(b"PK\x01\x02") + offset
    return content[:place] + bytes([value]) + content[place + 1 :]


@pytest.mark.parametrize("suffix", ["", ".csv"])
@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"7z\xbc\xaf\x27\x1crest", "n.csv.7z", "is compressed: unpack it with 7z x"),
        (b"\x04\x22\x4d\x18rest", "n.csv.lz4", "is compressed: unpack it with lz4 -d"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "n.xls", "is a spreadsheet: save it as CSV (UTF-8)"),
        (archive("a.csv", "b.csv"), "n.zip", "is a ZIP archive of 2 files: unpack it with unzip"),
        (archive("a.csv.gz"), "n.zip", "is a ZIP archive of a file that is compressed itself: unpack it with unzip"),
        (changed(archive("a.csv"), 8, 1), "n.zip", "is a ZIP archive with a password: unpack it with unzip"),
        (
            changed(archive("a.csv"), 10, 9),
            "n.zip",
            "is a ZIP archive of an unusual method of compression (9): unpack it with unzip",
        ),
        (b"version https://git-lfs.github.com/spec/v1\noid", "n.parquet", "get the file itself with git lfs pull"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><rss/>', "feed.xml", "(a feed, for example with feedparser)"),
        (b"\n<!DOCTYPE html>\n<html>", "n.json", "(a feed, for example with feedparser)"),
        (b"PK\x03\x04rest", "n.zip", "is a damaged or cut-off ZIP file (File is not a zip file)"),
    ],
)
def test_what_is_packed_is_to_be_unpacked(write: Write, content: bytes, name: str, suffix: str, said: str) -> None:
    for format in ("auto", "csv", "jsonl"):
        assert refused(write(content, name + suffix), format=format).endswith(said)


def test_an_archive_is_told_from_a_spreadsheet(write: Write) -> None:
    assert "save it as CSV" in refused(write(archive("xl/workbook.xml"), "news.xlsx.csv"))
    assert Read(write(archive("n.csv"), "news.xlsx.csv")).column("title") == ["A"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_of_one_file_is_read_as_that_files_name_says(write: Write, method: int) -> None:
    made_on_a_mac = ("data/News.TSV", "__MACOSX/data/._News.TSV", "data/.DS_Store")
    assert Read(write(archive(*made_on_a_mac, method=method), "archive.zip")).column("title") == ["A"]
    assert Read(write(archive("headlines", method=method), "news.csv.zip")).column("title") == ["A"]
    assert "none of the suffixes" in refused(write(archive("headlines"), "news.zip"))


def test_parquet_of_another_name_is_told_to_be_parquet(tmp_path: Path) -> None:
    path = tmp_path / "news.csv"
    pq.write_table(pa.table({"title": ["A"]}), path)
    for format in ("auto", "csv", "jsonl"):
        assert "is a Parquet file: rename it to .parquet, or set input.format=parquet" in refused(path, format=format)
    assert Read(path, format="parquet").column("title") == ["A"]


@pytest.mark.parametrize("start", ["BZh1", "PK", "PAR", "7z"])
def test_a_header_that_only_begins_alike_is_read(write: Write, start: str) -> None:
    assert Read(write(f"{start},title\n1,A\n")).column("title") == ["A"]
