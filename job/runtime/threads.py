"""Work that overlaps: a chain of threads with short queues between them, which all end together.

    with Threads() as threads:
        write = threads.sink(save, 1)                # `save` runs in a thread
        for item in threads.prefetch(read(), 2):     # `read` runs in another, at most 2 items ahead
            write.put(item)

An error in any thread is raised in the block. Leaving the block, for whatever reason, stops and joins every thread.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

# seconds after which a waiting thread checks again whether the block has ended
_POLL_SECONDS = 0.1


class _Stopped(Exception):
    """The block has ended: raised in threads that wait on a queue."""


class Threads:
    """Use it as a context manager. Leaving the block waits for the sinks to finish. After an error the items queued in
    a sink are still saved (they are finished work), unless the error is the sink's own."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sinks: list[Sink[Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            for sink in self._sinks:
                sink.close(error is None)
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def prefetch(self, items: Iterable[T], depth: int) -> Iterator[T]:
        """The same items in order, produced in a thread that is at most `depth` items ahead."""
        ready: queue.Queue[tuple[str, Any]] = queue.Queue(depth)

        def work() -> None:
            with suppress(_Stopped):
                try:
                    for item in items:
                        self._put(ready, ("item", item))
                        del item  # otherwise it stays in memory while the next one is produced
                    self._put(ready, ("end", None))
                except _Stopped:
                    raise
                except BaseException as error:
                    self._put(ready, ("error", error))

        self._start(work)
        return self._drain(ready)

    def _drain(self, ready: "queue.Queue[tuple[str, Any]]") -> Iterator[Any]:
        while True:
            kind, value = self._get(ready)
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
            del value

    def sink(self, save: Callable[[T], None], depth: int) -> "Sink[T]":
        """A thread that calls `save` on each item put into it, with at most `depth` items waiting."""
        sink = Sink(save, depth)
        self._sinks.append(sink)
        self._start(sink.work)
        return sink

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _put(self, ready: "queue.Queue[Any]", value: Any) -> None:
        while not self._stop.is_set():
            try:
                return ready.put(value, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
        raise _Stopped

    def _get(self, ready: "queue.Queue[Any]") -> Any:
        while not self._stop.is_set():
            try:
                return ready.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
        raise _Stopped


class Sink(Generic[T]):
    """See `Threads.sink`."""

    def __init__(self, save: Callable[[T], None], depth: int) -> None:
        self._save = save
        self._queue: queue.Queue[tuple[T] | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._ended = threading.Event()

    def work(self) -> None:
        """The thread's loop, until `close`."""
        while (entry := self._queue.get()) is not None:
            try:
                if self._error is None:
                    self._save(entry[0])
            except BaseException as error:
                self._error = error
            del entry
        self._ended.set()

    def put(self, item: T) -> None:
        """Queue an item, waiting for room. Raises the error of an earlier item if one failed."""
        self._raise_error()
        self._queue.put((item,))
        self._raise_error()

    def close(self, complain: bool) -> None:
        """Wait until all queued items are saved; raise the error of one that failed if `complain`."""
        self._queue.put(None)
        self._ended.wait()
        if complain:
            self._raise_error()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
