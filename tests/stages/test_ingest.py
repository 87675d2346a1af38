"""Ingest: distinct headlines with stable ids, the rows they came from, and a reason for each row left out."""

import gzip
import json
import os
import random
import unicodedata
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import SAMPLE
from ingested import Ingested, Write, refused, write_fixture  # noqa: F401

from job.config import Input
from job.runtime.errors import BadInput
from job.stages.ingest_inputs import input_digest
from job.stages.ingest_texts import headline_id

# ---- headlines


def test_the_samples_rows_are_all_there(write: Write) -> None:
    got = Ingested(write(SAMPLE.read_bytes()))
    assert (got.stats["rows"], got.stats["headlines"], got.stats["copies"], got.stats["rejects"]) == (502, 496, 6, 0)


def test_a_text_is_title_newline_description_or_the_title_alone(write: Write) -> None:
    got = Ingested(write("title,description\nA,more\nB,\nC,   \n"))
    assert [(h["text"], h["description"]) for h in map(got.headline, "ABC")] == [
        ("A\nmore", "more"),
        ("B", None),
        ("C", None),
    ]


def test_equal_texts_are_one_headline_with_its_copies(write: Write) -> None:
    got = Ingested(write("title,description\nA,x\nB,x\nA,x\nA,y\n A ,x\n"))
    assert {(h["title"], h["description"]): h["copies"] for h in got.headlines} == {
        ("A", "x"): 3,
        ("B", "x"): 1,
        ("A", "y"): 1,
    }
    assert (got.stats["rows"], got.stats["headlines"], got.stats["copies"]) == (5, 3, 2)
    ids = [row["id"] for row in got.rows]
    assert ids[0] == ids[2] == ids[4]
    assert len(set(ids)) == 3
    assert [row["row"] for row in got.rows] == [1, 2, 3, 4, 5]


def test_copies_are_merged_across_blocks(write: Write) -> None:
    count = 20_000
    got = Ingested(write("title\n" + "".join(f"headline {i % 7}\n" for i in range(count))))
    assert len(got.headlines) == 7
    assert sum(headline["copies"] for headline in got.headlines) == count
    assert [row["row"] for row in got.rows] == list(range(1, count + 1))


def test_a_copy_is_a_headline_of_its_own_where_copies_are_kept(write: Write) -> None:
    text = "title,description\nA,x\nB,x\nA,x\nA,x\n"
    merged, kept = Ingested(write(text)), Ingested(write(text), deduplicate=False)
    assert (kept.stats["headlines"], kept.stats["copies"]) == (4, 0)
    assert [headline["copies"] for headline in kept.headlines] == [1] * 4
    assert Counter(headline["title"] for headline in kept.headlines) == {"A": 3, "B": 1}
    assert len({row["id"] for row in kept.rows}) == 4
    assert set(merged.ids) < set(kept.ids)


def test_ids_are_63_bits_ascending_and_known_from_the_text_alone(write: Write) -> None:
    got = Ingested(write("title,description\nA,x\nB,\nÄrger,ß\n"))
    assert got.ids == sorted(got.ids)
    assert all(0 <= each < 2**63 for each in got.ids)
    assert {h["text"]: h["id"] for h in got.headlines} == {
        text: headline_id(text) for text in ("A\nx", "B", "Ärger\nß")
    }
    # runs of other days and other versions must agree with this one
    assert headline_id("A\nx") == 7943638845571095276
    assert headline_id("A\nx", 1) != headline_id("A\nx")


@pytest.mark.parametrize("deduplicate", [True, False])
def test_headlines_do_not_depend_on_the_order_of_rows_or_the_format(write: Write, deduplicate: bool) -> None:
    records = [{"title": f"headline {i % 30}", "description": f"text {i % 4}"} for i in range(200)]
    before = Ingested(write(records, "a.jsonl"), deduplicate=deduplicate)
    random.Random(0).shuffle(records)
    after = Ingested(write(pa.Table.from_pylist(records), "b.parquet"), deduplicate=deduplicate)
    assert before.headlines == after.headlines
    assert before.stats["output"] == after.stats["output"]


def test_another_headline_is_another_output(write: Write) -> None:
    one, two = (Ingested(write(f"title\nA\n{last}\n")) for last in "BC")
    assert one.stats["output"] != two.stats["output"]


def test_every_row_is_mapped_to_its_headline_with_its_own_columns(write: Write) -> None:
    got = Ingested(write("title,description,when\nB,x,1\n,x,2\nA,x,3\nB,x,4\n"))
    titles = {headline["id"]: headline["title"] for headline in got.headlines}
    assert [(titles[row["id"]], row["row"]) for row in got.rows] == [("B", 1), ("A", 3), ("B", 4)]
    assert [(row["title"], row["when"]) for row in got.input] == [("B", "1"), ("A", "3"), ("B", "4")]


# ---- cleaning


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  spaced out  ", "spaced out"),
        ("two\r\nlines", "two  lines"),
        ("tab\tand\x0bfeed\x0c.", "tab and feed ."),
        ("line\u2028separator\u2029paragraph\x85next", "line separator paragraph next"),
        ("bell\x07 nul\0 escape\x1b[31m c1\x9b del\x7f", "bell nul escape[31m c1 del"),
        ("\u00a0no-break\u3000", "no-break"),
        (unicodedata.normalize("NFD", "Überfluß café"), "Überfluß café"),
        ("ﬁne ²", "ﬁne ²"),
        ("family 👨‍👩‍👧 flag 🇩🇪", "family 👨‍👩‍👧 flag 🇩🇪"),
        ("=1+1 <b>{x} %s</b>", "=1+1 <b>{x} %s</b>"),
    ],
)
@pytest.mark.parametrize("column", ["title", "description"])
def test_texts_are_nfc_in_one_line_without_control_characters(write: Write, raw: str, clean: str, column: str) -> None:
    got = Ingested(write([{"title": "T", "description": "D"} | {column: raw}], "a.jsonl"))
    assert got.headlines[0][column] == clean
    assert got.input[0][column] == raw, "the row's own columns stay as they were"


def test_spellings_that_clean_alike_are_one_headline(write: Write) -> None:
    spellings = ["Café\topen", " Cafe\u0301 open", "Café\x00 open\x07", "Café\nopen "]
    got = Ingested(write([{"title": spelling} for spelling in spellings], "a.jsonl"))
    assert [headline["copies"] for headline in got.headlines] == [4]


# ---- descriptions


def test_without_a_description_column_titles_stand_alone_and_the_record_says_so(write: Write) -> None:
    got = Ingested(write("title,n\nA,1\n"))
    assert (got.headlines[0]["text"], got.headlines[0]["description"]) == ("A", None)
    assert got.stats["description"] is None
    assert got.stats["fallbacks"] == ["no description column: only titles are used"]


def test_descriptions_that_are_not_asked_for_are_not_read(write: Write) -> None:
    got = Ingested(write("title,description\nA,x\nA,y\n"), description=None)
    assert [(headline["text"], headline["copies"]) for headline in got.headlines] == [("A", 2)]
    assert got.stats["fallbacks"] == []


def test_a_description_column_that_was_named_must_be_there(write: Write) -> None:
    text = refused(write("title,n\nA,1\n"), description="summary")
    assert "input.description = 'summary': no such column" in text
    assert "'title, n'" in text


def test_other_names_will_do(write: Write) -> None:
    got = Ingested(write("Überschrift;Text\nA;x\n"), title="Überschrift", description="Text")
    assert got.headlines[0]["text"] == "A\nx"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.parquet"])
def test_names_are_found_whatever_their_case_and_punctuation(write: Write, tmp_path: Path, name: str) -> None:
    row = {"Title": "A", "DESCRIPTION": "x", "Publication Date": "2024-04-01T00:00:00Z", "PUBLISHER": "P"}
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / name)
    elif name.endswith(".csv"):
        write("\n".join([",".join(row), ",".join(row.values())]), name)
    else:
        write(json.dumps(row if name.endswith("l") else [row]), name)
    got = Ingested(tmp_path / name, time="auto")
    assert got.headlines[0]["text"] == "A\nx"
    assert got.stats["fallbacks"] == []
    found = {key: got.stats[key] for key in ("title", "description", "time", "source")}
    assert list(found.values()) == list(row)
    named = Ingested(
        tmp_path / name, title="title", description="Description", time="publication_date", source="publisher"
    )
    assert {key: named.stats[key] for key in found} == found


def test_of_several_spellings_only_the_exact_one_is_taken(write: Write) -> None:
    assert Ingested(write("TITLE,title\nA,b\n")).headlines[0]["text"] == "b"
    text = refused(write("TITLE,Title\nA,b\n"))
    assert "input.title = 'title': no such column" in text
    assert text.endswith("set input.title=COLUMN")


def test_a_likely_description_is_named(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    got = Ingested(write("title,Summary\nA,x\n"))
    assert got.stats["fallbacks"] == ["no description column: only titles are used"]
    assert "if 'Summary' is one, set input.description=Summary" in caplog.text


# ---- columns within objects

HIT = {"_id": "1", "_source": {"title": "A", "summary": "x", "when": "2024-04-01T00:00:00Z", "paper": {"name": "P"}}}


def test_columns_within_objects_are_read_by_their_names(write: Write) -> None:
    answer = {"took": 1, "hits": {"total": 1, "hits": [HIT]}}
    names = {"title": "title", "description": "summary", "time": "when", "source": "paper.name"}
    got = Ingested(write(json.dumps(answer), "a.json"), **{key: f"_source.{name}" for key, name in names.items()})
    assert got.headlines[0]["text"] == "A\nx"
    assert {key: got.stats[key] for key in names} == {key: f"_source.{name}" for key, name in names.items()}
    assert got.stats["fallbacks"] == []
    assert got.rows[0]["source"] == "P"


def test_texts_within_objects_are_named_where_a_column_is_missing(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(json.dumps(HIT), "a.jsonl")
    assert refused(path).endswith("it has: '_id, _source'; set input.title=_source.title")
    got = Ingested(path, title="_source.title")
    assert "set input.description=_source.summary" in caplog.text
    # the object around the title is no publisher
    assert got.stats["source"] is None
    article = {"headline": {"main": "A", "kicker": "k"}, "abstract": "x"}
    assert refused(write(json.dumps(article), "b.jsonl")).endswith("set input.title=headline.main")
    assert refused(write(json.dumps({"webTitle": "A"}), "c.jsonl")).endswith("set input.title=webTitle")
    answers = [{"status": "ok", "articles": [{"title": title}]} for title in "AB"]
    action = (
        "set input.title=COLUMN; if its rows are in 'articles', write each on a line of its own: jq -c '.articles[]'"
    )
    assert refused(write("\n".join(map(json.dumps, answers)), "d.jsonl")).endswith(f"'status, articles'; {action}")
    hostile = [{"'; date; '": [{"title": title}]} for title in "AB"]
    assert refused(write("\n".join(map(json.dumps, hostile)), "h.jsonl")).endswith("write each on a line of its own")
    photos = [{"info": {"title": title}, "media": [{"title": "photo"}]} for title in "AB"]
    assert refused(write("\n".join(map(json.dumps, photos)), "e.jsonl")).endswith("set input.title=info.title")


def test_texts_that_differ_from_row_to_row_are_one_reason(write: Write) -> None:
    rows = [{"title": "A"}, {"title": {"x": "B"}}, {"title": {"y": "C"}}]
    got = Ingested(write(rows, "a.jsonl"))
    assert got.stats["reject_reasons"] == {"'title' is of type object, expected text": 2}
    assert [reject["reason"].split(": ")[1] for reject in got.rejects] == ["'title.x' is one", "'title.y' is one"]


# ---- several files


def test_a_glob_reads_files_in_order_and_columns_are_all_of_theirs(write: Write, tmp_path: Path) -> None:
    write("title,description,n\nA,x,1\nshared,,2\n", "news2.csv")
    write("title,extra\nB,e\nshared,\n", "news1.csv")
    write("title\nnot this one\n", "other.csv")
    got = Ingested(tmp_path / "news*.csv")
    assert got.stats["files"] == [str(tmp_path / "news1.csv"), str(tmp_path / "news2.csv")]
    assert [(row["file"], row["row"]) for row in got.rows] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert got.input[0] == {"title": "B", "extra": "e", "description": None, "n": None}
    assert got.input[2] == {"title": "A", "extra": None, "description": "x", "n": "1"}
    assert (got.headline("A")["text"], got.headline("B")["text"]) == ("A\nx", "B")
    assert got.headline("shared")["copies"] == 2


def test_a_list_of_files_of_several_formats_is_one_input(write: Write) -> None:
    got = Ingested(
        [
            write("title,n\nA,007\n", "a.csv"),
            write([{"title": "B", "n": 7}], "b.jsonl"),
            write(pa.table({"title": ["C"], "n": [7.5]}), "c.parquet"),
            write(gzip.compress(b"title\tn\nD\t\n"), "d.tsv.gz"),
        ]
    )
    assert got.titles() == set("ABCD")
    assert [row["n"] for row in got.input] == ["007", "7", "7.5", ""]


def test_a_column_of_one_type_in_all_files_keeps_it(write: Write) -> None:
    got = Ingested(
        [write([{"title": "A", "n": 7}], "a.jsonl"), write(pa.table({"title": ["B"], "n": [8]}), "b.parquet")]
    )
    assert [row["n"] for row in got.input] == [7, 8]


def test_a_file_named_twice_is_read_once(write: Write, tmp_path: Path) -> None:
    path = write("title\nA\n")
    assert Ingested([path, path, tmp_path / "*.csv"]).stats["rows"] == 1


def test_a_file_whose_name_looks_like_a_pattern_is_found(write: Write) -> None:
    assert Ingested(write("title\nA\n", "news[1].csv")).titles() == {"A"}


def test_the_inputs_digest_follows_names_and_bytes(write: Write, tmp_path: Path) -> None:
    path = write("title\nA\n")
    config = Input(path=str(tmp_path / "*.csv"))
    before = input_digest(config)
    assert input_digest(config) == before
    path.write_text("title\nB\n")
    changed = input_digest(config)
    path.rename(tmp_path / "renamed.csv")
    assert len({before, changed, input_digest(config)}) == 3


# ---- rejects


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


# ---- bad input


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert f"input.path = '{tmp_path}/nothing.csv': no such file" in refused(tmp_path / "nothing.csv")
    assert f"input.path = '{tmp_path}/*.csv': no such file" in refused(tmp_path / "*.csv")


def test_one_missing_file_of_several_is_named(write: Write, tmp_path: Path) -> None:
    assert "nothing.csv': no such file" in refused([write("title\nA\n"), tmp_path / "nothing.csv"])


def test_a_folder_is_answered_with_how_to_name_its_files(tmp_path: Path) -> None:
    (tmp_path / "news").mkdir()
    text = refused(tmp_path / "news")
    assert "is a folder" in text
    assert f"'{tmp_path / 'news'}/*.csv'" in text


def test_a_missing_title_column_is_answered_with_those_there_are(write: Write) -> None:
    text = refused(write("headline,summary\nA,x\n"))
    assert "input.title = 'title': no such column" in text
    assert "it has: 'headline, summary'" in text
    assert text.endswith("set input.title=headline")
    assert refused(write("a,b\nA,x\n")).endswith("set input.title=COLUMN")


def test_a_file_without_a_header_is_told_to_have_one(write: Write) -> None:
    first = "Retraites : l'intersyndicale appelle à de nouvelles actions les 14, 15 et 16 janvier"
    text = refused(write(f'"{first}",2020-01-10\n"Autre",2020-01-11\n'))
    assert text.endswith("set input.title=COLUMN, or give the file a first line with the columns' names")


def test_a_title_missing_in_one_file_of_several_names_that_file(write: Write) -> None:
    good, bad = write("title\nA\n", "a.csv"), write("headline\nB\n", "b.csv")
    assert f"no such column in '{bad}'" in refused([good, bad])


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.tsv"])
def test_an_empty_file_is_said_to_be_empty(write: Write, name: str) -> None:
    assert "is empty" in refused(write("", name))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("title,description\n", "no usable row"),
        ("title,description\n,x\n,y\n", "no usable row; the first reject: "),
        ("title,description\nragged\n", "row 1: 1 fields where the header has 2"),
    ],
)
def test_a_file_without_a_usable_row_is_refused_with_the_first_reject(write: Write, content: str, why: str) -> None:
    path = write(content)
    text = refused(path)
    assert text.startswith(f"input.path = '{path}': no usable row")
    assert why in text


def test_bad_input_leaves_no_half_written_file(write: Write, tmp_path: Path) -> None:
    whole = gzip.compress(("title\n" + "".join(f"{i * 7919} {i}\n" for i in range(40_000))).encode())
    path = write(whole[: len(whole) * 3 // 4], "cut.csv.gz")
    assert "damaged or cut-off gzip" in refused(path)
    assert list((tmp_path / "run0").iterdir()) == []


def test_undecodable_bytes_in_a_parquet_title_are_a_reject_or_bad_input(write: Write) -> None:
    titles = pa.StringArray.from_buffers(2, pa.array([0, 2, 5], pa.int32()).buffers()[1], pa.py_buffer(b"okc\xffb"))
    path = write(pa.table({"title": titles}), "a.parquet")
    try:
        assert len(Ingested(path).rejects) == 1
    except BadInput as error:
        assert str(path) in str(error)


def test_a_column_of_lists_in_one_file_and_text_in_another_becomes_text(write: Write) -> None:
    got = Ingested(
        [write(pa.table({"title": ["A"], "tags": [["a"]]}), "a.parquet"), write("title,tags\nB,b\n", "b.csv")]
    )
    assert got.input[0]["tags"] in ('["a"]', "['a']")


@pytest.mark.parametrize("name", ["title", "n"])
def test_a_parquet_file_with_a_name_twice_is_read_or_refused(write: Write, name: str) -> None:
    table = pa.Table.from_arrays([pa.array(["A"]), pa.array(["x"]), pa.array(["y"])], names=["title", name, "n"])
    path = write(table, "a.parquet")
    try:
        assert Ingested(path).titles() == {"A"}
    except BadInput as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("content", [b"nonsense\n", '{"title": "A"}\n'.encode("utf-16")], ids=["nonsense", "utf-16"])
def test_json_lines_without_one_good_line_say_what_is_wrong(write: Write, content: bytes) -> None:
    text = refused(write(content, "a.jsonl"))
    assert "not JSON" in text or "input.encoding" in text


def test_blank_lines_before_the_header_are_skipped(write: Write) -> None:
    got = Ingested(write("\n\ntitle,description\nA,x\n"))
    assert got.titles() == {"A"}
    assert [row["row"] for row in got.rows] == [1]


def test_a_line_of_spaces_before_the_header_is_skipped(write: Write) -> None:
    assert Ingested(write("  \ntitle,description\nA,x\n")).titles() == {"A"}


# ---- times and sources


def test_each_row_has_its_own_time_and_source_and_a_headline_the_earliest_time(write: Write) -> None:
    got = Ingested(
        write("title,published,outlet\nA,2024-04-25T12:00Z,BBC\nA,2024-04-25T11:00Z, CNN \nB,,\n"), time="auto"
    )
    noon = 1_714_046_400.0
    assert [(row["time"], row["source"]) for row in got.rows] == [(noon, "BBC"), (noon - 3600, "CNN"), (None, None)]
    assert got.headline("A")["time"] == noon - 3600
    assert (got.stats["time"], got.stats["source"]) == ("published", "outlet")


def test_a_source_is_named_or_found_by_a_usual_name_or_left_out(write: Write) -> None:
    path = write("title,source,desk\nA,BBC,World\n")
    assert [Ingested(path, source=source).rows[0]["source"] for source in ("auto", "desk", None)] == [
        "BBC",
        "World",
        None,
    ]
    assert "input.source = 'paper': no such column" in refused(path, source="paper")
    without = Ingested(write("title\nA\n"))
    assert (without.stats["source"], without.rows[0]["source"]) == (None, None)


def test_of_a_source_that_is_an_object_its_name_or_title_is_taken(write: Write) -> None:
    rows = [
        {"title": "A", "source": {"id": None, "name": "The Post"}},
        {"title": "B", "source": "BBC"},
        {"title": "C", "source": {"id": 7}},
        {"title": "D", "source": "{not JSON"},
        {"title": "E", "source": None},
        {"title": "F", "source": {"uri": "post.example", "title": "The Post"}},
    ]
    got = Ingested(write(rows, "news.jsonl"))
    assert [row["source"] for row in got.rows] == ["The Post", "BBC", '{"id": 7}', "{not JSON", None, "The Post"]


def test_a_source_of_another_type_becomes_text(write: Write) -> None:
    got = Ingested(write(pa.table({"title": ["A", "B"], "source": pa.array([7, None])}), "news.parquet"))
    assert [row["source"] for row in got.rows] == ["7", None]


@pytest.mark.parametrize(
    "title", ["\u200b", "\ufeff \u2060", "\u0301\u0301", "\u3164", "\u2800", "\u202e\u202c", "\x01\t"]
)
def test_a_title_that_shows_nothing_is_blank(write: Write, title: str) -> None:
    done = Ingested(write([{"title": title, "description": "x"}, {"title": "seen", "description": title}], "a.jsonl"))
    assert [reject["reason"] for reject in done.rejects] == ["title is blank"]
    assert done.headline("seen")["description"] is None


def test_a_title_of_one_emoji_with_joiners_is_a_title(write: Write) -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert Ingested(write([{"title": family}], "a.jsonl")).titles() == {family}


def test_very_many_columns_and_keys_are_read(write: Write) -> None:
    names = [f"c{number}" for number in range(20_000)]
    lines = [",".join(["title", *names]), *(",".join([f"t{row}", *["1"] * 20_000]) for row in range(3))]
    assert Ingested(write("\n".join(lines))).stats["rows"] == 3
    sparse = [{"title": f"t{row}", **{f"k{row}_{key}": key for key in range(50)}} for row in range(200)]
    done = Ingested(write(sparse, "keys.jsonl"))
    assert done.input[7]["k7_49"] == 49 and done.input[7]["k8_49"] is None
    assert len(done.input[0]) == 10_001


def test_a_file_name_with_a_line_end_and_one_that_is_not_utf_8_are_read(tmp_path: Path) -> None:
    for name in ("two\nlines.csv", os.fsdecode(b"caf\xe9.csv")):
        (tmp_path / name).write_text("title\nfirst\n\u200b\n", encoding="utf-8")
    done = Ingested(tmp_path / "*.csv")
    assert (done.stats["rows"], len(done.headlines)) == (2, 1)
    assert {Path(reject["file"]).name for reject in done.rejects} == {"two\\nlines.csv", "caf\\udce9.csv"}
