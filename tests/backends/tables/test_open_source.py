"""Opening headline files: the format, gzip, files that are refused, and record numbers over several blocks."""

import bz2
import codecs
import gzip
import json
import lzma
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import Read, Write, refused, write_fixture  # noqa: F401

from job.runtime.errors import Resumable

PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: bytes(pa.compress(content, codec="zstd", asbytes=True)),
}
KINDS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "Zstandard"}
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


@pytest.mark.parametrize("ending", ["", ".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize(
    "name", ["a.csv", "a.CSV", "a.tsv", "a.tab", "a.jsonl", "a.ndjson", "a.json", "a.parquet", "a.pq", "v1.2.csv"]
)
def test_the_suffix_names_the_format_plain_or_compressed(write: Write, tmp_path: Path, name: str, ending: str) -> None:
    content = in_format(name.lower(), tmp_path / "scratch")
    path = write(PACK[ending](content) if ending else content, name + ending)
    assert Read(path).records == RECORDS


@pytest.mark.parametrize("ending", PACK)
def test_compression_is_recognized_by_the_bytes_not_by_the_name(write: Write, ending: str) -> None:
    assert Read(write(PACK[ending](CSV), "a.csv")).records == RECORDS
    assert Read(write(CSV, f"a.csv{ending}")).records == RECORDS
    first, rest = CSV[:20], CSV[20:]
    assert Read(write(PACK[ending](first) + PACK[ending](rest), "parts.csv")).records == RECORDS


def test_a_gzip_file_that_cannot_be_unpacked_since_the_temporary_folder_is_full(
    write: Write, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"title": [f"headline {number}" for number in range(300_000)]})
    pq.write_table(table, tmp_path / "a.parquet", compression="none", use_dictionary=False)
    path = write(gzip.compress((tmp_path / "a.parquet").read_bytes(), 1), "a.parquet.gz")
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with pytest.raises(Resumable, match=f"'{small_disk}': no space left on this disk: make room"):
        Read(path)


@pytest.mark.parametrize("name", ["headlines", "news.txt", "news.csv.br", "news.gz", "news.zip"])
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
@pytest.mark.parametrize(("ending", "kind"), KINDS.items())
def test_a_damaged_compressed_file_is_refused(write: Write, name: str, damage: str, ending: str, kind: str) -> None:
    if (ending, damage) == (".zst", "flipped"):
        pytest.skip("pyarrow writes no checksums there")
    lines = "".join(f'{{"title": "{i * 7919 % 10007} {i * 104729}"}}\n' for i in range(5000))
    content = PACK[ending](("title\n" + lines).encode())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        middle = len(content) // 2
        content = (
            content[:middle] + bytes(byte ^ 0xFF for byte in content[middle : middle + 40]) + content[middle + 40 :]
        )
    assert f"is a damaged or cut-off {kind} file" in refused(write(content, name + ending))


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
