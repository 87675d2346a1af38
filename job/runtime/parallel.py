"""Work in several threads: results in order, and a limited number of items in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def map_in_order(items: Iterable[A], work: Callable[[A], B], parallel: int) -> Iterator[tuple[A, B]]:
    """`(item, work(item))` in the order of `items`, computed by at most `parallel` threads.

    The next item is taken only when fewer than `parallel` are pending. An error of `work` ends the iteration, once the
    calls that are already running have ended.
    """
    with ThreadPoolExecutor(parallel) as pool:
        pending: deque[tuple[A, Future[B]]] = deque()
        try:
            for item in items:
                pending.append((item, pool.submit(work, item)))
                if len(pending) >= parallel:
                    done, future = pending.popleft()
                    yield done, future.result()
            while pending:
                done, future = pending.popleft()
                yield done, future.result()
        finally:
            pool.shutdown(cancel_futures=True)
