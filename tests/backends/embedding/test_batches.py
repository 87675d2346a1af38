"""Which texts form a batch, and their tokens packed one batch after the other."""

import numpy as np
import pytest

from job.backends.embedding.batches import Batch, pack_tokens, plan_batches
from job.backends.embedding.tokenizer import Tokens

RNG = np.random.default_rng(0)


def lengths(n: int, low: int = 3, high: int = 40) -> np.ndarray:
    return RNG.integers(low, high, n)


def tokens(counts: np.ndarray) -> Tokens:
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Tokens(np.arange(10, 10 + offsets[-1], dtype=np.int32), offsets)


@pytest.mark.parametrize("floor", [0, 64, 500])
@pytest.mark.parametrize("budget", [1, 64, 500, 10**6])
@pytest.mark.parametrize("n", [0, 1, 7, 1000])
def test_every_text_is_in_exactly_one_batch_within_the_budget(n: int, budget: int, floor: int) -> None:
    counts = lengths(n)
    batches = plan_batches(counts, budget, floor)
    rows = [row for batch in batches for row in batch.rows.tolist()]
    assert sorted(rows) == list(range(n))
    for batch in batches:
        assert batch.length == counts[batch.rows].max()
        assert batch.padded == (len(set(counts[batch.rows])) > 1)
        assert len(batch) == 1 or len(batch) * batch.length <= budget


def test_without_a_floor_nothing_is_ever_padded() -> None:
    assert not any(batch.padded for batch in plan_batches(lengths(5000), 300))


def test_with_a_floor_left_over_texts_are_merged_and_full_batches_are_not() -> None:
    counts = np.repeat([20, 19, 18], [103, 2, 3])
    batches = plan_batches(counts, 200, 100)
    full = [batch for batch in batches if not batch.padded]
    assert [(len(batch), batch.length) for batch in full] == [(10, 20)] * 10
    # the 3 of length 20 and the 2 of 19 make 100 tokens, which take no longer than one pass does anyway; together with
    # the 3 of 18 they make 160, which take 1.6 passes instead of 2
    assert [(len(batch), batch.length) for batch in batches if batch.padded] == [(8, 20)]


def test_merging_never_takes_longer_by_its_own_estimate() -> None:
    for floor in (50, 400, 2000):
        for _ in range(20):
            counts = lengths(int(RNG.integers(1, 400)), 3, 200)

            def cost(batches: list[Batch], floor: int = floor) -> int:
                return sum(max(floor, len(batch) * batch.length) for batch in batches)

            assert cost(plan_batches(counts, 4096, floor)) <= cost(plan_batches(counts, 4096, 0))


def test_the_batches_are_the_same_each_time_and_rows_of_one_length_stay_in_order() -> None:
    counts = lengths(500)
    first, second = plan_batches(counts, 300, 100), plan_batches(counts, 300, 100)
    assert [batch.rows.tolist() for batch in first] == [batch.rows.tolist() for batch in second]
    for length in set(counts):
        rows = [row for batch in plan_batches(counts, 300) if batch.length == length for row in batch.rows]
        assert rows == sorted(rows)


@pytest.mark.parametrize("floor", [0, 200])
def test_packed_tokens_are_each_texts_own_followed_by_padding(floor: int) -> None:
    texts = tokens(lengths(300))
    batches = plan_batches(texts.lengths, 256, floor)
    packed = pack_tokens(texts, batches, padding=1)
    assert packed.dtype == np.int32
    assert any(batch.padded for batch in batches) == bool(floor)
    start = 0
    for batch in batches:
        for row in batch.rows:
            own = texts.ids[texts.offsets[row] : texts.offsets[row + 1]].tolist()
            assert packed[start : start + batch.length].tolist() == own + [1] * (batch.length - len(own))
            start += batch.length
    assert start == len(packed)
