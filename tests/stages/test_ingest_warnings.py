"""What ingest warns of: rows that are missing, and where a quote that is never closed began."""

import pytest
from ingested import Ingested, Write, write_fixture  # noqa: F401


def test_when_most_rows_are_rejected_the_warning_is_loud(write: Write) -> None:
    path = write(b"title\n" + b"caf\xe9\n" * 3 + b"A\n" * 2)
    (said,) = Ingested(path).stats["warnings"]
    assert said.startswith("MOST ROWS ARE MISSING: 3 of 5 rows could not be used: see rejects.csv; the first: ")
    (said,) = Ingested(write(b"title\n" + b"caf\xe9\n" * 3 + b"A\n" * 3)).stats["warnings"]
    assert said.startswith("3 of 6 rows could not be used")


@pytest.mark.parametrize("end", ['last,"cut', 'last,"cut\noff, later'])
def test_a_file_that_is_cut_off_within_a_quote_is_said_to_be(write: Write, end: str) -> None:
    path = write("title,description\n" + "".join(f"title {number},x\n" for number in range(1_000)) + end)
    got = Ingested(path)
    assert got.stats["rejects"] == 1 or "later" in end
    assert got.stats["warnings"] == [
        f"1 rows open a quote that is never closed, the last in line 1,002 of '{path}': the file is cut off there, or "
        "the quote is one too many"
    ]
