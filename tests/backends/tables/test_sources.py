"""Names of those who published the headlines, from cells of any content."""

import pyarrow as pa
import pytest

from job.backends.tables.sources import source_names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"name": "The Post"}', "The Post"),
        ('{"title": " The\\nPost "}', "The Post"),
        ('{"name": "\\ud83d x"}', "? x"),
        ('{"name": "\\ud83d\\ude00 x"}', "😀 x"),
        ('{"a":' * 60_000, '{"a":' * 60_000),
        ("", None),
    ],
)
def test_no_cell_ends_the_run(text: str, name: str | None) -> None:
    assert source_names(pa.array([text, "BBC", None])).to_pylist() == [name, "BBC", None]
