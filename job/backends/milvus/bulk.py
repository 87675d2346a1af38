"""Bulk import: files that the server reads itself, instead of rows in messages.

The server appends what it imports: a row that is there already would be there twice. So rows are imported only into a
collection that this run makes for it, and nothing in between is ever mended. Whatever is in doubt (an import that
failed, a server that was started again, a task that nobody knows) ends with that collection dropped, by its number,
whose tasks then cannot reach the next one of that name; its rows are upserted anew. What is known of an attempt lies
in a file of the run folder until its rows are verified, and a run killed at any moment finds its tasks again there,
and in the server's own list. (Server 2.3.5 itself crashes, rarely, when a client is killed while asking for that list.)
"""

import json
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from job.backends.milvus import arrays
from job.backends.milvus.bulk_files import Columns, Place, open_place, write
from job.backends.milvus.collection import Milvus
from job.backends.milvus.connection import brief
from job.data import Ids
from job.runtime import preempt
from job.runtime.errors import BadInput, JobError, Resumable
from job.runtime.log import logger
from job.runtime.progress import Progress
from job.runtime.rundir import digest, write_json

# files written and not yet imported: a server works on one at a time
_AHEAD = 2
_POLL_SECONDS = 0.3
_CALL_SECONDS = 30
# without any task's progress; a server itself gives a task up after 15 minutes
_STALL_SECONDS = 600
_COUNT_SECONDS = 60
# what 2.3.5 says of a file that it does not see, in its own storage and in a bucket
_UNREADABLE = re.compile(r"no such file|failed to get file size|NoSuchKey|key does not exist|permission denied", re.I)


@dataclass
class Attempt:
    """An import that is not over. `where`: server and collection; `number`: of the collection made for it; `tasks`: of
    files, by the file's number; `done`: the files whose rows are in."""

    key: str
    where: str
    uri: str
    endpoint: str | None
    number: int | None = None
    tasks: dict[str, int] = field(default_factory=dict)
    done: list[int] = field(default_factory=list)

    @property
    def what(self) -> tuple[str, str, str, str | None]:
        return self.key, self.where, self.uri, self.endpoint

    @property
    def prefix(self) -> str:
        return f"job_{digest(self.key, self.where, self.number)[:16]}_"

    def file(self, number: int) -> str:
        return f"{self.prefix}{number:05d}.parquet"


class DoubtError(Exception):
    """Which rows the server has taken cannot be known; the message says why."""


class BulkImport:
    """The import of one run's rows into the collection of `milvus`.

    `file`: where the attempt is kept; `key`: what the rows depend on; `parallel`: files written and not yet imported;
    `mine` gives the ids that this run may have written, int64.
    """

    def __init__(self, milvus: Milvus, file: Path, key: str, parallel: int, mine: Callable[[], Ids]) -> None:
        self._milvus, self._file, self._key, self._mine = milvus, file, key, mine
        self._where, self._ahead = f"{milvus.uri} {milvus.collection}", max(parallel, _AHEAD)
        self._place: Place | None = None
        # whether an attempt's collection was: what was written there does not count
        self.dropped = False
        self._attempt = self._read()

    def begin(self, uri: str, endpoint: str | None, dim: int) -> str | None:
        """Make the collection, or find the attempt that was cut short again; why rows cannot be imported, or None.

        `uri`, `endpoint`: as `store.bulk_uri` and `store.bulk_endpoint`.

        Raises:
            BadInput: nothing can be written at `uri`.
        """
        self._place = open_place(uri, endpoint)
        wanted = Attempt(self._key, self._where, uri, endpoint)
        if self._attempt and (self._attempt.what != wanted.what or self._lost()):
            self.abandon()
        if self._attempt is None:
            if self._milvus.exists():
                return "the collection is there already, and an import does not replace rows of the same id"
            # before the collection, so that a run killed between the two knows whose it is
            self._attempt = wanted
            self._save()
        self._milvus.prepare(dim)
        if self._attempt.number is None:
            if self._milvus.has_rows():
                self.finish()
                return "another program made the collection meanwhile"
            self._attempt.number = self._milvus.layout.number
            self._save()
        return None

    def run(self, columns: Columns, files: Sequence[Sequence[tuple[int, int]]]) -> str | None:
        """Import all rows; None, or why they have to be upserted, into a collection that has none of them.

        `files`: ranges of rows, a list of them for each file.

        Raises:
            BadInput: the server cannot read the files.
            Resumable: the server stayed away, or a stop signal came.
        """
        try:
            self._import(columns, files)
        except DoubtError as doubt:
            logger.warning("store: bulk import: %s: the rows are upserted instead", doubt)
            self.abandon()
            return str(doubt)
        return None

    def _import(self, columns: Columns, files: Sequence[Sequence[tuple[int, int]]]) -> None:
        attempt, place = self._attempt, self._place
        assert attempt is not None and place is not None
        rows = [sum(stop - start for start, stop in ranges) for ranges in files]
        before: dict[int, Any] = {}
        moved = time.monotonic()
        with Progress("store", sum(rows) - sum(rows[number] for number in attempt.done), "rows") as progress:
            while True:
                states = self._states(len(files))
                for number in [number for number, state in states.items() if state.state_name == "Completed"]:
                    if number not in attempt.done:
                        attempt.done.append(number)
                        self._save()
                        with suppress(OSError):  # they are all removed again at the end
                            place.remove([attempt.file(number)])
                        progress.update(rows[number])
                known = set(states) | {int(number) for number in attempt.tasks} | set(attempt.done)
                unsent = [number for number in range(len(files)) if number not in known]
                if not unsent and len(attempt.done) == len(files):
                    return
                if unsent and len(known) - len(attempt.done) < self._ahead:
                    self._write(unsent[0], columns, files[unsent[0]])
                    self._submit(unsent[0], len(files))
                    moved = time.monotonic()
                else:
                    time.sleep(_POLL_SECONDS)
                now = {number: (state.state_name, state.progress, state.row_count) for number, state in states.items()}
                if now != before:
                    before, moved = now, time.monotonic()
                elif time.monotonic() - moved > _STALL_SECONDS:
                    raise DoubtError(f"the server has not gone on importing for {_STALL_SECONDS} s")
                preempt.check()

    def _write(self, number: int, columns: Columns, ranges: Sequence[tuple[int, int]]) -> None:
        assert self._attempt is not None and self._place is not None
        try:
            write(self._place, self._attempt.file(number), columns, ranges, self._milvus.fields)
        except OSError as error:
            raise JobError(
                f"store.bulk_uri = '{self._attempt.uri}': writing a file to import failed ({brief(error)}): see that "
                f"it has room for {self._ahead} files of 512 MB, then the same command, or set store.write=upsert"
            ) from None

    def finish(self) -> None:
        """The rows are in, and verified: nothing of the attempt is needed any more."""
        if self._attempt is not None:
            self._clean(self._attempt)

    def await_rows(self, rows: int) -> None:
        """Wait until the collection counts them: it may lag behind a finished import."""
        end = time.monotonic() + _COUNT_SECONDS
        while self._milvus.count() < rows and time.monotonic() < end:
            preempt.check()
            time.sleep(_POLL_SECONDS)

    def abandon(self) -> None:
        """Drop the collection that an attempt made, if it is still that one and nobody else has written to it, and
        remove the attempt's files; nothing where there is no attempt."""
        attempt = self._attempt
        if attempt is None:
            return
        if attempt.number is not None and attempt.where == self._where and not (self._lost() or self._shared()):
            logger.info("store: the unfinished bulk import's collection '%s' is dropped", self._milvus.collection)
            self._milvus.drop()
            self.dropped = True
        self._clean(attempt)

    def _clean(self, attempt: Attempt) -> None:
        try:
            open_place(attempt.uri, attempt.endpoint).remove_all(attempt.prefix)
        except (OSError, BadInput) as error:
            logger.warning("store: files %s* of a bulk import stay at '%s': %s", attempt.prefix, attempt.uri, error)
        self._file.unlink(missing_ok=True)
        self._attempt = None

    def _lost(self) -> bool:
        """Whether the attempt's collection is not there any more, or another one is."""
        number = self._attempt.number if self._attempt else None
        return number is not None and not (self._milvus.exists() and self._milvus.layout.number == number)

    def _shared(self) -> bool:
        """Whether others' rows are in it too; where it has no index yet, nobody is done with writing to it."""
        if not self._milvus.has_index():
            return False
        self._milvus.load()
        return bool(len(np.setdiff1d(self._milvus.ids(), self._mine())))

    def _states(self, files: int) -> dict[int, Any]:
        """The server's tasks of this collection, by the number of their file.

        Raises:
            BadInput: it cannot read a file.
            DoubtError: one failed otherwise, is nobody's, or is there twice.
        """
        assert self._attempt is not None and self._place is not None
        connection, name = self._milvus.connection, self._milvus.collection
        tasks = connection.call(
            f"listing imports into collection '{name}'",
            lambda: connection.client._get_connection().list_bulk_insert_tasks(
                0, name, timeout=_CALL_SECONDS, context=arrays.call_context(connection)
            ),
        )
        numbers = {self._place.seen(self._attempt.file(number)): number for number in range(files)}
        numbers_of = {task: int(number) for number, task in self._attempt.tasks.items()}
        found: dict[int, Any] = {}
        for task in tasks:
            number = numbers_of.get(task.task_id, numbers.get(task.infos.get("files", "")))
            if number is None or number in found:
                raise DoubtError(f"the server has a task ({task.task_id}) that this run does not know")
            if task.task_id not in numbers_of:
                # it was accepted, and the run killed before it could note that
                self._attempt.tasks[str(number)] = task.task_id
                self._save()
            if task.state_name.startswith("Failed"):
                self._explain(number, task.failed_reason)
            found[number] = task
        return found

    def _explain(self, number: int, reason: str) -> None:
        assert self._attempt is not None and self._place is not None
        said = " ".join(reason.split())[:300]
        # a server started again says so, and so does one that cannot go on: then messages may still do
        if not _UNREADABLE.search(reason):
            raise DoubtError(f"the server's import failed: {said}")
        file, uri = self._place.seen(self._attempt.file(number)), self._attempt.uri
        self.abandon()
        raise BadInput(
            f"store.bulk_uri = '{uri}': the server cannot read '{file}', which was written there ({said}): name a "
            "folder that it sees under the same path, or its own bucket, or set store.write=upsert"
        )

    def _submit(self, number: int, files: int) -> None:
        """Have the server import a file, unless it does already: a request whose answer was lost may have been heard.

        Raises:
            DoubtError: it refuses.
        """
        assert self._attempt is not None and self._place is not None
        connection, name = self._milvus.connection, self._milvus.collection
        file = self._place.seen(self._attempt.file(number))

        def submit() -> None:
            assert self._attempt is not None
            if number not in self._states(files):
                self._attempt.tasks[str(number)] = connection.client._get_connection().do_bulk_insert(
                    name, "", [file], timeout=_CALL_SECONDS, context=arrays.call_context(connection)
                )

        try:
            connection.call(f"importing into collection '{name}'", submit)
        except (BadInput, Resumable):
            raise
        except JobError as error:
            raise DoubtError(str(error)) from None
        self._save()

    def _read(self) -> Attempt | None:
        try:
            return Attempt(**json.loads(self._file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _save(self) -> None:
        assert self._attempt is not None
        write_json(self._file, asdict(self._attempt))
