"""Reads every file of a corpus of odd inputs, and random ones, as `ingest` does, and writes the answer's three forms.

Each file of the corpus is read in a process of its own, forked from one that has imported everything. A file must be
read or refused, with every record in the answer or among the rejects, in at most 10 s of the processor and 1.5 GB.
    .venv/bin/python scripts/faults/nasty_inputs.py                     the corpus
    .venv/bin/python scripts/faults/nasty_inputs.py --generated 10000   and so many random files
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

# the checkout that this file is in, whichever one is installed
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))

from faults import nasty_files
from job.backends.tables.answer_rows import WRITERS, AnswerRows
from job.config import Input
from job.runtime.errors import BadInput
from job.runtime.rundir import RunDir
from job.stages.ingest import ingest

# of the processor, since these machines are busy; a file that waits is found by the clock
CPU_SECONDS, SECONDS, MEMORY_MB = 10, 60, 1_500


def read(item: nasty_files.Nasty, folder: Path) -> str:
    """`read` or `refused`; else what is wrong."""
    path, run = folder / item.name, RunDir(folder / "run")
    path.write_bytes(item.content)
    run.path.mkdir()
    try:
        stats = ingest(Input(path=str(path), **dict(item.settings)), run).stats
    except BadInput as error:
        left = {one.name for one in run.path.iterdir()}
        if "no usable row" in str(error):
            # the rejects say why
            left -= {"rows.parquet", "input.parquet", "rejects.csv"}
        if len(str(error)) > 2_000 or "\n" in str(error):
            return f"a message of {len(str(error))} characters"
        return f"left {left}" if left else "refused"
    accepted = pq.read_metadata(run.file("rows.parquet")).num_rows
    if item.records is not None and accepted + stats["rejects"] != item.records:
        return f"{accepted} rows and {stats['rejects']} rejects of {item.records} records"
    ids = pq.read_table(run.file("headlines.parquet"), columns=["id"])["id"]
    answer = AnswerRows(run.path, pa.table({"id": ids, "cluster": pa.nulls(len(ids), pa.int32())}))
    for suffix, writer in WRITERS.items():
        answer.writers = [writer(folder / f"answer{suffix}", answer.schema)]
        with answer.writers[0]:
            answer.write()
    lines = (folder / "answer.jsonl").read_text(encoding="utf-8").count("\n")
    table = pd.read_csv(folder / "answer.csv", dtype=str, keep_default_na=False, low_memory=False)
    if not accepted == lines == len(table) == pq.read_metadata(folder / "answer.parquet").num_rows:
        return f"{accepted} rows, {len(table)} in CSV, {lines} in JSON Lines"
    return "read"


def forked(item: nasty_files.Nasty) -> tuple[str, float, int]:
    """What came of a file in a process of its own, its processor seconds, and its peak MB beside the libraries."""
    folder = Path(tempfile.mkdtemp(prefix="nasty-"))
    # what making the corpus left would be used again, and not counted
    pa.default_memory_pool().release_unused()
    child = os.fork()
    if child == 0:
        os.close(2)
        os.open(folder / "stderr", os.O_WRONLY | os.O_CREAT)
        (folder / "before").write_text(Path("/proc/self/statm").read_text().split()[1])
        signal.alarm(SECONDS)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        try:
            said = read(item, folder)
        except BaseException as error:
            said = f"traceback: {type(error).__name__}: {str(error)[:200]}"
        (folder / "said").write_text(said, errors="replace")
        os._exit(0)
    _, status, usage = os.wait4(child, 0)
    said = (folder / "said").read_text() if (folder / "said").exists() else f"died by signal {os.WTERMSIG(status)}"
    before = int((folder / "before").read_text()) * resource.getpagesize() // 1024
    shutil.rmtree(folder)
    return said, usage.ru_utime + usage.ru_stime, max(0, usage.ru_maxrss - before) // 1024


def in_process(count: int, seed: int) -> Counter[str]:
    """What came of `count` random files, read one after the other in this process."""
    draw, found = random.Random(seed), Counter[str]()
    for number in range(count):
        item = nasty_files.generated(draw, number)
        with tempfile.TemporaryDirectory(prefix="nasty-") as name:
            signal.alarm(SECONDS)
            try:
                said = read(item, Path(name))
            except BaseException as error:
                said = f"traceback: {type(error).__name__}: {str(error)[:200]}"
            signal.alarm(0)
        if said not in ("read", "refused"):
            print(f"{item.name}: {said}", flush=True)
        found[said if said in ("read", "refused") else "wrong"] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generated", type=int, default=0, metavar="N", help="also read N random files")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    items = nasty_files.corpus(arguments.seed)
    found, slowest, largest, wrong = Counter[str](), 0.0, 0, 0
    for item in items:
        said, seconds, memory = forked(item)
        slowest, largest = max(slowest, seconds), max(largest, memory)
        bad = said not in ("read", "refused") or memory > MEMORY_MB
        wrong += bad
        found[said if not bad else "wrong"] += 1
        if bad:
            print(f"{item.name}: {said}, {seconds:.1f} s, {memory} MB", flush=True)
    print(f"{'corpus':<12} {len(items):>7,} files: {dict(found)}, slowest {slowest:.1f} s, most memory {largest} MB")
    random_files = in_process(arguments.generated, arguments.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{'generated':<12} {arguments.generated:>7,} files: {dict(random_files)}, peak of the process {peak} MB")
    figures = {"corpus": len(items), "corpus_wrong": wrong, "slowest_s": round(slowest, 1), "most_mb": largest}
    figures |= {"generated": arguments.generated, "generated_wrong": random_files["wrong"]}
    print(json.dumps(figures))
    sys.exit(1 if wrong or random_files["wrong"] else 0)


if __name__ == "__main__":
    main()
