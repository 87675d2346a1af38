"""Files that are large in one direction: long lines, many columns, deep nesting."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from source_files import Read, Write, write_fixture

from job.backends.tables import Block, open_source
from job.runtime.errors import BadInput

__all__ = ["write_fixture"]

MB = 10**6
TOO_LONG = "longer than 1 million characters; see input.max_line_mb"
ANY = ("auto", "utf-8", {"title"})


@pytest.mark.parametrize(
    ("name", "head", "line"),
    [("a.csv", "title,x\n", "{},1"), ("a.tsv", "title\tx\n", "{}\t1"), ("a.jsonl", "", '{{"title": "{}", "x": "1"}}')],
)
def test_a_line_that_is_too_long_is_one_reject_and_reading_goes_on(
    write: Write, name: str, head: str, line: str
) -> None:
    texts = ["first", "x" * (MB + 1), "é" * (MB // 2), "last"]
    path = write(head + "\n".join(map(line.format, texts)) + "\n", name)
    read = Read(path, max_line_mb=1)
    assert [len(title) for title in read.column("title")] == [5, MB // 2, 4]
    assert read.rejects == [(2, 3 if head else 2)]
    assert read.reasons == [TOO_LONG]
    assert len(Read(path, max_line_mb=2).records) == 4


def test_a_long_line_within_an_open_quote_rejects_two_lines_and_no_more(write: Write) -> None:
    long = "x" * (MB + 1)
    read = Read(write(f'title,x\na,1\n"open,2\nb,3\n{long}\nc,4\n'), max_line_mb=1)
    assert read.column("title") == ["a", "b", "c"]
    assert read.places == [(1, 2), (3, 4), (5, 6)]
    assert read.reasons == [
        "a quote that opens here is never closed",
        "longer than 1 million characters; see input.max_line_mb",
    ]


def test_a_header_that_is_too_long_is_refused(write: Write) -> None:
    with pytest.raises(BadInput, match=r"its header is longer than 1 million characters; see input\.max_line_mb"):
        Read(write("title," + "x" * MB + "\na,b\n"), max_line_mb=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz"])
def test_a_small_gzip_file_that_unpacks_to_gigabytes_of_spaces_fills_no_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    head, last = ("title\nfirst\n", "last\n") if "csv" in name else ('{"title": "first"}\n', '{"title": "last"}\n')
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write(head.encode())
        for _ in range(150):
            file.write(b" " * (4 * MB))
        file.write(b"\n" + last.encode())
    assert path.stat().st_size < 4 * MB
    program = (
        "import sys, resource; from pathlib import Path; from job.backends.tables import open_source;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "items = list(open_source(Path(sys.argv[1]), 'auto', 'utf-8', {'title'}).blocks());"
        "print(len(items), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], cwd=ROOT, capture_output=True, text=True, check=True)
    items, megabytes = map(int, done.stdout.split())
    assert items == 2 and megabytes < 300


def test_many_columns_of_csv_are_read(write: Write) -> None:
    names = ["title", *(f"c{i}" for i in range(20_000))]
    line = "," * 20_000
    read = Read(write(",".join(names) + "\n" + f"a{line}\n" * 50))
    assert len(read.schema) == 20_001 and len(read.records) == 50


def test_a_thousand_equal_column_names_are_read(write: Write) -> None:
    read = Read(write(",".join(["title"] * 1000) + "\n" + ",".join("a" * 1000) + "\n"))
    assert len(set(read.schema.names)) == 1000 and len(read.records) == 1


def test_many_keys_of_json_are_read(write: Write) -> None:
    lines = [json.dumps({"title": "a", **{f"k{i}": i for i in range(k * 10_000, (k + 1) * 10_000)}}) for k in range(5)]
    read = Read(write("\n".join(lines), "a.jsonl"))
    assert len(read.schema) == 50_001 and len(read.records) == 5


def test_empty_fields_count_for_the_size_of_a_block(write: Write) -> None:
    source = open_source(write(",".join(f"c{i}" for i in range(10_000)) + "\n" + ("," * 9_999 + "\n") * 1_000), *ANY)
    assert [len(item.rows) for item in source.blocks() if isinstance(item, Block)] == [800, 200]


@pytest.mark.parametrize("depth", [201, 990, 100_000])
@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
def test_deep_json_is_one_reject(write: Write, depth: int, pair: str) -> None:
    deep = pair[:-1] * depth + "1" + pair[-1] * depth
    read = Read(write(f'{{"title": "a"}}\n{{"title": "b", "x": {deep}}}\n{{"title": "c"}}\n', "a.jsonl"))
    assert read.column("title") == ["a", "c"]
    assert read.rejects == [(2, 2)] and read.reasons[0].startswith("not JSON: ")


def test_json_that_is_wide_or_nested_a_little_is_no_reject(write: Write) -> None:
    deep = "[" * 100 + "]" * 100
    wide = json.dumps([{}] * 1000)
    read = Read(write(f'{{"title": "a", "x": {deep}}}\n{{"title": "b", "x": {wide}}}\n', "a.jsonl"))
    assert read.column("x") == [deep, wide]


@pytest.mark.parametrize("content", [",,,\n", ",,,\n,,,\n", " \n,\n"])
def test_a_header_of_delimiters_only_has_columns_or_is_refused(write: Write, content: str) -> None:
    assert Read(write(content)).records == []
