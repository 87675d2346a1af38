"""Whether a run that stopped is worth starting again: it is while restarts finish something that was not finished."""

from pathlib import Path

from job.runtime.files import digest, read_sealed, write_sealed
from job.runtime.rundir import RunDir

# restarts in a row that finish nothing; after so many the run is not started again
FRUITLESS = 2
_FILE = "restarts.json"


def note_stop(run: RunDir, job: str, preempted: bool = False) -> int:
    """Note that the batch job or script `job` stopped. Returns the restarts in a row that finished nothing: the first
    stop of a job counts as none, since what it found finished is not known; nor does one that others took the place
    of."""
    done = finished(run.path)
    last = read_sealed(run.file(_FILE))
    fruitless, seen = 0, done
    if last.get("job") == job and last.keys() >= {"finished", "fruitless"}:
        # what was finished once and is made again is no progress
        seen = done | set(last["finished"])
        fruitless = last["fruitless"] + (not preempted) if len(seen) == len(last["finished"]) else 0
    write_sealed(run.file(_FILE), {"job": job, "fruitless": fruitless, "finished": sorted(seen)})
    return fruitless


def finished(folder: Path) -> set[str]:
    """A digest of each finished stage, shard, and batch that Milvus acknowledged."""
    found = set()
    for path in [*folder.glob("markers/*.json"), *folder.glob("*/[0-9]*.json")]:
        values = read_sealed(path)
        if not values:
            continue
        same = {name: values.get(name) for name in ("key", "output", "crc32")}
        found.add(digest(path.parent.name, path.name, same))
    try:
        journal = (folder / "store_done.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        journal = []
    return found | {digest(journal[0], line) for line in journal[1:]}
