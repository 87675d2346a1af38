"""CSV and TSV: every record once, in a block or as a reject, with its correct number and line."""

import codecs
import sys
from pathlib import Path
from types import FrameType

import pyarrow as pa
import pytest
from source_files import Read, Write, refused, write_fixture  # noqa: F401

from job.backends.tables import csv_records


def test_fields_are_not_changed(write: Write) -> None:
    read = Read(write("title,n,empty\n  spaced ,007,\nNULL,1e3,NA\n"))
    assert read.records == [
        {"title": "  spaced ", "n": "007", "empty": ""},
        {"title": "NULL", "n": "1e3", "empty": "NA"},
    ]
    assert set(read.schema.types) == {pa.string()}


def test_quoted_fields_may_hold_commas_quotes_and_line_breaks(write: Write) -> None:
    read = Read(write('title,n\n"a, ""b""\n\nc",1\nd,2\n"e\n",3\nf,4\n'))
    assert read.column("title") == ['a, "b"\n\nc', "d", "e\n", "f"]
    assert read.places == [(1, 2), (2, 5), (3, 6), (4, 8)]


def test_a_backslash_before_a_quote_is_understood_where_doubled_quotes_would_not_fit(write: Write) -> None:
    lines = ['"He said \\"no\\"",1', '"\\"No, never\\", he said",2', '"ends with \\"",3', '"C:\\",4', '"a ""b""",5']
    read = Read(write("title,n\n" + "\n".join(lines) + '\n"two\nlines",6\n"no \\"7\n'))
    expected = ['He said "no"', '"No, never", he said', 'ends with "', "C:\\", 'a "b"', "two\nlines"]
    assert read.column("title") == expected
    assert read.column("n") == list("123456")
    assert read.rejects == [(7, 9)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_accepted_and_blank_lines_are_not_records(write: Write, end: str) -> None:
    read = Read(write(end.join(["title,n", "a,1", "", "", "b,2", ""])))
    assert read.column("title") == ["a", "b"]
    assert read.places == [(1, 2), (2, 5)]


def test_the_last_line_needs_no_line_end(write: Write) -> None:
    assert Read(write("title,n\na,1\nb,2")).column("n") == ["1", "2"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_taken_from_the_header(write: Write, delimiter: str) -> None:
    read = Read(
        write(delimiter.join(["title", "n", "m"]) + "\n" + delimiter.join(["a b", "1", '"x' + delimiter + 'y"']))
    )
    assert read.records == [{"title": "a b", "n": "1", "m": f"x{delimiter}y"}]


def test_tsv_is_split_at_tabs_only(write: Write) -> None:
    assert Read(write("title,x,y\tn\na\t1\n", "a.tsv")).records == [{"title,x,y": "a", "n": "1"}]


def test_a_file_of_one_column_has_one_column(write: Write) -> None:
    assert Read(write("title\na\nb, not c\n")).places == [(1, 2)]
    assert Read(write("title\na\nb\n")).column("title") == ["a", "b"]


@pytest.mark.parametrize(("line", "fields"), [("a", 1), ("a,1,2", 3), ("a,1,2,3,4", 5), ("a,", 2), (" ", 1)])
def test_a_line_with_another_number_of_fields_is_one_reject_with_both_numbers(
    write: Write, line: str, fields: int
) -> None:
    read = Read(write(f"title,n,m,o\nfirst,1,2,3\n{line}\nlast,1,2,3\n"))
    assert read.column("title") == ["first", "last"]
    assert read.rejects == [(2, 3)]
    assert read.reasons == [f"{fields} fields where the header has 4"]


def test_an_unclosed_quote_rejects_only_its_own_line(write: Write) -> None:
    read = Read(write('title,n\nfirst,1\n"stray,2\nthird,3\nlast,4\n'))
    assert read.column("title") == ["first", "third", "last"]
    assert read.places == [(1, 2), (3, 4), (4, 5)]
    assert (read.rejects, read.reasons) == ([(2, 3)], ["a quote that opens here is never closed"])


def test_an_unclosed_quote_in_the_last_line_is_one_reject(write: Write) -> None:
    read = Read(write('title,n\nfirst,1\n"stray,2'))
    assert (read.column("title"), read.rejects) == (["first"], [(2, 3)])


def test_lines_swallowed_by_a_stray_quote_are_read_again(write: Write) -> None:
    read = Read(write('title,n\nfirst,1\n"stray,2\nthird,3\n"four, th",4\nfifth,5\n'))
    assert read.column("title") == ["first", "third", "four, th", "fifth"]
    assert read.places == [(1, 2), (3, 4), (4, 5), (5, 6)]
    assert read.rejects == [(2, 3)]
    assert read.reasons == ["a quote that opens here is never closed"]


def test_no_line_is_accepted_of_a_two_line_record_that_starts_with_a_quoted_word(write: Write) -> None:
    read = Read(write('title,n\n"First" of all,"1\n2"\nlast,3\n'))
    assert (read.column("title"), read.rejects) == (["last"], [(1, 2), (2, 3)])


def test_each_of_several_stray_quotes_rejects_only_its_own_line(write: Write) -> None:
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


def test_an_unclosed_quote_in_the_header_loses_no_record(write: Write) -> None:
    assert Read(write('title,"n\na,1\nb,2\n')).column("title") == ["a", "b"]


def test_an_unclosed_quote_in_the_header_of_a_large_file_loses_no_record(write: Write) -> None:
    count = csv_records.MAX_RECORD_LINES + 50
    read = Read(write('title,"n\n' + "".join(f"a{i},1\n" for i in range(count))))
    assert len(read.records) + len(read.rejects) == count


def test_a_quoted_field_of_implausibly_many_lines_counts_as_unclosed(write: Write) -> None:
    count = csv_records.MAX_RECORD_LINES + 5
    read = Read(write('title,n\n"stray,0\n' + "".join(f"a{i},{i}\n" for i in range(count)) + 'b","1\n'))
    assert read.column("title") == [f"a{i}" for i in range(count)]
    assert read.rejects == [(1, 2), (count + 2, count + 3)]


def test_each_record_with_undecodable_bytes_is_one_reject(write: Write) -> None:
    read = Read(write(b'title,n\nfirst,1\ncaf\xe9,2\n\xed\xa0\x80,3\n"two\nl\xffnes",4\nlast,5\n'))
    assert read.column("title") == ["first", "last"]
    assert read.rejects == [(2, 3), (3, 4), (4, 5)]
    assert read.places == [(1, 2), (5, 7)]
    assert [reason.split(";")[0] for reason in read.reasons] == [
        f"undecodable: byte 0x{byte} is not in the file's encoding" for byte in ("E9", "ED", "FF")
    ]


def test_another_encoding_is_read_if_it_is_set(write: Write) -> None:
    assert Read(write("title,n\ncafé,1\n".encode("latin-1")), encoding="latin-1").column("title") == ["café"]
    assert Read(write("title,n\n“a”,1\n".encode("cp1252")), encoding="cp1252").column("title") == ["“a”"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_recognized_and_read_if_it_is_set(write: Write, encoding: str) -> None:
    bom = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    path = write(bom + 'title,n\n"naïve\nline",1\n日本,2\n'.encode(encoding))
    assert "is UTF-16: set input.encoding=utf-16" in refused(path)
    read = Read(path, encoding="utf-16")
    assert read.column("title") == ["naïve\nline", "日本"]
    assert read.places == [(1, 2), (2, 4)]


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf_8"])
def test_a_byte_order_mark_is_not_part_of_the_first_column_name(write: Write, encoding: str) -> None:
    assert Read(write(codecs.BOM_UTF8 + b"title,n\na,1\n"), encoding=encoding).schema.names == ["title", "n"]
    assert Read(write(codecs.BOM_UTF8 + b'"title",n\na,1\n'), encoding=encoding).schema.names == ["title", "n"]
    assert Read(write(codecs.BOM_UTF8 + b'{"title": "a"}\n', "a.jsonl"), encoding=encoding).schema.names == ["title"]


def test_a_nul_byte_is_kept(write: Write) -> None:
    read = Read(write(b'title,n\na\0b,1\n"\0",2\nc,3\n'))
    assert read.column("title") == ["a\0b", "\0", "c"]
    assert read.places == [(1, 2), (2, 3), (3, 4)]


def test_a_field_may_be_larger_than_the_default_limit_of_the_csv_module(write: Write) -> None:
    assert len(Read(write("title,n\n" + "x" * 300_000 + ",1\n")).column("title")[0]) == 300_000


def test_empty_and_repeated_column_names_become_unique(write: Write) -> None:
    read = Read(write("title,,n, n ,,n_2,title\na,1,2,3,4,5,6\n"))
    assert read.schema.names == ["title", "column_2", "n", "n_2", "column_5", "n_2_2", "title_2"]
    assert list(read.records[0].values()) == ["a", "1", "2", "3", "4", "5", "6"]


def test_undecodable_bytes_in_the_header_reject_no_record(write: Write) -> None:
    assert Read(write(b"title,caf\xe9\na,1\n")).records == [{"title": "a", "caf\ufffd": "1"}]


def test_a_file_with_only_a_header_has_columns_and_no_records(write: Write) -> None:
    read = Read(write("title,n\n"))
    assert (read.schema.names, read.records, read.rejects) == (["title", "n"], [], [])


@pytest.mark.parametrize("line", ['x","y\n', 'a","\n', '"a\n', 'x,"y\n', "x,y\n"])
def test_lines_that_all_open_a_quote_take_work_in_proportion_to_their_number(write: Write, line: str) -> None:
    assert work(write('title,n\n"a,1\n' + line * 4_000)) < 2.2 * work(write('title,n\n"a,1\n' + line * 2_000))


def work(path: Path) -> int:
    """How often a function is called while the file is read."""
    calls = 0

    def count(_frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        Read(path)
    finally:
        sys.setprofile(None)
    return calls


def test_a_quote_that_is_closed_after_lines_read_again_ends_its_record(write: Write) -> None:
    read = Read(write('title,n\n"stray,1\n"one\n""two""\n",2\n"three\n",3,4\n"five",5\n'))
    assert read.column("title") == ['one\n"two"\n', "five"]
    assert read.rejects == [(1, 2), (3, 6), (4, 7)]


def test_between_tabs_a_quote_that_is_none_is_a_character(write: Write) -> None:
    lines = [
        '"Unbalanced\tBBC',
        "Fine\tCNN",
        '"Breaking" news\tBBC',
        '5" pipe "x"\tBBC',
        '"two\nlines"\tBBC',
        '"Last\t"B',
    ]
    read = Read(write("title\tsource\n" + "\n".join([*lines, "short", '"of\tthree\tfields']), "news.tsv"))
    assert read.column("title") == ['"Unbalanced', "Fine", '"Breaking" news', '5" pipe "x"', "two\nlines", '"Last']
    assert read.column("source") == ["BBC", "CNN", "BBC", "BBC", "BBC", '"B']
    assert read.rejects == [(7, 9), (8, 10)]
    # between commas, a title in quotes may hold some
    assert Read(write('title,source\n"Unbalanced,BBC\nFine,CNN\n')).column("title") == ["Fine"]
