"""Rows of tables in another order, and tables one after the other."""

import numpy as np
import pyarrow as pa
import pytest

from job.backends.tables import take
from job.backends.tables.stack import stack
from job.backends.tables.take import take_rows


def test_rows_are_those_of_arrows_own_take_in_pieces_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [None if i % 7 == 0 else f"headline {i}" * (i % 5) for i in range(100)]
    column = pa.chunked_array([texts[:30], texts[30:30], texts[30:]], pa.string())
    table = pa.table({"text": column, "row": np.arange(100)})
    rows = np.random.default_rng(0).integers(0, 100, 250)
    expected = table.take(rows)
    for size in (1, 40, 1_000, 10**6):
        monkeypatch.setattr(take, "_BYTES", size)
        assert take_rows(table, rows).equals(expected)
        assert take_rows(table, rows[:0]).equals(expected[:0])


@pytest.mark.slow
def test_texts_of_more_than_two_gigabytes() -> None:
    texts = pa.array([f"{i} {'x' * 2**20}" for i in range(1_100)])
    # the same memory twice
    table = pa.table({"text": pa.chunked_array([texts, texts])})
    with pytest.raises(pa.ArrowInvalid, match="overflow"):
        table.take(np.array([2_199, 5]))
    assert [text[:5] for text in take_rows(table, np.array([2_199, 5]))["text"].to_pylist()] == ["1099 ", "5 xxx"]


def test_a_column_of_tables_that_do_not_fit_becomes_text() -> None:
    first = pa.table({"a": [1, 2], "b": [1, None], "c": pa.nulls(2)})
    second = pa.table({"b": [0.5], "a": ["x"], "d": [[1]]})
    found = stack([first, second]).to_pydict()
    assert found == {"a": ["1", "2", "x"], "b": [1, None, 0.5], "c": [None] * 3, "d": [None, None, [1]]}
    large = [pa.table({"a": [2**60 + 1]}), pa.table({"a": [1.5]})]
    assert stack(large)["a"].to_pylist() == [str(2**60 + 1), "1.5"], "a double does not hold the first"
