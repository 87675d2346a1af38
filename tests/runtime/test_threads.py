"""A chain of threads: order kept, never far ahead, and no thread left running whatever fails."""

import threading
import time
from collections.abc import Iterator

import pytest

from job.runtime.threads import Threads


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_items_come_in_order_through_a_chain() -> None:
    saved: list[int] = []
    with Threads() as threads:
        sink = threads.sink(saved.append, 1)
        doubled = threads.prefetch((2 * item for item in threads.prefetch(iter(range(100)), 2)), 2)
        for item in doubled:
            sink.put(item)
    assert saved == [2 * item for item in range(100)]


def test_a_producer_is_at_most_depth_items_ahead() -> None:
    made = 0

    def make() -> Iterator[int]:
        nonlocal made
        for item in range(50):
            made += 1
            yield item

    with Threads() as threads:
        for used, _ in enumerate(threads.prefetch(make(), 3), 1):
            time.sleep(0.002)
            # three items are in the queue, and one waits for room
            assert made <= used + 4


def test_work_overlaps() -> None:
    def slow() -> Iterator[int]:
        for item in range(5):
            time.sleep(0.05)
            yield item

    start = time.monotonic()
    with Threads() as threads:
        sink = threads.sink(lambda _: time.sleep(0.05), 1)
        for item in threads.prefetch(slow(), 1):
            time.sleep(0.05)
            sink.put(item)
    # 15 pieces of 0.05 s, three at the same time
    assert time.monotonic() - start < 0.6


def test_an_error_in_a_producer_is_raised_where_its_items_are_used() -> None:
    def fails() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError("in the producer")

    got: list[int] = []
    with pytest.raises(ZeroDivisionError, match="in the producer"), Threads() as threads:
        for item in threads.prefetch(threads.prefetch(fails(), 1), 1):
            got.append(item)  # noqa: PERF402 - extend would lose the items before the error
    assert got == [1]


def test_an_error_in_a_sink_is_raised_in_the_block_or_at_its_end() -> None:
    def fails(item: int) -> None:
        raise OSError(f"disk full at {item}")

    for items in (1, 50):
        with pytest.raises(OSError, match="disk full at 0"), Threads() as threads:
            sink = threads.sink(fails, 1)
            for item in range(items):
                sink.put(item)


def test_an_error_in_the_block_stops_producers_and_saves_finished_items() -> None:
    saved: list[int] = []

    def slowly(item: int) -> None:
        time.sleep(0.05)
        saved.append(item)

    def endless() -> Iterator[int]:
        while True:
            yield 0

    with pytest.raises(KeyboardInterrupt), Threads() as threads:
        sink = threads.sink(slowly, 2)
        for _ in threads.prefetch(threads.prefetch(endless(), 1), 1):
            for item in range(3):
                sink.put(item)
            raise KeyboardInterrupt
    assert saved == [0, 1, 2]


def test_the_blocks_own_error_is_the_one_that_is_raised() -> None:
    def fails(item: int) -> None:
        raise OSError

    with pytest.raises(KeyError), Threads() as threads:
        sink = threads.sink(fails, 5)
        sink.put(1)
        raise KeyError
