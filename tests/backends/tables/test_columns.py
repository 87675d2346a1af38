"""Columns: found by their names in any case and punctuation, where that is not ambiguous."""

import pytest

from job.backends.tables.columns import find_column, first_usual


@pytest.mark.parametrize(
    ("name", "names", "found"),
    [
        ("title", ["Title", "title", "TITLE"], "title"),
        ("title", ["id", "TITLE"], "TITLE"),
        ("published_at", ["Published At"], "Published At"),
        ("published_at", ["publishedAt"], "publishedAt"),
        ("title", ["Title", "TITLE"], None),
        ("title", ["Title", "Title"], "Title"),
        ("title", ["titles", "subtitle"], None),
        ("Überschrift", ["überschrift"], "überschrift"),
        ("?", ["!", "?"], "?"),
        ("?", ["!"], None),
        ("title", [], None),
    ],
)
def test_a_name_is_found_if_no_other_is_meant(name: str, names: list[str], found: str | None) -> None:
    assert find_column(name, names) == found


def test_of_several_usual_names_the_first_that_is_there_is_taken() -> None:
    assert first_usual(("time", "date"), ["DATE", "Time"]) == "Time"
    assert first_usual(("time", "date"), ["DATE", "Time", "TIME"]) == "DATE"
    assert first_usual(("time", "date"), ["when"]) is None
