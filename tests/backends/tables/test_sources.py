"""Reading headline files: every record once, in a block or as a reject, with its true number and line."""

import codecs
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from job.backends.tables import Block, Reject, open_source
from job.backends.tables import csv_source as tables_csv
from job.backends.tables.source import undecodable, unique
from job.runtime.errors import BadInput

TEXTS = {"title", "description"}
Write = Callable[..., Path]


class Read:
    """A file read to its end: the records in order of their numbers."""

    def __init__(self, path: Path, format: str = "auto", encoding: str = "utf-8") -> None:
        source = open_source(path, format, encoding, TEXTS)
        self.schema: pa.Schema = source.schema
        self.blocks = 0
        accepted: list[tuple[int, int, dict[str, Any]]] = []
        rejected: list[Reject] = []
        for item in source.blocks():
            if isinstance(item, Reject):
                rejected.append(item)
                continue
            assert isinstance(item, Block)
            assert item.table.schema.equals(source.schema.remove_metadata())
            accepted += zip(item.rows, item.lines, item.table.to_pylist(), strict=True)
            self.blocks += 1
        self.records = [record for *_, record in accepted]
        self.places = [(row, line) for row, line, _ in accepted]
        self.rejects = [(reject.row, reject.line) for reject in rejected]
        self.reasons = [reject.reason for reject in rejected]
        numbers = sorted([row for row, _ in self.places + self.rejects])
        assert numbers == list(range(1, len(numbers) + 1)), "a record is missing or there twice"

    def column(self, name: str) -> list[Any]:
        return [record[name] for record in self.records]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(content: str | bytes, name: str = "news.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to_file


def refused(path: Path, **options: str) -> str:
    with pytest.raises(BadInput) as caught:
        Read(path, **options)
    assert str(path) in str(caught.value)
    return str(caught.value)


# ---- formats

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
def test_a_format_is_known_by_its_name_plain_or_gzipped(write: Write, tmp_path: Path, name: str, ending: str) -> None:
    content = in_format(name.lower(), tmp_path / "scratch")
    path = write(gzip.compress(content) if ending else content, name + ending)
    assert Read(path).records == RECORDS


def test_gzip_is_known_by_its_bytes_whatever_the_name(write: Write) -> None:
    assert Read(write(gzip.compress(CSV), "a.csv")).records == RECORDS
    assert Read(write(CSV, "a.csv.gz")).records == RECORDS


@pytest.mark.parametrize("name", ["headlines", "news.txt", "news.csv.zip", "news.gz"])
def test_another_ending_needs_the_formats_name(write: Write, name: str) -> None:
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


# ---- CSV


def test_fields_stand_as_they_are_written(write: Write) -> None:
    read = Read(write("title,n,empty\n  spaced ,007,\nNULL,1e3,NA\n"))
    assert read.records == [
        {"title": "  spaced ", "n": "007", "empty": ""},
        {"title": "NULL", "n": "1e3", "empty": "NA"},
    ]
    assert set(read.schema.types) == {pa.string()}


def test_quoted_fields_hold_commas_quotes_and_lines_and_lines_are_counted(write: Write) -> None:
    read = Read(write('title,n\n"a, ""b""\n\nc",1\nd,2\n"e\n",3\nf,4\n'))
    assert read.column("title") == ['a, "b"\n\nc', "d", "e\n", "f"]
    assert read.places == [(1, 2), (2, 5), (3, 6), (4, 8)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_will_do_and_blank_lines_are_no_records(write: Write, end: str) -> None:
    read = Read(write(end.join(["title,n", "a,1", "", "", "b,2", ""])))
    assert read.column("title") == ["a", "b"]
    assert read.places == [(1, 2), (2, 5)]


def test_the_last_line_needs_no_end(write: Write) -> None:
    assert Read(write("title,n\na,1\nb,2")).column("n") == ["1", "2"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_read_off_the_header(write: Write, delimiter: str) -> None:
    read = Read(
        write(delimiter.join(["title", "n", "m"]) + "\n" + delimiter.join(["a b", "1", '"x' + delimiter + 'y"']))
    )
    assert read.records == [{"title": "a b", "n": "1", "m": f"x{delimiter}y"}]


def test_tsv_is_cut_at_tabs_whatever_the_header_holds(write: Write) -> None:
    assert Read(write("title,x,y\tn\na\t1\n", "a.tsv")).records == [{"title,x,y": "a", "n": "1"}]


def test_a_file_of_one_column_has_one_column(write: Write) -> None:
    assert Read(write("title\na\nb, not c\n")).places == [(1, 2)]
    assert Read(write("title\na\nb\n")).column("title") == ["a", "b"]


@pytest.mark.parametrize(("line", "fields"), [("a", 1), ("a,1,2", 3), ("a,1,2,3,4", 5), ("a,", 2), (" ", 1)])
def test_a_ragged_line_is_one_reject_with_both_numbers(write: Write, line: str, fields: int) -> None:
    read = Read(write(f"title,n,m,o\nfirst,1,2,3\n{line}\nlast,1,2,3\n"))
    assert read.column("title") == ["first", "last"]
    assert read.rejects == [(2, 3)]
    assert read.reasons == [f"{fields} fields where the header has 4"]


def test_an_unclosed_quote_costs_its_own_line_alone(write: Write) -> None:
    read = Read(write('title,n\nfirst,1\n"stray,2\nthird,3\nlast,4\n'))
    assert read.column("title") == ["first", "third", "last"]
    assert read.places == [(1, 2), (3, 4), (4, 5)]
    assert (read.rejects, read.reasons) == ([(2, 3)], ["a quote that opens here is never closed"])


def test_a_quote_unclosed_in_the_last_line_is_one_reject(write: Write) -> None:
    read = Read(write('title,n\nfirst,1\n"stray,2'))
    assert (read.column("title"), read.rejects) == (["first"], [(2, 3)])


def test_a_stray_quote_that_swallows_lines_gives_them_back(write: Write) -> None:
    read = Read(write('title,n\nfirst,1\n"stray,2\nthird,3\n"four, th",4\nfifth,5\n'))
    assert read.column("title") == ["first", "third", "four, th", "fifth"]
    assert read.places == [(1, 2), (3, 4), (4, 5), (5, 6)]
    assert read.rejects == [(2, 3)]
    assert read.reasons == ["a quote that opens here is never closed"]


def test_no_part_of_a_record_of_two_lines_is_accepted_where_its_first_begins_with_a_quoted_word(write: Write) -> None:
    read = Read(write('title,n\n"First" of all,"1\n2"\nlast,3\n'))
    assert (read.column("title"), read.rejects) == (["last"], [(1, 2), (2, 3)])


def test_each_of_several_stray_quotes_costs_its_own_line(write: Write) -> None:
    good = [f"good {i}" for i in range(40)]
    lines = [
        line for i, title in enumerate(good) for line in ([f'"stray {i},'] if i % 4 == 3 else []) + [f"{title},{i},x"]
    ]
    read = Read(write("title,n,m\n" + "\n".join(lines) + "\n"))
    assert read.column("title") == good
    assert len(read.rejects) == 10


def test_two_stray_quotes_do_not_merge_the_lines_between_them(write: Write) -> None:
    read = Read(write('id,title,n\n1,"Stray one,1\n2,between,2\n3,"Stray two,3\n4,last,4\n'))
    assert read.column("title") == ["between", "last"]
    assert read.rejects == [(1, 2), (3, 4)]


def test_a_stray_quote_does_not_merge_the_lines_up_to_the_next_quoted_field(write: Write) -> None:
    read = Read(write('title,n\nfirst,1\n"stray,2\nthird,3\n"fourth",4\nfifth,5\n'))
    assert read.column("title") == ["first", "third", "fourth", "fifth"]
    assert read.rejects == [(2, 3)]


def test_a_quote_unclosed_in_the_header_loses_no_record(write: Write) -> None:
    assert Read(write('title,"n\na,1\nb,2\n')).column("title") == ["a", "b"]


def test_a_quote_unclosed_in_the_header_of_a_large_file_loses_no_record(write: Write) -> None:
    count = tables_csv._RECORD_LINES + 50
    read = Read(write('title,"n\n' + "".join(f"a{i},1\n" for i in range(count))))
    assert len(read.records) + len(read.rejects) == count


def test_a_quote_that_swallows_implausibly_much_is_unclosed(write: Write) -> None:
    count = tables_csv._RECORD_LINES + 5
    read = Read(write('title,n\n"stray,0\n' + "".join(f"a{i},{i}\n" for i in range(count)) + 'b","1\n'))
    assert read.column("title") == [f"a{i}" for i in range(count)]
    assert read.rejects == [(1, 2), (count + 2, count + 3)]


def test_undecodable_bytes_are_one_reject_each(write: Write) -> None:
    read = Read(write(b'title,n\nfirst,1\ncaf\xe9,2\n\xed\xa0\x80,3\n"two\nl\xffnes",4\nlast,5\n'))
    assert read.column("title") == ["first", "last"]
    assert read.rejects == [(2, 3), (3, 4), (4, 5)]
    assert read.places == [(1, 2), (5, 7)]
    assert [reason.split(";")[0] for reason in read.reasons] == [
        f"undecodable: byte 0x{byte} is not in the file's encoding" for byte in ("E9", "ED", "FF")
    ]


def test_another_encoding_is_read_when_it_is_named(write: Write) -> None:
    assert Read(write("title,n\ncafé,1\n".encode("latin-1")), encoding="latin-1").column("title") == ["café"]
    assert Read(write("title,n\n“a”,1\n".encode("cp1252")), encoding="cp1252").column("title") == ["“a”"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_recognised_and_read_when_it_is_named(write: Write, encoding: str) -> None:
    bom = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    path = write(bom + 'title,n\n"naïve\nline",1\n日本,2\n'.encode(encoding))
    assert "is UTF-16: set input.encoding=utf-16" in refused(path)
    read = Read(path, encoding="utf-16")
    assert read.column("title") == ["naïve\nline", "日本"]
    assert read.places == [(1, 2), (2, 4)]


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf_8"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(write: Write, encoding: str) -> None:
    assert Read(write(codecs.BOM_UTF8 + b"title,n\na,1\n"), encoding=encoding).schema.names == ["title", "n"]
    assert Read(write(codecs.BOM_UTF8 + b'"title",n\na,1\n'), encoding=encoding).schema.names == ["title", "n"]
    assert Read(write(codecs.BOM_UTF8 + b'{"title": "a"}\n', "a.jsonl"), encoding=encoding).schema.names == ["title"]


def test_a_nul_byte_is_kept_and_breaks_nothing(write: Write) -> None:
    read = Read(write(b'title,n\na\0b,1\n"\0",2\nc,3\n'))
    assert read.column("title") == ["a\0b", "\0", "c"]
    assert read.places == [(1, 2), (2, 3), (3, 4)]


def test_a_field_may_be_larger_than_csvs_own_limit(write: Write) -> None:
    assert len(Read(write("title,n\n" + "x" * 300_000 + ",1\n")).column("title")[0]) == 300_000


def test_empty_and_repeated_names_are_told_apart(write: Write) -> None:
    read = Read(write("title,,n, n ,,n_2,title\na,1,2,3,4,5,6\n"))
    assert read.schema.names == ["title", "column_2", "n", "n_2", "column_5", "n_2_2", "title_2"]
    assert list(read.records[0].values()) == ["a", "1", "2", "3", "4", "5", "6"]


def test_names_are_unique_whatever_they_are() -> None:
    names = unique(["a", "a_2", "a", "a", "", "column_5", " ", "A"])
    assert len(set(names)) == len(names)
    assert names[:2] == ["a", "a_2"]


def test_undecodable_bytes_in_the_header_cost_no_record(write: Write) -> None:
    assert Read(write(b"title,caf\xe9\na,1\n")).records == [{"title": "a", "caf?": "1"}]


def test_a_header_alone_has_columns_and_no_records(write: Write) -> None:
    read = Read(write("title,n\n"))
    assert (read.schema.names, read.records, read.rejects) == (["title", "n"], [], [])


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_file_of_many_blocks_is_numbered_through(write: Write, tmp_path: Path, name: str) -> None:
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


# ---- JSON Lines


def lines(*values: object) -> str:
    return "".join((value if isinstance(value, str) else json.dumps(value)) + "\n" for value in values)


def test_columns_keep_their_types_and_mixed_ones_become_text(write: Write) -> None:
    read = Read(
        write(
            lines(
                {"title": "a", "i": 1, "f": 1.5, "n": 1, "b": True, "s": "x", "m": 1, "o": {"k": [1]}, "z": None},
                {"title": "b", "i": -2, "f": 2.0, "n": 0.5, "b": False, "s": None, "m": "é", "o": [None, "é"]},
                {"title": None, "new": 2**70},
            ),
            "a.jsonl",
        )
    )
    types = dict(zip(read.schema.names, read.schema.types, strict=True))
    assert types == {
        "title": pa.string(),
        "i": pa.int64(),
        "f": pa.float64(),
        "n": pa.float64(),
        "b": pa.bool_(),
        "s": pa.string(),
        "m": pa.string(),
        "o": pa.string(),
        "z": pa.string(),
        "new": pa.string(),
    }
    assert read.column("n") == [1.0, 0.5, None]
    assert read.column("m") == ["1", "é", None]
    assert read.column("o") == ['{"k": [1]}', '[null, "é"]', None]
    assert read.column("new") == [None, None, str(2**70)]


def test_integers_beyond_64_bits_make_a_column_text(write: Write) -> None:
    read = Read(write(lines({"title": "a", "n": 2**63 - 1}, {"title": "b", "n": 2**63}), "a.jsonl"))
    assert read.column("n") == [str(2**63 - 1), str(2**63)]
    assert Read(write(lines({"title": "a", "n": -(2**63)}), "a.jsonl")).column("n") == [-(2**63)]


def test_a_large_integer_among_floats_is_no_crash(write: Write) -> None:
    read = Read(write(lines({"title": "a", "n": 2**53 + 1}, {"title": "b", "n": 0.5}), "a.jsonl"))
    assert len(read.records) == 2


def test_a_bad_line_is_one_reject_and_blank_lines_are_no_records(write: Write) -> None:
    read = Read(
        write(
            lines({"title": "a"}, "", "{'title': 'b'}", '{"title": "c"', "  ", [1], 3, "null", {"title": "z"}),
            "a.jsonl",
        )
    )
    assert read.column("title") == ["a", "z"]
    assert read.places == [(1, 1), (7, 9)]
    assert read.rejects == [(2, 3), (3, 4), (4, 6), (5, 7), (6, 8)]
    assert [reason.split(":")[0] for reason in read.reasons] == [
        "not JSON",
        "not JSON",
        "a JSON list where an object is expected",
        "a JSON int where an object is expected",
        "a JSON null where an object is expected",
    ]


def test_a_line_nested_too_deeply_is_one_reject(write: Write) -> None:
    read = Read(write(lines({"title": "a"}, "[" * 100_000 + "]" * 100_000, {"title": "b"}), "a.jsonl"))
    assert (read.column("title"), read.rejects) == (["a", "b"], [(2, 2)])


@pytest.mark.parametrize(
    ("value", "kind"), [(5, "int"), (0.5, "float"), (True, "bool"), (["a"], "list"), ({"a": 1}, "object")]
)
@pytest.mark.parametrize("column", ["title", "description"])
def test_a_text_column_of_another_type_is_a_reject(write: Write, column: str, value: object, kind: str) -> None:
    read = Read(write(lines({"title": "a"}, {"title": "b"} | {column: value}), "a.jsonl"))
    assert read.rejects == [(2, 2)]
    assert read.reasons == [f"'{column}' is of type {kind}, expected text"]


@pytest.mark.parametrize(
    "line", [r'{"title": "\ud83d"}', r'{"title": "a", "x": "\udc00b"}', r'{"title": "a", "\ud83d": 1}']
)
def test_half_a_surrogate_pair_is_a_reject(write: Write, line: str) -> None:
    read = Read(write(lines({"title": "a"}, line, r'{"title": "\ud83d\ude00"}'), "a.jsonl"))
    assert read.column("title") == ["a", "😀"]
    assert read.reasons == ["undecodable: half a surrogate pair is no character"]


def test_undecodable_bytes_in_json_lines_are_a_reject(write: Write) -> None:
    read = Read(write(b'{"title": "a"}\n{"title": "caf\xe9"}\n{"title": "b"}\n', "a.jsonl"))
    assert (read.column("title"), read.rejects) == (["a", "b"], [(2, 2)])
    assert read.reasons[0].startswith("undecodable: byte 0xE9")


def test_line_separators_inside_a_text_end_no_line(write: Write) -> None:
    read = Read(write('{"title": "a\u2028b\u0085c"}\r\n{"title": "d"}\r\n', "a.jsonl"))
    assert read.column("title") == ["a\u2028b\u0085c", "d"]
    assert read.places == [(1, 1), (2, 2)]
    read = Read(write('{"title": "a",\r"n": 1}\n{"title": "d"}\n', "a.jsonl"))
    assert read.places == [(1, 1), (2, 2)]


def test_a_json_array_is_refused_with_a_hint(write: Write) -> None:
    assert "holds a JSON array; expected one JSON object a line" in refused(write('[{"title": "a"}]', "a.json"))


def test_a_json_array_over_several_lines_is_refused_with_a_hint(write: Write) -> None:
    assert "JSON array" in refused(write(json.dumps([{"title": "a"}, {"title": "b"}], indent=2), "a.json"))


# ---- Parquet


def test_parquet_columns_keep_their_types_and_text_becomes_plain(tmp_path: Path) -> None:
    table = pa.table(
        {
            "title": pa.array(["a", None, "b"]).dictionary_encode(),
            "description": pa.array(["x", "y", None], pa.large_string()),
            "n": pa.array([1, 2, 3], pa.int16()),
            "l": [[1], [], None],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    read = Read(tmp_path / "a.parquet")
    assert read.records == table.to_pylist()
    assert read.schema.field("title").type == read.schema.field("description").type == pa.string()
    assert (read.schema.field("n").type, read.schema.field("l").type) == (pa.int16(), pa.list_(pa.int64()))
    assert read.places == [(1, 0), (2, 0), (3, 0)]


@pytest.mark.parametrize("values", [[1, 2], [b"a", b"b"], [["a"], ["b"]]], ids=["int", "binary", "list"])
def test_a_parquet_text_column_of_another_type_is_refused_with_its_type(tmp_path: Path, values: list[Any]) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"title": values}), path)
    kind = pq.read_schema(path).field("title").type
    assert f"column 'title' of '{path}' is {kind}, expected text" in refused(path)


def test_a_parquet_description_of_nulls_is_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["a"], "description": pa.nulls(1)}), tmp_path / "a.parquet")
    assert Read(tmp_path / "a.parquet").records == [{"title": "a", "description": None}]


@pytest.mark.parametrize("content", [b"", b"title\na\n", b"PAR1" + b"\0" * 50 + b"PAR1"])
def test_what_is_no_parquet_is_refused(write: Write, content: bytes) -> None:
    assert refused(write(content, "a.parquet")).startswith("input.path: ")


def test_a_parquet_file_cut_off_is_refused(write: Write, tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["a"] * 1000}), tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    assert "cannot be read" in refused(write(content[: len(content) // 2], "cut.parquet"))


# ---- what does not decode


def test_what_is_wrong_with_a_text_is_said() -> None:
    assert undecodable("plain") is None
    assert undecodable("naïve 日本 😀") is None
    assert "byte 0xE9" in str(undecodable("caf\udce9"))
    assert "half a surrogate pair" in str(undecodable("\ud83d"))
