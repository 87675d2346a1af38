"""`doctor CONFIG` against a run: seconds, memory and disk of every stage, for some numbers of headlines.

    .venv/bin/python scripts/bench/doctor.py --quick --data FILE
    .venv/bin/python scripts/bench/doctor.py --data FILE
    .venv/bin/python scripts/bench/doctor.py --rows 1000000 --uri http://localhost:19530 --data FILE

For each number, `doctor` first says what a run will need, with the demo's configuration and MiniLM; then the run itself
is watched from outside: the resident memory of its processes every 20 ms, its files every second. Up to 20,000
headlines the neighbors are asked of Milvus Lite, above of `neighbors.backend=exact`. `--quick`: 1,000 and 20,000
headlines; otherwise 240,000 too (a quarter of an hour). `--rows`: other numbers; above those of the file, its titles
are followed by copies in which names are exchanged. `--uri`: a Milvus server, which is then asked for all neighbors.

The table has predicted and measured figures. A ratio of seconds is only taken where either is above `LEAST_SECONDS`,
one of disk above `LEAST_MB`: what is smaller is noise, or depends on the stories. `within`: the share of all ratios
between 1/1.3 and 1.3.

`--data`: a Parquet file with a column `title`, and perhaps `time` and `source`; the first of its rows are taken.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from real_headlines import FOLDER, TITLES, exchanged_names, require

ROOT = Path(__file__).parents[2]
CONFIG = "configs/demo.yaml"
COLLECTION = "doctor_benchmark"
LEAST_SECONDS, LEAST_MB, WITHIN = 2.0, 5.0, 1.3
KINDS = {"seconds": LEAST_SECONDS, "GiB": 0.0, "MB": LEAST_MB}


def predict(settings: list[str]) -> pd.DataFrame:
    """The rows of `doctor`'s plan, by stage."""
    done = subprocess.run(
        [sys.executable, "-m", "job", "doctor", CONFIG, *settings], cwd=ROOT, capture_output=True, text=True, check=True
    )
    print("\n".join(line for line in done.stdout.splitlines() if line.startswith(("input", "trial", "speed"))))
    rows = {}
    for line in done.stdout.splitlines():
        words = line.replace("in all", "total").replace(",", "").split()
        if words[0] == "plan" and len(words) >= 5 and words[1] != "seconds":
            rows[words[1]] = dict(zip(KINDS, map(float, words[2:5]), strict=True))
    return pd.DataFrame(rows).T


def resident(process: int) -> float:
    """GiB that a process and its children hold."""
    total = 0.0
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total = int(line.split()[1]) / 2**20
        for task in Path(f"/proc/{process}/task").iterdir():
            total += sum(map(resident, map(int, (task / "children").read_text().split())))
    except OSError:  # it has ended
        pass
    return total


def on_disk(path: Path) -> float:
    """MB of a file, or of all files in a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def run(folder: Path, settings: list[str]) -> pd.DataFrame:
    """What a run took, by stage."""
    command = [sys.executable, "-m", "job", "run", CONFIG, *settings]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peaks: dict[int, float] = {}
    while process.poll() is None:
        done = len(list(folder.glob("markers/*.json")))
        peaks[done] = max(peaks.get(done, 0.0), resident(process.pid))
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(process.stderr.read()[-1_000:])
    record = json.loads((folder / "run.json").read_text())
    rows = {}
    for number, (name, figures) in enumerate(record["stages"].items()):
        marker = json.loads((folder / "markers" / f"{name}.json").read_text())
        size = sum(on_disk(folder / file) for file in marker["files"])
        rows[name] = {"seconds": figures["seconds"], "GiB": peaks.get(number, 0.0), "MB": size}
    total = {"seconds": record["this_run"]["seconds"], "GiB": max(peaks.values()), "MB": on_disk(folder)}
    return pd.DataFrame(rows | {"total": total}).T


def headlines(data: Path, rows: int) -> pa.Table:
    """That many rows of the file, then of copies with other names."""
    columns = [name for name in ("title", "time", "source") if name in pq.read_schema(data).names]
    table = pq.read_table(data, columns=columns)
    titles, parts = table["title"].to_pylist(), [table]
    while len(parts) * len(table) < rows:
        field = table.schema.field("title")
        copy = pa.array(exchanged_names(titles, len(parts)), field.type)
        parts.append(table.set_column(columns.index("title"), field, copy))
    return pa.concat_tables(parts).slice(0, rows)


def compare(rows: int, data: Path, folder: Path, uri: str | None) -> pd.DataFrame:
    """Predicted, measured and their ratio (measured / predicted), by stage and kind."""
    source = folder / "news.parquet"
    pq.write_table(headlines(data, rows), source)
    backend = "milvus" if uri or rows <= 20_000 else "exact"
    settings = [f"input.path={source}", "input.description=null", f"run_dir={folder / 'run'}"]
    settings += [f"neighbors.backend={backend}", f"store.collection={COLLECTION}"]
    settings += [f"store.uri={uri}"] if uri else []
    predicted = predict(settings)
    try:
        measured = run(folder / "run", settings)
    finally:
        if uri:
            # not above: pymilvus reads MILVUS_URI when it is imported, and rejects a file's name
            from pymilvus import MilvusClient

            MilvusClient(uri).drop_collection(COLLECTION)
    both = {}
    for kind, least in KINDS.items():
        pair = pd.DataFrame({"predicted": predicted[kind], "measured": measured[kind]})
        # a stage that predicts nothing and leaves nothing worth a figure is not compared
        pair["ratio"] = (pair.measured / pair.predicted).where(pair.max(axis=1) > least)
        # a stage without samples was over in a moment
        pair.loc[pair.measured == 0, "ratio"] = float("nan")
        both[kind] = pair
    return pd.concat(both, axis=1).loc[[*measured.index]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1,000 and 20,000 headlines")
    parser.add_argument("--data", type=Path, default=FOLDER / "uci_spring.parquet", help="the file with the titles")
    parser.add_argument("--rows", type=int, nargs="+", help="instead of these numbers")
    parser.add_argument("--uri", help="of a Milvus server, instead of Milvus Lite and exact neighbors")
    arguments = parser.parse_args()
    require(arguments.data, TITLES)
    result: dict[str, float] = {}
    ratios = []
    for rows in arguments.rows or ((1_000, 20_000) if arguments.quick else (1_000, 20_000, 240_000)):
        with tempfile.TemporaryDirectory() as folder:
            table = compare(rows, arguments.data, Path(folder), arguments.uri)
        print(f"\n{rows:,} headlines, load {os.getloadavg()[0]:.1f}")
        print(table.to_string(float_format=lambda value: f"{value:.2f}", na_rep="-"))
        for kind in KINDS:
            of_kind = table[(kind, "ratio")].dropna()
            ratios += [(kind, ratio) for ratio in of_kind]
            result[f"{rows}_{kind}_total"] = round(float(table.loc["total", (kind, "ratio")]), 2)
            result[f"{rows}_{kind}_within"] = round(float(of_kind.between(1 / WITHIN, WITHIN).mean()), 2)
    kinds = pd.DataFrame(ratios, columns=["kind", "ratio"])
    result["within"] = round(float(kinds.ratio.between(1 / WITHIN, WITHIN).mean()), 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
