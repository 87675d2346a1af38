"""Several pieces of work at once, their results in order, and never more in memory than are at work."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def in_flight(items: Iterable[A], work: Callable[[A], B], parallel: int) -> Iterator[tuple[A, B]]:
    """`(item, work(item))` in the order of `items`, at most `parallel` at work in threads of their own.

    The next item is taken only when there is room for it. An error of `work` ends it, after what is at work.
    """
    with ThreadPoolExecutor(parallel) as pool:
        flying: deque[tuple[A, Future[B]]] = deque()
        try:
            for item in items:
                flying.append((item, pool.submit(work, item)))
                if len(flying) >= parallel:
                    done, future = flying.popleft()
                    yield done, future.result()
            while flying:
                done, future = flying.popleft()
                yield done, future.result()
        finally:
            pool.shutdown(cancel_futures=True)
