"""Ingest: a reason for each row left out, and each row exactly once."""

import random
import unicodedata

import pyarrow as pa
import pytest
from ingested import Ingested, Write, refused, write_fixture  # noqa: F401


def test_rejects_hold_file_row_line_and_reason(write: Write) -> None:
    path = write(
        'title,description\n"two\nlines",x\n,no title\n" \t ",blank\nragged\ncaf\udce9,x\nlast,x\n'.encode(
            "utf-8", "surrogateescape"
        )
    )
    got = Ingested(path)
    assert list(got.rejects[0]) == ["file", "row", "line", "reason"]
    assert {reject["file"] for reject in got.rejects} == {str(path)}
    assert {(int(reject["row"]), int(reject["line"])): reject["reason"] for reject in got.rejects} == {
        (2, 4): "title is blank",
        (3, 5): "title is blank",
        (4, 6): "1 fields where the header has 2",
        (5, 7): "undecodable: byte 0xE9 is not in the file's encoding; see input.encoding",
    }
    assert got.titles() == {"two lines", "last"}
    assert got.stats["reject_reasons"] == {"title is blank": 2, "1 fields where the header has 2": 1, "undecodable": 1}


@pytest.mark.parametrize(
    "title",
    ["\u200b", "\ufeff", "\u2060\u200d", "\u0301", "\u202e\u2066", "\u00a0", "\u3164", "\u2800", "\x01\x1b"],
)
def test_a_title_of_invisible_characters_is_blank(write: Write, title: str) -> None:
    done = Ingested(write([{"title": title}, {"title": "a"}, {"title": f"{title}b"}], "a.jsonl"))
    assert [reject["reason"] for reject in done.rejects] == ["title is blank"]
    assert len(done.headlines) == 2


@pytest.mark.parametrize("title", ["日本", "😀", "-", "1", "é", "ก็", "👨\u200d👩"])
def test_a_title_of_any_script_or_sign_is_none(write: Write, title: str) -> None:
    assert Ingested(write([{"title": title}], "a.jsonl")).titles() == {unicodedata.normalize("NFC", title)}


def test_a_missing_title_is_told_from_a_blank_one_and_parquet_has_no_lines(write: Write) -> None:
    got = Ingested(write(pa.table({"title": ["A", None, "", "\x07"]}), "a.parquet"))
    assert [(reject["row"], reject["line"], reject["reason"]) for reject in got.rejects] == [
        ("2", "", "title is missing"),
        ("3", "", "title is blank"),
        ("4", "", "title is blank"),
    ]


def test_more_than_a_few_rejects_are_a_warning(write: Write) -> None:
    path = write(b"title\n" + b"caf\xe9\n" * 3 + b"A\n" * 97)
    assert Ingested(path).stats["warnings"] == [
        f"3 of 100 rows could not be used: see rejects.csv; the first: {path}, row 1: undecodable: byte 0xE9 is not in "
        "the file's encoding; see input.encoding"
    ]
    assert Ingested(write(b"title\n\n,\n" + b"A\n" * 99)).stats["warnings"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        "TÃ¶dliches Virus",
        "GrÃ¶ÃŸe zÃ¤hlt",
        "GrÃ¶Ã\x9fe",
        "â€œBestâ€\x9d of",
        "Ð\xa0Ð¾Ñ\x81Ñ\x81Ð¸Ñ\x8f",
        "å\x8f°é£Žæ\x8e¥è¿‘",
    ],
)
def test_titles_decoded_twice_are_a_warning(write: Write, wrong: str) -> None:
    (said,) = Ingested(write(f"title\n{wrong}\nGröße\n")).stats["warnings"]
    assert said.startswith("1 of 2 titles are UTF-8 once read as another encoding, such as '")


def test_titles_that_only_look_decoded_twice_are_none(write: Write) -> None:
    titles = ["SÃO PAULO", "Âge d'or", "NÃO É", "Ãé", "château", "é", "«Â»", "ÃO"]
    assert Ingested(write("\n".join(["title", *titles]))).stats["warnings"] == []


def test_a_reason_with_commas_and_quotes_is_still_one_field(write: Write) -> None:
    got = Ingested(write('{"title": "A"}\n{"a": 1, "b" 2}\n', "a,b.jsonl"))
    assert got.rejects[0]["file"].endswith("a,b.jsonl")
    assert got.rejects[0]["reason"].startswith("not JSON: Expecting ':' delimiter")


def test_without_rejects_there_is_a_header_alone(write: Write) -> None:
    got = Ingested(write("title\nA\n"))
    assert (got.folder / "rejects.csv").read_text() == "file,row,line,reason\n"


# one physical line each; the first of a pair is a record that is accepted, by its title
GOOD_LINES = [
    "{t},x",
    '"{t}",x',
    '"{t}, and more",x',
    '{t},"a ""quote"""',
    "{t},\0",
    "{t},\t",
    "{t},<script>",
    "{t},=1+1",
    "{t},日本",
]
BAD_LINES = [
    "{t}",
    "{t},1,2,3",
    ",no title",
    '"",x',
    " \t ,x",
    "\0,x",
    "{t},caf\udce9",
    "\udcff\udcfe,x",
    '{t},"unclosed',
    '"{t}" x',
]
NASTY_ENDS = ["\n", "\r\n"]


@pytest.mark.parametrize("seed", range(25))
def test_every_row_of_a_nasty_file_is_accepted_or_rejected_exactly_once(write: Write, seed: int) -> None:
    rng = random.Random(seed)
    lines, good = [], []
    # a quote left open in the last column meets no other quote: one a file, and no quoted field after it
    unclosed = False
    for i in range(rng.choice([5, 60, 400])):
        title = f"title {seed} {i}"
        accepted = rng.random() < 0.7
        line = rng.choice(GOOD_LINES if accepted else BAD_LINES)
        if '"' in line and unclosed:
            line, accepted = "{t},x", True
        unclosed |= line.endswith("unclosed")
        lines += [line.replace("{t}", title)] + [""] * (rng.random() < 0.1)
        if accepted:
            good.append(title + (", and more" if "more" in line else ""))
    lines.append("last,x")
    text = "title,description" + "".join(rng.choice(NASTY_ENDS) + line for line in lines)
    path = write(text.encode("utf-8", "surrogateescape"))
    got = Ingested(path)
    records = sum(bool(line) for line in lines)
    assert got.places() == {(str(path), row): 1 for row in range(1, records + 1)}
    assert got.titles() == {*good, "last"}
    # and each says truly where it stands
    for reject in got.rejects:
        assert sum(bool(line) for line in lines[: int(reject["line"]) - 1]) == int(reject["row"])


@pytest.mark.parametrize("seed", range(10))
def test_every_line_of_nasty_json_is_accepted_or_rejected_exactly_once(write: Write, seed: int) -> None:
    rng = random.Random(seed)
    good = [
        '{{"title": "{t}"}}',
        '{{"title": "{t}", "description": null}}',
        '{{"n": [1, {{}}], "title": "{t}"}}',
        '{{"n": 1.5, "title": "{t}"}}',
    ]
    bad = [
        '{{"title": 5}}',
        '{{"title": null}}',
        "{{}}",
        "[]",
        "nonsense",
        '{{"title": "{t}"',
        '{{"title": "\\ud800"}}',
        '{{"title": " "}}',
    ]
    lines, titles = ['{"title": "first"}'], {"first"}
    for i in range(100):
        accepted = rng.random() < 0.7
        lines.append(rng.choice(good if accepted else bad).format(t=f"title {i}"))
        titles |= {f"title {i}"} if accepted else set()
    path = write("\n".join(lines), "a.jsonl")
    got = Ingested(path)
    assert got.places() == {(str(path), row): 1 for row in range(1, len(lines) + 1)}
    assert got.titles() == titles
