"""Files of other kinds, whatever their names: what to do about them."""

import bz2
import lzma
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import Read, Write, refused, write_fixture  # noqa: F401

TEXT = b"title\nA\n"
ZSTD = b"\x28\xb5\x2f\xfd" + TEXT


@pytest.mark.parametrize("suffix", ["", ".csv"])
@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (bz2.compress(TEXT), "n.csv.bz2", "is compressed: unpack it with bunzip2"),
        (lzma.compress(TEXT), "n.csv.xz", "is compressed: unpack it with unxz"),
        (ZSTD, "n.csv.zst", "is compressed: unpack it with zstd -d"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "n.xls", "is a spreadsheet: save it as CSV (UTF-8)"),
        (b"PK\x03\x04rest", "n.zip", "is a ZIP archive: unpack it with unzip"),
    ],
)
def test_what_is_packed_is_to_be_unpacked(write: Write, content: bytes, name: str, suffix: str, said: str) -> None:
    for format in ("auto", "csv", "jsonl"):
        assert refused(write(content, name + suffix), format=format).endswith(said)


@pytest.mark.parametrize(("member", "said"), [("xl/workbook.xml", "save it as CSV"), ("n.csv", "unpack it")])
def test_an_archive_is_told_from_a_spreadsheet(tmp_path: Path, member: str, said: str) -> None:
    path = tmp_path / "news.xlsx.csv"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, TEXT)
    assert said in refused(path)


def test_parquet_of_another_name_is_told_to_be_parquet(tmp_path: Path) -> None:
    path = tmp_path / "news.csv"
    pq.write_table(pa.table({"title": ["A"]}), path)
    for format in ("auto", "csv", "jsonl"):
        assert "is a Parquet file: rename it to .parquet, or set input.format=parquet" in refused(path, format=format)
    assert Read(path, format="parquet").column("title") == ["A"]


@pytest.mark.parametrize("start", ["BZ", "PK", "PAR", "7z"])
def test_a_header_that_only_begins_alike_is_read(write: Write, start: str) -> None:
    assert Read(write(f"{start},title\n1,A\n")).column("title") == ["A"]
