"""Stops at random moments: SIGKILL; the signals that ask a run to stop; and the same with two ranks in one folder."""

import random
import signal
import time

from faults import check, forks
from faults.bench import Bench, Result
from faults.forks import Child
from faults.shim import Fault
from faults.world import World

_SIGNALS = {"TERM": signal.SIGTERM, "INT": signal.SIGINT, "USR1": signal.SIGUSR1}
_EXACT = "neighbors.backend=exact"
# rank 0 waits for others with polls of a second
_RANKS_SECONDS = 4.0
_benches: dict[int, Bench] = {}


def cases(bench: Bench, seed: int, every: int = 1) -> list[tuple[str, float]]:
    """The kind of stop, and when it comes: a share of the run's usual time."""
    draw = random.Random(seed)
    kinds = ["kill"] * 150 + [name for name in _SIGNALS for _ in range(50)] + ["ranks"] * 40
    draw.shuffle(kinds)
    return [(kind, draw.random()) for kind in kinds][::every]


def carry_out(bench: Bench, kind: str, when: float) -> Result:
    """One stop, then the same command again."""
    if kind == "ranks":
        return _ranks(bench, when)
    bench.clear()
    started = time.monotonic()
    child = forks.start(bench.world.words(), bench.world.scratch, bench.world.run, Fault("count"))
    time.sleep(max(0.0, when * bench.seconds - (time.monotonic() - started)))
    if not child.ended():
        child.send(_SIGNALS.get(kind, signal.SIGKILL))
    done = child.wait()
    before = check.finished(bench.world.run) if bench.world.run.exists() else set()
    result = bench.go_on(f"{kind} at random", int(1000 * when * bench.seconds), int(done.code == -9), before)
    if kind != "kill" and done.code not in (0, 75):
        # before the folder is locked and after it is released, a signal ends the process as usual
        outside = " run: /" not in done.said or "run: done" in done.said
        said = f"ended with {done.code}"
        (result.remarks if outside else result.problems).append(said)
    if "Traceback" in done.said:
        result.problems.append("a traceback")
    return result


def _ranks(bench: Bench, when: float) -> Result:
    """Two ranks; one of them or both are killed, and start again."""
    draw = random.Random(when)
    if id(bench) not in _benches:
        _benches[id(bench)] = Bench(World(bench.world.base, (_EXACT,)))
        _benches[id(bench)].refer()
    ranks = _benches[id(bench)]
    ranks.clear()
    children = [_start(ranks, rank) for rank in (0, 1)]
    killed = draw.choice(([0], [1], [0, 1]))
    result = Result(f"ranks killed: {killed}", int(1000 * when))
    time.sleep(when * bench.seconds)
    for rank in killed:
        if not children[rank].ended():
            children[rank].send(signal.SIGKILL)
            result.kills += 1
        children[rank].wait()
    before = check.finished(ranks.world.run) if ranks.world.run.exists() else set()
    again = [_start(ranks, rank) if rank in killed else children[rank] for rank in (0, 1)]
    done = [child.wait() for child in again]
    codes = [one.code for one in done]
    if codes != [0, 0]:
        result.problems = [f"exit codes {codes}: {'; '.join(one.error for one in done if one.code)}"]
        return result
    found = check.state_of(ranks.world)
    allowed = ("file too many: locks/rank-", "file too many: job.rank-1.log", "file missing: locks/single")
    result.problems = [one for one in check.differences(ranks.reference, found) if not one.startswith(allowed)]
    made = check.redone(before, ranks.world.run, [note for one in done for note in one.notes])
    lost = [one for one in made if "/" in one and set(killed) == {0, 1}]
    result.problems += [f"done again: {', '.join(lost)}"] if lost else []
    return result


def _start(ranks: Bench, rank: int) -> Child:
    words = ranks.world.words(f"ranks.rank={rank}", "ranks.world=2", "ranks.wait=60")
    return forks.start(words, ranks.world.scratch / f"rank{rank}", ranks.world.run, Fault("count"))
