"""JSON Lines: every line once, in a block or as a reject, with its correct number; columns keep their types."""

import json

import pyarrow as pa
import pytest
from source_files import Read, Write, refused, write_fixture  # noqa: F401


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


def test_a_json_array_is_refused_with_a_hint(write: Write) -> None:
    assert "holds a JSON array; expected one JSON object per line" in refused(write('[{"title": "a"}]', "a.json"))


def test_a_json_array_over_several_lines_is_refused_with_a_hint(write: Write) -> None:
    assert "JSON array" in refused(write(json.dumps([{"title": "a"}, {"title": "b"}], indent=2), "a.json"))
