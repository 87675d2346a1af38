"""Opening the folder of a finished run, for commands that read it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from job.backends.milvus import is_lite
from job.config import put_environment, resolve
from job.context import Job
from job.pipeline import NAMES, STAGES
from job.runtime import ownership
from job.runtime.errors import BadInput, Resumable
from job.runtime.files import atomic
from job.runtime.rundir import RunDir
from job.stages.ingest import TEXTS_OF, IngestStage

# what these stages leave is needed only in part, and may be gone: whoever reads it says what is missing
_OPTIONAL = ("embed", "store")
_AS_OPENED = "the last stage's marker"


def open_finished(run_dir: Path, words: list[str] | None = None) -> Job:
    """The run in this folder, with `key=value` settings over its own; nothing is written, and no lock is taken.

    Raises:
        BadInput: the folder holds no finished run, or a run is changing it.
    """
    run = RunDir(run_dir)
    opened = run.marker(NAMES[-1])
    values = ownership.settings(run_dir)
    # the token is not saved, and a server may have moved; a Lite file has not become a server
    put_environment(values, "MILVUS_TOKEN", *(() if is_lite(values["store"]["uri"] or "") else ("MILVUS_URI",)))
    config = resolve(values, words or [], f"{run_dir}/config.json")
    for stage in STAGES:
        if stage.name not in _OPTIONAL and stage.applies(config):
            check_files(run, stage.name)
    job = Job(config, device=None if any(word.startswith("device=") for word in words or []) else "auto")
    job.once(_AS_OPENED, lambda: opened)
    return job


def check_texts(job: Job) -> None:
    """Raise `BadInput` where an older version read the run's headlines: it left other texts, and so other ids."""
    if job.has_input and job.run.stats("ingest").get(TEXTS_OF) != IngestStage.version:
        raise BadInput(f"'{job.run.path}': an older version read its headlines: give its `run` once more")


@contextmanager
def unchanged(job: Job) -> Iterator[None]:
    """Within this block the run of `open_finished` is read, whose files are loaded one after the other.

    Raises:
        Resumable: another process has changed it since it was opened; also in place of an error that came of that.
    """
    try:
        yield
    except Exception:
        _check_unchanged(job)
        raise
    _check_unchanged(job)


@contextmanager
def written(job: Job, path: Path) -> Iterator[Path]:
    """As `atomic`: what is written from a run that was changed meanwhile does not get its name."""
    with atomic(path) as temporary, unchanged(job):
        yield temporary


def _check_unchanged(job: Job) -> None:
    # a process that begins to change the answer removes this marker first, and writes another one last
    if job.run.marker(NAMES[-1]) != job.once(_AS_OPENED, lambda: None):
        raise Resumable(
            f"'{job.run.path}' was changed by another process while it was read: give the same command again once that "
            "process has ended"
        )


def check_files(run: RunDir, stage: str, may_be_gone: bool = False) -> None:
    """Raise `BadInput` unless the stage's files are as it left them; `may_be_gone`: they need not be there."""
    marker = run.marker(stage)
    problems = {} if marker is None else run.problems(marker)
    found = [(name, what) for name, what in problems.items() if not may_be_gone or run.file(name).exists()]
    if marker is not None and not found:
        return
    what = "is not done" if marker is None else f"has to be done again, '{found[0][0]}' {found[0][1]}"
    holder = run.holder()
    action = f"it is in use by {holder}: wait for that run to end" if holder else "`run` it to the end first"
    raise BadInput(f"'{run.path}': stage {stage} {what}; {action}")
