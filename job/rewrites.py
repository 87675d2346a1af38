"""Storing the rows once more, where what Milvus holds is not what this run wrote.

`rewrites.json` counts how often that was necessary in a run folder. The count is part of the store stage's key, so all
that was made from the altered rows is made again: the batches, and the shards of the neighbor graph, also those of
other ranks. Rows that are altered again before a neighbor graph was finished are an error: else a run would go on for
ever beside a program that writes to its collection.
"""

from typing import NoReturn

from job.backends.milvus import lite_files
from job.context import COLLECTION, Job
from job.runtime.errors import JobError, Resumable
from job.runtime.files import read_sealed, write_sealed
from job.runtime.log import logger
from job.runtime.rundir import RunDir

_FILE = "rewrites.json"


class RowsAlteredError(Resumable):
    """The rows in Milvus are not what this run wrote; when the store stage runs next, it writes them again."""


def rewrites(run: RunDir) -> int:
    """How often all rows had to be written again so far."""
    return _read(run)[0]


def demand_rewrite(job: Job, why: str) -> NoReturn:
    """Make the store stage write all rows again; its own Lite database is made anew.

    Raises:
        RowsAlteredError: that is possible now.
        JobError: they were altered again since they were last written again.
    """
    demanded, settled = _read(job.run)
    store = job.config.store
    marker = job.run.marker("store")
    # what another rank has demanded already, since the same rows were stored, is the same demand
    stored = demanded if marker is None else int(marker.stats.get("rewrites", 0))
    where = f"store.collection = '{store.collection}' at '{job.milvus.uri}'"
    if stored > settled:
        _write(job.run, max(demanded, stored), stored)
        raise JobError(
            f"{where}: {why}, and so it was before they were written again. Does another program write to this "
            "collection? Stop it, or set store.collection to another name; then give the same command again"
        )
    _write(job.run, stored + 1, settled)
    if job.ranks.rank == 0:
        job.run.forget("store")
        if owns_lite(job):
            discard_lite(job, why)
    raise RowsAlteredError(f"{where}: {why}: `run` writes them again")


def settle(run: RunDir) -> None:
    """Note that the rows as they were last written have given a neighbor graph."""
    demanded, settled = _read(run)
    if demanded != settled:
        _write(run, demanded, demanded)


def owns_lite(job: Job) -> bool:
    """Whether Milvus is a Lite database in the run folder that holds nothing but this run's rows.

    Not where the collection grows from day to day (`store.scope: collection`), or did so before: its older rows are
    nowhere else.
    """
    return job.config.store.uri is None and not job.whole_collection and not job.run.file(COLLECTION).exists()


def discard_lite(job: Job, why: str) -> None:
    """Remove the run's collection from its own Lite database: it is written again from the run folder."""
    logger.warning("store: the collection in the run's own Milvus Lite database is made again, since: %s", why)
    job.close()
    lite_files.remove(lite_files.place(job.config.store_uri), job.config.store.collection)
    for name in ("store_done.txt", "store_ids.bin"):
        job.run.file(name).unlink(missing_ok=True)


def _read(run: RunDir) -> tuple[int, int]:
    """How many rewrites were demanded, and how many of them have given a neighbor graph; 0 where it is not known."""
    found = read_sealed(run.file(_FILE))
    if not found.keys() >= {"demanded", "settled"}:
        return 0, 0
    demanded, settled = int(found["demanded"]), int(found["settled"])
    return (demanded, settled) if 0 <= settled <= demanded else (0, 0)


def _write(run: RunDir, demanded: int, settled: int) -> None:
    write_sealed(run.file(_FILE), {"demanded": demanded, "settled": settled})
