"""JSON Lines: every line once, in a block or as a reject, with its correct number; columns keep their types."""

import json
import tracemalloc
from typing import Any

import pyarrow as pa
import pytest
from source_files import Read, Write, refused, write_fixture  # noqa: F401

from job.backends.tables import json_array


def json_lines(*values: object) -> str:
    return "".join((value if isinstance(value, str) else json.dumps(value)) + "\n" for value in values)


def test_columns_keep_their_types_and_mixed_ones_become_text(write: Write) -> None:
    read = Read(
        write(
            json_lines(
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
    read = Read(write(json_lines({"title": "a", "n": 2**63 - 1}, {"title": "b", "n": 2**63}), "a.jsonl"))
    assert read.column("n") == [str(2**63 - 1), str(2**63)]
    assert Read(write(json_lines({"title": "a", "n": -(2**63)}), "a.jsonl")).column("n") == [-(2**63)]


def test_a_large_integer_among_floats_is_accepted(write: Write) -> None:
    read = Read(write(json_lines({"title": "a", "n": 2**53 + 1}, {"title": "b", "n": 0.5}), "a.jsonl"))
    assert len(read.records) == 2


def test_a_bad_line_is_one_reject_and_blank_lines_are_not_records(write: Write) -> None:
    read = Read(
        write(
            json_lines({"title": "a"}, "", "{'title': 'b'}", '{"title": "c"', "  ", [1], 3, "null", {"title": "z"}),
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
    read = Read(write(json_lines({"title": "a"}, "[" * 100_000 + "]" * 100_000, {"title": "b"}), "a.jsonl"))
    assert (read.column("title"), read.rejects) == (["a", "b"], [(2, 2)])


@pytest.mark.parametrize(
    ("value", "kind"), [(5, "int"), (0.5, "float"), (True, "bool"), (["a"], "list"), ({"a": 1}, "object")]
)
@pytest.mark.parametrize("column", ["title", "description"])
def test_a_value_of_another_type_in_a_text_column_is_a_reject(
    write: Write, column: str, value: object, kind: str
) -> None:
    read = Read(write(json_lines({"title": "a"}, {"title": "b"} | {column: value}), "a.jsonl"))
    assert read.rejects == [(2, 2)]
    assert read.reasons == [f"'{column}' is of type {kind}, expected text"]


@pytest.mark.parametrize(
    "line", [r'{"title": "\ud83d"}', r'{"title": "a", "x": "\udc00b"}', r'{"title": "a", "\ud83d": 1}']
)
def test_half_of_a_surrogate_pair_is_a_reject(write: Write, line: str) -> None:
    read = Read(write(json_lines({"title": "a"}, line, r'{"title": "\ud83d\ude00"}'), "a.jsonl"))
    assert read.column("title") == ["a", "😀"]
    assert read.reasons == ["undecodable: half of a surrogate pair is not a character"]


def test_undecodable_bytes_in_json_lines_are_a_reject(write: Write) -> None:
    read = Read(write(b'{"title": "a"}\n{"title": "caf\xe9"}\n{"title": "b"}\n', "a.jsonl"))
    assert (read.column("title"), read.rejects) == (["a", "b"], [(2, 2)])
    assert read.reasons[0].startswith("undecodable: byte 0xE9")


def test_unicode_line_separators_in_a_text_do_not_end_the_line(write: Write) -> None:
    read = Read(write('{"title": "a\u2028b\u0085c"}\r\n{"title": "d"}\r\n', "a.jsonl"))
    assert read.column("title") == ["a\u2028b\u0085c", "d"]
    assert read.places == [(1, 1), (2, 2)]
    read = Read(write('{"title": "a",\r"n": 1}\n{"title": "d"}\n', "a.jsonl"))
    assert read.places == [(1, 1), (2, 2)]


ROWS = [{"title": "a", "n": 1}, {"title": 'b, "[c]" {d}\n', "n": 2}, {"title": "é", "n": None}]


@pytest.mark.parametrize("options", [{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])
def test_an_array_of_objects_is_read_as_lines_are(write: Write, options: dict[str, Any]) -> None:
    lines = Read(write(json_lines(*ROWS), "a.jsonl"))
    array = Read(write(json.dumps(ROWS, **options), "a.json"))
    assert array.records == lines.records == ROWS
    assert array.schema == lines.schema


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_array_may_have_a_byte_order_mark_and_space_around_it(write: Write, encoding: str) -> None:
    text = "\n \n[" + ",\n".join(json.dumps(row) for row in ROWS) + "\n]\n\n"
    read = Read(write(text.encode(encoding), "a.json"), encoding=encoding.removesuffix("-sig"))
    assert read.records == ROWS
    assert read.places == [(1, 3), (2, 4), (3, 5)]


@pytest.mark.parametrize("at_once", [1, 2, 7, 64])
def test_an_array_is_the_same_wherever_the_buffer_ends(
    write: Write, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(json_array, "_CHARS_AT_ONCE", at_once)
    values = [
        *ROWS,
        {"title": "\\ud83d\\ude00", "n": -1.25e-3, "o": {"k": [True, False, None, [], {}]}},
        {"title": "z"},
    ]
    read = Read(write(json.dumps(values, indent=3), "a.json"))
    assert read.column("title") == [value["title"] for value in values]
    assert read.column("n") == [1, 2, None, -0.00125, None]
    scalars = Read(write('[{"title": "a"}, 12, 3.5e1]\n', "b.json"))
    assert scalars.reasons == [f"a JSON {kind} where an object is expected" for kind in ("int", "float")]


def test_an_element_that_is_no_usable_object_is_one_reject(write: Write) -> None:
    long = {"title": "x" * 1_000_001}
    deep = "[" * 300 + "]" * 300
    texts = [
        json.dumps(ROWS[0]),
        "3",
        r'{"title": "\ud83d"}',
        json.dumps(long),
        deep,
        '{"title": 5}',
        json.dumps(ROWS[2]),
    ]
    read = Read(write("[\n" + ",\n".join(texts) + "]", "a.json"), max_line_mb=1)
    assert read.places == [(1, 2), (7, 8)]
    assert read.rejects == [(row, row + 1) for row in range(2, 7)]
    assert [reason.split(":")[0] for reason in read.reasons] == [
        "a JSON int where an object is expected",
        "undecodable",
        "longer than 1 million characters; see input.max_line_mb",
        "not JSON",
        "'title' is of type int, expected text",
    ]
    read = Read(write(b'[{"title": "a"}, {"title": "caf\xe9"}, {"title": "b"}]', "b.json"))
    assert (read.column("title"), read.rejects) == (["a", "b"], [(2, 1)])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[{"title": "a"},\n{"title": "b"', "line 2: the file ends too early"),
        ('[{"title": "a"},\n{"title": "b', "line 2: the file ends too early"),
        ('[{"title": "a"}\n', "line 2: the file ends too early"),
        ("[1", "line 1: the file ends too early"),
        ('[{"title": "a"},\n\n{title: "b"}, {"title": "c"}]', "line 3: Expecting property name"),
        ('[{"title": "a"},\n]', "line 2: Expecting value"),
        ('[{"title": "a"}\n{"title": "b"}]', "line 2: Expecting , or ]"),
        ('[{"title": "a"}]\n[{"title": "b"}]', "line 2: text after the end of the array"),
        (
            '[{"title": "' + "x" * 3_000_000,
            "line 1: an element longer than 1 million characters; see input.max_line_mb",
        ),
        ("[" * 100_000, "line 1: "),
        ('[{"n": ' + "9" * 5_000 + "}]", "line 1: Exceeds the limit"),
    ],
)
def test_an_array_that_is_no_json_is_refused_with_its_line(write: Write, text: str, why: str) -> None:
    message = refused(write(text, "a.json"), max_line_mb=1)
    assert f"is no JSON array ({why}" in message
    assert "mend it, or write one JSON object per line" in message


def test_an_array_without_objects_is_refused(write: Write) -> None:
    assert "is empty: expected one JSON object per line, or an array of them" in refused(write(" [ ]", "a.json"))
    assert "holds no JSON object (line 2: a JSON int where" in refused(write("[\n1, 2]", "a.json"))


def test_an_array_is_never_in_memory_as_a_whole(write: Write) -> None:
    row = json.dumps({"title": "a" * 2_000})
    path = write("[" + ",".join([row] * 20_000) + "]", "a.json")
    tracemalloc.start()
    with path.open() as text:
        count = sum(1 for _ in json_array.JsonArray(text, 10**6))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 2_000_000


AROUND = {
    "one key": {"status": "ok", "totalResults": 3, "articles": ROWS},
    "two keys": {"response": {"page": 1, "results": ROWS, "facets": [{"n": 1}, {"n": 2}]}, "errors": []},
    "a title of its own": {"version": "1.1", "title": "Feed", "items": ROWS, "authors": [{"name": "a"}]},
    "two arrays": {"world": ROWS[:1], "local": {"north": ROWS[1:2], "south": ROWS[2:]}},
    "other spelling": {"Articles": [{"TITLE" if key == "title" else key: row[key] for key in row} for row in ROWS]},
}


@pytest.mark.parametrize("options", [{}, {"indent": 2}])
@pytest.mark.parametrize("name", AROUND)
def test_arrays_within_an_object_are_read_as_lines_are(write: Write, name: str, options: dict[str, Any]) -> None:
    read = Read(write(json.dumps(AROUND[name], **options), "a.json"))
    assert [list(record.values()) for record in read.records] == [list(row.values()) for row in ROWS]
    assert [row for row, _ in read.places] == [1, 2, 3]


@pytest.mark.parametrize("at_once", [1, 7, 64])
def test_arrays_within_an_object_are_the_same_wherever_the_buffer_ends(
    write: Write, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(json_array, "_CHARS_AT_ONCE", at_once)
    read = Read(write("\n \n" + json.dumps(AROUND["two keys"], indent=1), "a.json"))
    assert read.records == ROWS
    assert read.places == [(1, 7), (2, 11), (3, 15)]


def test_the_only_array_of_objects_gives_the_columns_where_no_name_is_known(write: Write) -> None:
    read = Read(write('{"status": "ok", "ids": [1], "results": [{"webTitle": "a"}, {"webTitle": "b"}]}', "a.json"))
    assert read.column("webTitle") == ["a", "b"]
    read = Read(write('{"a": [{"x": 1}], "b": [{"y": 2}]}', "a.json"))
    assert read.schema.names == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        '{"title": "a", "tags": [{"n": 1}]}',
        '{"title": "a", "related": [{"title": "x"}]}',
        '{"title": "a", "related": [{"title": "x"}]}\n{"title": "b", "related": [{"title": "y"}]}\n',
        '{"title": "a", "related": [{"title": "x"}], oops\n{"title": "b"}\n',
        '{"title": "a", "related": [{"title": "x"}]}\n{"title": "b", oops\n',
    ],
)
def test_json_lines_with_arrays_in_them_stay_lines(write: Write, text: str) -> None:
    read = Read(write(text, "a.json"))
    assert set(read.column("title")) <= {"a", "b"}
    assert len(read.records) + len(read.rejects) == len(text.splitlines())


@pytest.mark.parametrize("indent", [0, 2])
@pytest.mark.parametrize("between", ["", "\n", "\n\n"])
def test_objects_of_several_lines_are_read_one_after_the_other(write: Write, indent: int, between: str) -> None:
    rows: list[dict[str, Any]] = [{**row, "related": [{"title": "x"}]} for row in ROWS]
    read = Read(write(between.join(json.dumps(row, indent=indent) for row in rows), "a.json"))
    assert [json.loads(record.pop("related")) for record in read.records] == [[{"title": "x"}]] * 3
    assert read.records == ROWS
    only = Read(write(json.dumps(rows[0], indent=indent), "b.json"))
    assert (only.column("title"), only.places) == (["a"], [(1, 1)])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{\n"title": "a"\n}\n{\n"title": "b"\n', "line 6: the file ends too early"),
        ('{\n"title": "a"\n}\n{\ntitle: "b"\n}\n', "line 5: Expecting property name"),
        ('{\n"title": "a"\n},\n{\n"title": "b"\n}\n', "line 3: Expecting value"),
    ],
)
def test_objects_of_several_lines_that_are_no_json_are_refused_with_the_line(write: Write, text: str, why: str) -> None:
    assert f"is no JSON ({why}" in refused(write(text, "a.json"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"n": 1,\n"rows": [{"title": "a"},\n{"title": "b"', "line 3: the file ends too early"),
        ('{"n": 1, "rows": [{"title": "a"}\n', "line 2: the file ends too early"),
        ('{"rows": [{"title": "a"}],\n n: 1}', "line 2: Expecting a key in double quotes"),
        ('{"rows":\n[{"title": "a"}]}\n[1]', "line 3: text after the end of the array"),
        ('{"rows": [{"title": "a"} {"title": "b"}]}', "line 1: Expecting , or ]"),
        ('{"rows": [{"title": "a"}], "x": [1, "' + "x" * 3_000_000, "line 1: an element longer than 1 million"),
    ],
)
def test_an_object_around_an_array_that_is_no_json_is_refused_with_its_line(write: Write, text: str, why: str) -> None:
    assert f"is no JSON array ({why}" in refused(write(text, "a.json"), max_line_mb=1)


def test_an_array_within_an_object_is_never_in_memory_as_a_whole(write: Write) -> None:
    row = json.dumps({"title": "a" * 2_000})
    path = write('{"rows": [' + ",".join([row] * 20_000) + "]}", "a.json")
    tracemalloc.start()
    read = Read(path, max_line_mb=1)
    one_block = tracemalloc.get_traced_memory()[0]
    with path.open() as text:
        assert json_array.find_arrays(text, 10**6, ["title"]) == {("rows",)}
    tracemalloc.reset_peak()
    with path.open() as text:
        assert sum(1 for _ in json_array.JsonArray(text, 10**6, {("rows",)})) == len(read.records) == 20_000
    peak = tracemalloc.get_traced_memory()[1] - one_block
    tracemalloc.stop()
    assert peak < 2_000_000
