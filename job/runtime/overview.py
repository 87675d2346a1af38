"""How far a run is and what became of its processes, read from its folder: nothing is written there."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from job.runtime.holders import Holder
from job.runtime.locks import DEAD_SECONDS
from job.runtime.rundir import RunDir
from job.runtime.shards import progress

# stages whose work is in shards, and the folder that these are in
SHARD_FOLDERS = {"embed": "embeddings", "neighbors": "neighbors"}
_LOG_TAIL = 4096


def overview(run: RunDir, stages: Iterable[str]) -> dict[str, Any]:
    """The state of these stages and of the last processes, as JSON values.

    `stages`: name, state (`done`, `files missing`, `files changed`, `not done` and the like), of finished ones
    finished, seconds and rows, of those in shards also shards. `processes`: rank, world, process, host, since, state
    (`running`, `done`, `stopped`, `failed`, `died`), code, message and log. `running`: whether one runs.
    """
    last = _last_launch(run.holders())
    processes = [_process(holder, run) for holder in last]
    start = max((holder.at for holder in last), default=0.0)
    return {
        "run_dir": str(run.path),
        "stages": [_stage(run, name, start) for name in stages],
        "processes": processes,
        "running": any(one["state"] == "running" for one in processes),
        "last_line": _last_line(run),
    }


def _last_launch(holders: list[Holder]) -> list[Holder]:
    """Those of the world, or the single process, that started last."""
    started = [holder for holder in holders if holder.facts]
    if not started:
        return []
    world = max(started, key=lambda holder: holder.at).world
    return sorted((holder for holder in started if holder.world == world), key=lambda holder: holder.rank)


def _process(holder: Holder, run: RunDir) -> dict[str, Any]:
    ended = holder.ended
    found = {
        "rank": holder.rank,
        "world": holder.world,
        "process": holder.facts["process"],
        "host": holder.facts["host"],
        "since": holder.facts["since"],
        "log": str(run.file(holder.log)),
    }
    if ended is None:
        state = {"unsure": _by_its_clock(holder)}.get(holder.state(), holder.state())
        return found | {"state": state, "code": None, "message": "" if state == "running" else "it did not say why"}
    state = "stopped" if holder.because_of_others else {0: "done", 75: "stopped"}.get(ended["code"], "failed")
    return found | {"state": state, "code": ended["code"], "message": ended["message"], "ended": ended["at"]}


def _by_its_clock(holder: Holder) -> str:
    """Whether a process of another machine lives, if the machines' clocks agree: one look cannot tell more."""
    _, _, at = holder.beat().strip().partition(" ")
    return "running" if at.isdigit() and time.time() - int(at) < DEAD_SECONDS else "died"


def _stage(run: RunDir, name: str, start: float) -> dict[str, Any]:
    marker = run.marker(name)
    if marker is not None:
        try:
            state = _state_of_files(run.problems(marker, content=False))
        except PermissionError:
            state = "done, by its marker: its files may not be read"
        rows = marker.stats.get("rows")
        return {"name": name, "state": state, "finished": marker.finished, "seconds": marker.seconds, "rows": rows}
    found: dict[str, Any] = {"name": name, "state": "not done"}
    shards = progress(run.file(SHARD_FOLDERS[name])) if name in SHARD_FOLDERS else None
    return found | ({"shards": _shards(shards, start)} if shards else {})


def _state_of_files(problems: Mapping[str, str]) -> str:
    if not problems:
        return "done"
    return "files missing" if "is missing" in problems.values() else "files changed"


def _shards(found: dict[str, Any], start: float) -> dict[str, Any]:
    """`done` and `total` of all and `by_rank` of each rank's share; `rows_per_second` since this start, and
    `seconds_left` at that rate."""
    world = found["ranks"]
    done = Counter(mark["shard"] % world for mark in found["marks"])
    by_rank = [
        {"rank": rank, "done": done[rank], "total": len(range(rank, found["shards"], world))} for rank in range(world)
    ]
    recent = sorted((mark["at"], mark["rows"]) for mark in found["marks"] if mark["at"] >= start)
    rate = None
    if len(recent) > 1 and recent[-1][0] > recent[0][0]:
        rate = sum(rows for _, rows in recent[1:]) / (recent[-1][0] - recent[0][0])
    left = (found["rows"] - found["rows_done"]) / rate if rate else None
    return {
        "done": found["done"],
        "total": found["shards"],
        "rows_done": found["rows_done"],
        "rows": found["rows"],
        "by_rank": by_rank,
        "rows_per_second": round(rate, 1) if rate else None,
        "seconds_left": round(left) if left is not None else None,
    }


def _last_line(run: RunDir) -> str:
    """The last line of rank 0's log."""
    try:
        with run.file("job.log").open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - _LOG_TAIL))
            lines = log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
