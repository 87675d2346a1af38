"""Opening headline files: the format, gzip, files that are refused, and record numbers over several blocks."""

import codecs
import gzip
import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import Read, Write, refused, write_fixture  # noqa: F401

from job.runtime.errors import Resumable

RECORDS = [{"title": "Eins", "n": "1"}, {"title": "zwei, „drei“", "n": "2"}]
CSV = 'title,n\nEins,1\n"zwei, „drei“",2\n'.encode()


def in_format(name: str, path: Path) -> bytes:
    if ".parquet" in name or ".pq" in name:
        pq.write_table(pa.Table.from_pylist(RECORDS), path)
        return path.read_bytes()
    if ".csv" in name:
        return CSV
    if ".t" in name:
        return "title\tn\nEins\t1\nzwei, „drei“\t2\n".encode()
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS).encode()


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(
    "name", ["a.csv", "a.CSV", "a.tsv", "a.tab", "a.jsonl", "a.ndjson", "a.json", "a.parquet", "a.pq", "v1.2.csv"]
)
def test_the_suffix_names_the_format_plain_or_gzipped(write: Write, tmp_path: Path, name: str, ending: str) -> None:
    content = in_format(name.lower(), tmp_path / "scratch")
    path = write(gzip.compress(content) if ending else content, name + ending)
    assert Read(path).records == RECORDS


def test_gzip_is_recognized_by_its_bytes_not_by_its_name(write: Write) -> None:
    assert Read(write(gzip.compress(CSV), "a.csv")).records == RECORDS
    assert Read(write(CSV, "a.csv.gz")).records == RECORDS


def test_a_gzip_file_that_cannot_be_unpacked_since_the_temporary_folder_is_full(
    write: Write, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"title": [f"headline {number}" for number in range(300_000)]})
    pq.write_table(table, tmp_path / "a.parquet", compression="none", use_dictionary=False)
    path = write(gzip.compress((tmp_path / "a.parquet").read_bytes(), 1), "a.parquet.gz")
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with pytest.raises(Resumable, match=f"'{small_disk}': no space left on this disk: make room"):
        Read(path)


@pytest.mark.parametrize("name", ["headlines", "news.txt", "news.csv.zip", "news.gz"])
def test_an_unknown_suffix_needs_the_format_setting(write: Write, name: str) -> None:
    path = write(CSV, name)
    assert "set input.format to csv" in refused(path)
    assert Read(path, format="csv").records == RECORDS


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_an_empty_file_is_refused(write: Write, name: str) -> None:
    assert "is empty: expected" in refused(write(b"", name))
    assert "is empty: expected" in refused(write(codecs.BOM_UTF8, name))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "nothing.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_gzip_file_is_refused(write: Write, tmp_path: Path, name: str, damage: str) -> None:
    lines = "".join(f'{{"title": "{i * 7919 % 10007} {i * 104729}"}}\n' for i in range(5000))
    content = gzip.compress(("title\n" + lines).encode())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        middle = len(content) // 2
        content = (
            content[:middle] + bytes(byte ^ 0xFF for byte in content[middle : middle + 40]) + content[middle + 40 :]
        )
    assert "is a damaged or cut-off gzip file" in refused(write(content, name + ".gz"))


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_record_numbers_continue_from_block_to_block(write: Write, tmp_path: Path, name: str) -> None:
    count = 20_000
    if name == "a.parquet":
        pq.write_table(pa.table({"title": [str(i) for i in range(count)]}), tmp_path / name)
        path = tmp_path / name
    else:
        form = '{{"title": "{}"}}' if name == "a.jsonl" else "{}"
        head = [] if name == "a.jsonl" else ["title"]
        path = write("\n".join(head + [form.format(i) for i in range(count)]), name)
    read = Read(path)
    first = {"a.csv": 2, "a.jsonl": 1, "a.parquet": 0}[name]
    assert read.blocks > 2
    assert read.column("title") == [str(i) for i in range(count)]
    assert read.places == [(i + 1, i + first if first else 0) for i in range(count)]
