"""The run folder: its lock, and the markers that say which stages are done.

A stage's marker holds the digest of everything that its result depends on (`key`) and the digest of the result
itself (`output`). The keys of later stages are made from `output`, so a changed setting runs its own stage again, and
later stages only if the result has changed.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from job.runtime import ownership
from job.runtime.errors import EXIT_DONE, EXIT_FAILED, EXIT_RESUMABLE, BadInput, JobError
from job.runtime.files import remove_leftovers, set_writer
from job.runtime.holders import Holder, holders
from job.runtime.locks import Lock, OthersFailed, acquire
from job.runtime.markers import Content, Inspector, Marker
from job.runtime.ranks import ONE_PROCESS, Ranks
from job.runtime.signals import last_words
from job.runtime.system_errors import no_room


class RunDir:
    """A run's folder. Reading needs no lock; a process that writes must hold `locked()`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inspector = Inspector()

    def file(self, name: str) -> Path:
        return self.path / name

    def holders(self) -> list[Holder]:
        """The processes that run or ran here: of each rank the last one."""
        return holders(self.path)

    def holder(self) -> str | None:
        """The processes that are running in this folder now, as far as one look can tell, or None."""
        running = [str(holder) for holder in self.holders() if holder.state() in ("running", "unsure")]
        return "; ".join(running) or None

    @contextmanager
    def locked(self, ranks: Ranks = ONE_PROCESS, settings: Mapping[str, str] | None = None) -> Iterator[Lock]:
        """Lock the folder for this process, and note in the lock how it ends; see `job.runtime.locks`.

        Ranks of one world share the folder, each with its own lock file, which has the rank's `settings`. A single
        process next to ranks, ranks of different worlds, and the same rank twice are refused.

        Raises:
            BadInput: the folder cannot be created or written, or it is not empty and no run folder.
            JobError: another run holds it; the message names the holder.
            Resumable: there is no space on the disk.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            ownership.claim(self.path)
            lock = acquire(self.path, ranks, settings or {})
        except OSError as error:
            raise no_room(error) or BadInput(
                f"run_dir = '{self.path}': cannot write there ({error.strerror}); choose another folder"
            ) from None
        set_writer(None if ranks.single else ranks.rank)
        code, message, others = EXIT_DONE, "", False
        try:
            remove_leftovers(self.path, None if ranks.single else ranks.rank, ranks.world)
            if ranks.rank == 0:
                ownership.upgrade(self.path)
            with last_words(lambda message: lock.end(EXIT_RESUMABLE, message)):
                yield lock
        except BaseException as error:
            code = error.exit_code if isinstance(error, JobError) else EXIT_FAILED
            message, others = str(error) or type(error).__name__, isinstance(error, OthersFailed)
            raise
        finally:
            lock.end(code, message, others)

    def _marker_file(self, stage: str) -> Path:
        return self.path / "markers" / f"{stage}.json"

    def marker(self, stage: str) -> Marker | None:
        """The stage's marker, or None if it has none or it cannot be read."""
        return Marker.load(self._marker_file(stage))

    def stats(self, stage: str) -> Mapping[str, Any]:
        """What the stage's marker says of its work; empty without a marker."""
        marker = self.marker(stage)
        return {} if marker is None else marker.stats

    def problems(self, marker: Marker, content: bool = True) -> dict[str, str]:
        """The marker's files that are not as the stage left them, each with what is wrong.

        `content`: their content is read, once in this process while they do not change; else only sizes are compared.
        """
        return self._inspector.problems(self.path, marker, content)

    def intact(self, marker: Marker) -> bool:
        """Whether the marker's files are as the stage left them; the log says which are not."""
        problems = self.problems(marker)
        self._inspector.say(self.path, marker, problems)
        return not problems

    def finish(
        self,
        stage: str,
        key: str,
        output: str,
        files: list[str],
        seconds: float,
        stats: Mapping[str, Any],
        made_with: Mapping[str, Any] | None = None,
    ) -> Marker:
        """Write the stage's marker, after all of its files. For a folder among `files` only its existence counts."""
        contents = {name: Content.of(self.file(name)) if self.file(name).is_file() else None for name in files}
        finished = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        marker = Marker(stage, key, output, contents, round(seconds, 3), finished, dict(stats), dict(made_with or {}))
        self._marker_file(stage).parent.mkdir(exist_ok=True)
        marker.save(self._marker_file(stage))
        return marker

    def forget(self, stage: str) -> None:
        """Remove the stage's marker, so that the stage runs again next time."""
        self._marker_file(stage).unlink(missing_ok=True)

    @contextmanager
    def without_markers(self, stages: Sequence[str], first: bool, outside: Sequence[str] = ()) -> Iterator[None]:
        """Without these stages' markers during the block and after it. `first`: the block is the first work of this
        process; if it refuses a setting or the input, or is stopped, and their files are as they were, the markers come
        back: what was finished before is finished still. Those of the stages that write `outside` of the folder only
        where they refuse something: what they had written when they were stopped is not known."""
        markers = [marker for stage in dict.fromkeys(stages) if (marker := self.marker(stage)) is not None]
        for stage in stages:
            self.forget(stage)
        try:
            yield
        except JobError as error:
            if first and not any(self.problems(marker) for marker in markers):
                gone = () if isinstance(error, BadInput) else outside
                # on a full disk they stay away
                with suppress(OSError):
                    for marker in (marker for marker in markers if marker.stage not in gone):
                        marker.save(self._marker_file(marker.stage))
            raise
