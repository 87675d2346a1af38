"""Ingest: distinct headlines with stable ids, and the rows they came from."""

import json
import random
import unicodedata
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import SAMPLE
from ingested import Ingested, Write, refused, write_fixture  # noqa: F401

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
        ("=1+1 <b>{x} %s</b> a < b", "=1+1 {x} %s a < b"),
        ("<p>It&#8217;s &amp;\n<a\nhref=x>so</a>&#7;&nbsp;</p>", "It’s & so"),
        ("polÃ\u00adtica", "polÃ\u00adtica"),
        ("\ufeff\u00adWirt\u00adschafts\u00adprüfer", "Wirtschaftsprüfer"),
    ],
)
@pytest.mark.parametrize("column", ["title", "description"])
def test_texts_are_nfc_in_one_line_without_control_characters(write: Write, raw: str, clean: str, column: str) -> None:
    got = Ingested(write([{"title": "T", "description": "D"} | {column: raw}], "a.jsonl"))
    assert got.headlines[0][column] == clean
    assert got.input[0][column] == raw, "the row's own columns stay as they were"


def test_a_feeds_html_is_in_no_text_and_in_no_id(write: Write) -> None:
    html = {
        "title": "AT&amp;T <b>up</b>",
        "description": '<img src="x.jpg"><p>It&#8217;s 3 &lt; 4.</p>',
        "source": "B&amp;C",
    }
    plain = {"title": "AT&T up", "description": "It’s 3 < 4.", "source": "B&C"}
    got = Ingested(write([html, plain, {"title": "A", "description": "<br/>"}], "a.jsonl"))
    assert got.headline("AT&T up")["text"] == "AT&T up\nIt’s 3 < 4."
    assert got.headline("AT&T up")["copies"] == 2
    assert got.rows[0]["id"] == headline_id("AT&T up\nIt’s 3 < 4.")
    assert got.headline("A")["description"] is None
    assert [row["source"] for row in got.rows] == ["B&C", "B&C", None]
    assert got.input[0] == html


def test_words_for_a_missing_value_are_missing_values(write: Write) -> None:
    got = Ingested(write("title,description,time\nnan,x,\nA,nan,nan\nNone,x,\nNaN grows,NULL here,\n"), time="time")
    assert {headline["text"] for headline in got.headlines} == {"A", "NaN grows\nNULL here"}
    assert [reject["reason"] for reject in got.rejects] == [
        f"title is missing: it is '{word}'" for word in ("nan", "None")
    ]
    assert got.stats["reject_reasons"] == {"title is missing": 2}
    assert "such as" not in got.stats["fallbacks"][-1]


def test_a_title_that_is_html_alone_is_a_reject_that_says_so(write: Write) -> None:
    got = Ingested(write('title\n<img src=x>\n&nbsp;\n" "\nA\n'))
    assert [(reject["row"], reject["reason"]) for reject in got.rejects] == [
        ("1", "title is HTML without text"),
        ("2", "title is HTML without text"),
        ("3", "title is blank"),
    ]


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
