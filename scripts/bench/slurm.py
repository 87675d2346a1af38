"""The batch scripts on a real Slurm of one node: is the answer that of one local run, whatever happens on the way?

    .venv/bin/python scripts/bench/slurm.py --data FILE
    .venv/bin/python scripts/bench/slurm.py --data FILE --parts preempt --rows 10000

`once`: run.sbatch and the chain with two ranks. `preempt`: ten preemptions at random moments. `crash`: eight ranks of
which two always fail. `milvus`: a server that is down in one of three starts, at random. Needs root, and
`apt-get install slurm-wlm munge`. Prints a line per check, then their numbers as JSON; ends with 1 if one fails.
"""

import argparse
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "slurm"))

from one_node import OneNode  # noqa: E402

from job.runtime import ownership  # noqa: E402

ANSWER = "headlines_clustered.csv"
OPTIONS = ("--ntasks-per-node=2", "--gpus-per-node=2", "--cpus-per-task=1", "--mem=8G")
PREEMPTIONS, LOOPS = 10, 6
Until = Callable[[dict[str, str]], bool]


class Bench:
    """A cluster, the input, and the answer of one local run."""

    def __init__(self, cluster: OneNode, folder: Path, code: Path, settings: list[str]) -> None:
        self.cluster, self.folder, self.code, self.settings = cluster, folder, code, settings
        self.checks = self.failed = 0

    def check(self, what: str, good: bool) -> None:
        print(f"{'ok    ' if good else 'FAILED'} {what}", flush=True)
        self.checks, self.failed = self.checks + 1, self.failed + (not good)

    def local(self, name: str, *settings: str) -> bytes:
        """The answer of one process without Slurm; it is made once."""
        if (self.folder / name / "run.json").exists():
            return (self.folder / name / ANSWER).read_bytes()
        started = time.monotonic()
        words = [".venv/bin/python", "-m", "job", "run", "configs/demo.yaml", *self.settings, *settings]
        done = subprocess.run(
            [*words, f"run_dir={self.folder / name}"],
            cwd=self.code,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"the local run failed:\n{done.stderr}")
        print(f"       one local run: {time.monotonic() - started:.0f} s", flush=True)
        return (self.folder / name / ANSWER).read_bytes()

    def submit(self, name: str, *settings: str, options: tuple[str, ...] = OPTIONS, script: str = "") -> str:
        """run.sbatch with run_dir `name`: the job's number."""
        script = script or "scripts/slurm/run.sbatch"
        log = f"--output={self.folder / name}-%j.log"
        words = [script, "configs/demo.yaml", *self.settings, *settings, f"run_dir={self.folder / name}"]
        return self.cluster.call("sbatch", "--parsable", log, *options, *words, cwd=self.code).strip()

    def wait(
        self, number: str, seconds: float, until: Callable[[dict[str, str]], bool] | None = None
    ) -> dict[str, str]:
        """The job's fields once it has ended, or once `until` is true of them."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            fields = self.cluster.job(number)
            if (until or _over)(fields):
                return fields
            time.sleep(0.3)
        raise SystemExit(f"job {number} has not come so far within {seconds:.0f} s: {fields}")

    def log(self, name: str, number: str) -> str:
        return (self.folder / f"{name}-{number}.log").read_text(errors="replace")

    def done(self, number: str, name: str, seconds: float = 1800) -> dict[str, str]:
        """The job's fields after it has ended; what it printed is shown if it failed."""
        fields = self.wait(number, seconds)
        if fields["JobState"] != "COMPLETED":
            print(self.log(name, number)[-3000:], flush=True)
        return fields


def _over(fields: dict[str, str]) -> bool:
    return fields["JobState"] in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")


def _restarted(before: int) -> Until:
    return lambda fields: int(fields["Restarts"]) > before or _over(fields)


def once(bench: Bench) -> None:
    """run.sbatch and the chain, two ranks: the answer of one local run."""
    answer = bench.local("local")
    started = time.monotonic()
    number = bench.submit("run")
    state = bench.done(number, "run")["JobState"]
    same = state == "COMPLETED" and (bench.folder / "run" / ANSWER).read_bytes() == answer
    bench.check(f"run.sbatch, 2 ranks: {state}, the same answer ({time.monotonic() - started:.0f} s)", same)
    started = time.monotonic()
    words = ["scripts/slurm/submit.sh", "configs/demo.yaml", *bench.settings, f"run_dir={bench.folder / 'chain'}"]
    options = [
        "--gpus-per-node=2",
        "--cpus-per-gpu=1",
        "--mem=8G",
        f"--logs={bench.folder / 'logs'}",
        "--time=01:00:00",
    ]
    said = bench.cluster.call("bash", *words, *options, cwd=bench.code)
    last = said.strip().splitlines()[-1].split()[2].rstrip(",")
    state = bench.wait(last, 1800)["JobState"]
    same = state == "COMPLETED" and (bench.folder / "chain" / ANSWER).read_bytes() == answer
    bench.check(f"the chain, 2 ranks: {state}, the same answer ({time.monotonic() - started:.0f} s)", same)
    if not same:
        print(said, *(log.read_text() for log in (bench.folder / "logs").glob("*.log")), sep="\n")


def preempt(bench: Bench) -> None:
    """Preemptions at random moments: the same answer, and no finished shard is made again."""
    answer = bench.local("local")
    folder, dice = bench.folder / "preempt", random.Random(11)
    number = bench.submit("preempt", options=(*OPTIONS, "--partition=low"))
    made: dict[str, float] = {}
    again = preempted = 0
    moments = []
    for _ in range(PREEMPTIONS):
        fields = bench.wait(number, 300, lambda fields: fields["JobState"] == "RUNNING" or _over(fields))
        if _over(fields):
            break
        time.sleep(dice.uniform(2, 18))
        before = int(fields.get("Restarts", 0))
        bench.cluster.call("sbatch", "--partition=high", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
        fields = bench.wait(number, 300, _restarted(before))
        if _over(fields):
            break
        preempted += 1
        now = _shards(folder)
        again += sum(name in now and now[name] != at for name, at in made.items())
        made |= now
        moments.append(len(now))
    state = bench.done(number, "preempt")["JobState"]
    now = _shards(folder)
    again += sum(now[name] != at for name, at in made.items())
    same = state == "COMPLETED" and (folder / ANSWER).read_bytes() == answer
    bench.check(
        f"{preempted} preemptions, with {moments} of {len(now)} shards finished: {state}, the same answer", same
    )
    bench.check(f"finished shards that were made again: {again}", again == 0)


def _shards(folder: Path) -> dict[str, float]:
    """When each finished shard was made."""
    return {path.name: json.loads(path.read_text())["at"] for path in folder.glob("embeddings/0*.json")}


def crash(bench: Bench) -> None:
    """Eight ranks of which two always fail: the job stops and names them; then only what is missing is done."""
    answer = bench.local("local")
    folder = bench.folder / "crash"
    folder.mkdir()
    ownership.claim(folder)
    broken = [folder / "embeddings" / f"{rank:05d}.npy" for rank in (2, 5)]
    for path in broken:  # a folder where these ranks want to write their first shard
        path.mkdir(parents=True)
    options = ("--ntasks-per-node=8", "--gpus-per-node=8", "--cpus-per-task=1", "--mem=16G")
    number = bench.submit("crash", options=options)
    fields = bench.wait(number, 900)
    said = bench.log("crash", number)
    last = said.strip().splitlines()[-1]
    bench.check(f"2 of 8 ranks always fail: {fields['JobState']} {fields['ExitCode']}", fields["ExitCode"] == "1:0")
    named = all(f"rank {rank} of 8" in last and f"job.rank-{rank}.log" in last for rank in (2, 5))
    bench.check(f"its last line names them and their logs: {last}", named)
    words = [".venv/bin/python", "-m", "job", "status", str(folder)]
    status = subprocess.run(words, cwd=bench.code, capture_output=True, text=True).stdout
    shown = [line[:200] for line in status.splitlines() if line.startswith(("embed", "failed"))]
    bench.check(
        "status shows it:\n         " + "\n         ".join(shown), sum("failed with 1" in line for line in shown) >= 2
    )
    before = _shards(folder)
    for path in broken:
        path.rmdir()
    number = bench.submit("crash", options=options)
    state = bench.done(number, "crash")["JobState"]
    now = _shards(folder)
    kept = sum(now[name] == at for name, at in before.items())
    same = state == "COMPLETED" and (folder / ANSWER).read_bytes() == answer
    bench.check(f"the same submission without the cause: {state}, the same answer", same)
    bench.check(f"{kept} of {len(before)} finished shards kept, {len(now) - kept} made", kept == len(before))


def milvus(bench: Bench) -> None:
    """A server that is down in one of three starts, at its begin or later: every requeue loop ends with the answer."""
    spec = importlib.util.spec_from_file_location("serve", ROOT / "scripts" / "milvus" / "serve.py")
    assert spec is not None and spec.loader is not None
    serve = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(serve)
    server, dice = serve.Server(bench.folder / "server"), random.Random(3)
    server.start()
    common = (f"store.uri={server.uri}", "store.patience=8", "neighbors.backend=milvus", "store.index=FLAT")
    plan: list[str] = []
    try:
        answer = bench.local("local-milvus", *common, "store.collection=local")
        for loop in range(LOOPS):
            name, outages = f"milvus{loop}", []
            restarts, number = -1, ""
            fields = {"Restarts": "0", "JobState": "PENDING"}
            while not _over(fields):
                if int(fields["Restarts"]) > restarts:  # a start: is the server down in it?
                    restarts = int(fields["Restarts"])
                    if not plan:
                        plan = ["start" if dice.random() < 0.5 else "middle", "", ""]
                        dice.shuffle(plan)
                    outage = plan.pop()
                    if server.poll() is not None:
                        server.start()
                    if outage == "start":
                        server.kill()
                    outages.append(outage or "up")
                number = number or bench.submit(name, *common, f"store.collection={name}")
                if outage == "middle" and _at_store(bench.folder / name) and server.poll() is None:
                    server.kill()
                time.sleep(0.3)
                fields = bench.cluster.job(number)
            if server.poll() is not None:
                server.start()
            state = fields["JobState"]
            same = state == "COMPLETED" and (bench.folder / name / ANSWER).read_bytes() == answer
            bench.check(f"loop {loop}: starts with the server {', '.join(outages)}: {state}, the same answer", same)
    finally:
        server.stop()


def _at_store(folder: Path) -> bool:
    """Whether the job works with the server now."""
    markers = folder / "markers"
    return (markers / "embed.json").exists() and not (markers / "neighbors.json").exists()


PARTS: dict[str, Callable[[Bench], None]] = {"once": once, "preempt": preempt, "crash": crash, "milvus": milvus}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a Parquet file with a column title")
    parser.add_argument("--rows", type=int, help="headlines; 10,000, or 2,000 with --quick")
    parser.add_argument("--parts", help=f"of {','.join(PARTS)}, the default; once with --quick")
    parser.add_argument("--quick", action="store_true", help="few headlines, nothing interrupted")
    parser.add_argument("--clone", action="store_true", help="from a fresh clone of this repository")
    parser.add_argument("--folder", type=Path, help="kept, where given")
    arguments = parser.parse_args()
    rows, parts = (2_000, "once") if arguments.quick else (10_000, ",".join(PARTS))
    rows, parts = arguments.rows or rows, arguments.parts or parts
    with tempfile.TemporaryDirectory(prefix="slurm-bench-") as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        source = folder / "headlines.parquet"
        pq.write_table(pq.read_table(arguments.data, columns=["title"]).slice(0, rows), source)
        code = ROOT
        if arguments.clone:
            code = folder / "clone"
            shutil.rmtree(code, ignore_errors=True)
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(code)], check=True)
            (code / ".venv").symlink_to((ROOT / ".venv").resolve())
        settings = [f"input.path={source}", "input.description=null", "device=cpu", "neighbors.backend=exact"]
        # many shards, so that there is something to interrupt
        settings += ["embed.shard_rows=200", "embed.precision=fp32"]
        cluster = OneNode(folder / "slurm")
        cluster.start()
        bench: Any = Bench(cluster, folder, code, settings)
        try:
            for part in parts.split(","):
                print(f"{part}: {(PARTS[part].__doc__ or '').strip()}", flush=True)
                PARTS[part](bench)
        finally:
            cluster.stop()
    print(json.dumps({"checks": bench.checks, "failed": bench.failed}))
    sys.exit(bench.failed > 0)


if __name__ == "__main__":
    main()
