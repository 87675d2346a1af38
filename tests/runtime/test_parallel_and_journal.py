"""Work in several threads, and the journal of finished pieces."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from job.runtime.journal import Journal
from job.runtime.parallel import map_in_order


def test_results_come_in_order_and_only_a_few_items_are_taken_ahead() -> None:
    taken, most, now, lock = 0, 0, 0, threading.Lock()

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(12):
            taken += 1
            yield number

    def work(number: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01 * (number % 3))
        with lock:
            now -= 1
        return number * number

    ahead = 0
    for place, (item, result) in enumerate(map_in_order(items(), work, 3)):
        assert (item, result) == (place, place * place)
        ahead = max(ahead, taken - place)
    assert most > 1
    assert ahead <= 4


def test_an_error_ends_the_iteration() -> None:
    def work(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    seen = []
    with pytest.raises(ValueError, match="two"):
        seen.extend(item for item, _ in map_in_order(range(10), work, 2))


def test_a_journal_keeps_numbers_only_for_its_key_and_ignores_a_cut_off_line(tmp_path: Path) -> None:
    file = tmp_path / "done.txt"
    with Journal(file, "a") as journal:
        journal.add(3)
        journal.add(12)
    with file.open("a") as handle:
        handle.write("4")
    with Journal(file, "a") as journal:
        assert journal.done == {3, 12}
        journal.add(5)
    with Journal(file, "a") as journal:
        assert journal.done == {3, 5, 12}
        journal.clear()
    with Journal(file, "a") as journal:
        assert journal.done == set()
        journal.add(1)
    with Journal(file, "b") as journal:
        assert journal.done == set()
