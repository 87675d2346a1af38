"""The lines of `topics.csv`: names of themes and topics, and no line that a reader refuses for its length."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from conftest import read_csv

from job.commands.finished import open_finished
from job.data import Headlines
from job.stages.report_tables import write_topics


def test_a_cluster_has_the_names_of_its_theme_and_topic(demo: Path) -> None:
    names = {(row["level"], row["number"]): row["name"] for row in read_csv(demo / "themes.csv")}
    *topics, none = read_csv(demo / "topics.csv")
    assert any(topic["topic"] != "-1" for topic in topics)
    for topic in topics:
        assert topic["theme_name"] == names.get(("theme", topic["theme"]), "")
        assert topic["topic_name"] == names.get(("topic", topic["topic"]), "")
    assert (none["theme_name"], none["topic_name"]) == ("", "")


def test_very_long_titles_and_keywords_are_cut(copy: Path) -> None:
    job = open_finished(copy)
    table = job.headlines.table
    long = pa.array([f"{title} " + "x" * 1_000_000 for title in job.headlines.column("title")[:20]], pa.string())
    titles = pa.chunked_array([long, table["title"].combine_chunks()[20:]])
    job.headlines = Headlines(table.set_column(table.column_names.index("title"), "title", titles))
    first, *rest = job.topics
    job.topics = [replace(first, exemplars=[0, 1, 30], keywords=["w" * 1_000_000, "short"]), *rest]
    write_topics(job)
    line = read_csv(copy / "topics.csv")[0]
    assert line["keywords"] == "w" * 79 + "…, short"
    assert [len(title) for title in line["exemplars"].split(" | ")][:2] == [1_000, 1_000]
    assert line["exemplars"].endswith(f" | {table['title'][30]}")
