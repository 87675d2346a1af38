"""Bulk import: the store stage by `store.write: bulk` against `upsert`, and our Parquet files against pymilvus's.

    .venv/bin/python scripts/bench/bulk.py --quick
    .venv/bin/python scripts/bench/bulk.py --rows 100000 --dim 384

On the server of `scripts/milvus/serve.py` (its own disk as storage), FLAT, so that little but writing is timed: from
vectors in memory to a collection that is indexed, loaded, counted and compared. Real headlines embedded by MiniLM
(384 d), or with --dim synthetic ones. Each part in a process of its own; "sent" is until all rows are at the server,
"stage" the whole store stage, "server" the server's own CPU seconds meanwhile.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts" / "milvus"), str(Path(__file__).parent)]


def headlines(folder: Path, data: str, rows: str) -> None:
    """Real titles and their vectors."""
    from milvus import embed

    embed(Path(data), int(rows), folder)


def synthetic(folder: Path, count: str, dimensions: str) -> None:
    """As many rows as there are no headlines for."""
    from job.stages.ingest import headline_id

    rows, dim = int(count), int(dimensions)
    titles = sorted(
        (f"Headline number {row} of a day's many, about this and that" for row in range(rows)), key=headline_id
    )
    vectors = np.random.default_rng(0).normal(size=(rows, dim)).astype(np.float32)
    np.save(folder / "vectors.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    (folder / "titles.json").write_text(json.dumps(titles))


def stage(folder: Path, uri: str, write: str) -> dict[str, float]:
    """The whole store stage, and how much of it the writing is."""
    from milvus import load, timed

    from job.backends.milvus import Milvus
    from job.config import Store
    from job.runtime.rundir import RunDir
    from job.stages.store import store

    headlines, embeddings, _ = load(folder)
    config = Store(uri=uri, index="FLAT", write=write, bulk_uri=str(folder / "server" / "storage"))
    milvus = Milvus(uri, None, f"bench_{write}")
    build, sent = milvus.build_index, []

    def timely(index: Any) -> None:
        sent.append(time.perf_counter())
        build(index)

    milvus.build_index = timely  # type: ignore[method-assign]
    run = RunDir(Path(tempfile.mkdtemp(dir=folder)))
    start = time.perf_counter()
    stats, seconds, cpu = timed(lambda: store(config, milvus, headlines, embeddings, run, key="k"))
    assert stats["written"] == write and milvus.count() == len(headlines)
    milvus.connection.client.drop_collection(milvus.collection)
    return {"sent": sent[0] - start, "stage": seconds, "client_cpu": cpu}


def ours(folder: Path) -> dict[str, float]:
    """All rows as Parquet, by us."""
    from milvus import load, timed

    from job.backends.milvus import Fields
    from job.backends.milvus.bulk_files import Columns, open_place, write
    from job.stages.store import _batches

    headlines, embeddings, titles = load(folder)
    columns = Columns(headlines.ids, embeddings.vectors, headlines.table["text"])
    place, ranges = open_place(str(folder), None), _batches(titles, embeddings.dim)
    _, seconds, cpu = timed(lambda: write(place, "ours.parquet", columns, ranges, Fields()))
    (folder / "ours.parquet").unlink()
    return {"files": seconds, "client_cpu": cpu}


def theirs(folder: Path) -> dict[str, float]:
    """The same by pymilvus's LocalBulkWriter, a dict a row."""
    from milvus import load, timed
    from pymilvus import DataType, MilvusClient
    from pymilvus.bulk_writer import BulkFileType, LocalBulkWriter

    headlines, embeddings, titles = load(folder)
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=embeddings.dim)
    schema.add_field("text", DataType.VARCHAR, max_length=65_535)
    schema.verify()

    def write() -> None:
        writer = LocalBulkWriter(schema, str(folder / "theirs"), 512 * 2**20, BulkFileType.PARQUET)
        for id, vector, title in zip(headlines.ids.tolist(), embeddings.vectors, titles, strict=True):
            writer.append_row({"id": id, "embedding": vector, "text": title})
        writer.commit()

    _, seconds, cpu = timed(write)
    return {"files": seconds, "client_cpu": cpu}


PARTS: dict[str, Callable[..., Any]] = {
    "embed": headlines,
    "synthetic": synthetic,
    "stage": stage,
    "ours": ours,
    "theirs": theirs,
}


def part(name: str, *words: object) -> dict[str, float]:
    """A part in a process of its own, with its peak memory."""
    command = [sys.executable, __file__, "--part", name, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def server_cpu(server: Any) -> float:
    """CPU seconds that the server has used."""
    fields = Path(f"/proc/{server._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20,000 rows, about three minutes on two cores")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dim", type=int, help="synthetic vectors of so many dimensions instead of headlines")
    parser.add_argument("--repeats", type=int, default=3, help="of each way, in turns; the median counts")
    parser.add_argument("--data", type=Path, help="Parquet with a column title")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        name, folder, *words = arguments.part
        result = PARTS[name](Path(folder), *words) or {}
        print(json.dumps(result | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
        return
    from milvus import DATA
    from serve import Server

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.dim:
            part("synthetic", folder, arguments.rows, arguments.dim)
        else:
            part("embed", folder, (arguments.data or DATA).resolve(), arguments.rows)
        rows, dim = np.load(folder / "vectors.npy", mmap_mode="r").shape
        table = {"Parquet, ours": [part("ours", folder)], "Parquet, LocalBulkWriter": [part("theirs", folder)]}
        server = Server(folder / "server")
        server.start()
        try:
            for _ in range(arguments.repeats):
                for write in ("upsert", "bulk"):
                    before = server_cpu(server)
                    timing = part("stage", folder, server.uri, write)
                    table.setdefault(f"store stage, {write}", []).append(
                        timing | {"server": server_cpu(server) - before}
                    )
        finally:
            server.stop()
    keys = ["files", "sent", "stage", "client_cpu", "server", "peak_mb"]
    median = {
        label: {key: float(np.median([one[key] for one in values])) for key in keys if key in values[0]}
        for label, values in table.items()
    }
    what = f"synthetic, {dim} d" if arguments.dim else f"headlines, {dim} d"
    print(f"{platform.platform()}, {os.cpu_count()} cores, {rows:,} {what}, median of {arguments.repeats}")
    print(f"{'seconds':<26}" + "".join(f"{key:>12}" for key in keys))
    for label, values in median.items():
        print(f"{label:<26}" + "".join(f"{values[key]:>12.2f}" if key in values else f"{'':>12}" for key in keys))
    bulk, upsert = median["store stage, bulk"], median["store stage, upsert"]
    print(f"rows/s of the stage: bulk {rows / bulk['stage']:,.0f}, upsert {rows / upsert['stage']:,.0f}")
    ratios = {
        "server_bulk_vs_upsert": upsert["stage"] / bulk["stage"],
        "sent_bulk_vs_upsert": upsert["sent"] / bulk["sent"],
        "client_cpu_bulk_vs_upsert": upsert["client_cpu"] / bulk["client_cpu"],
        "server_cpu_bulk_vs_upsert": upsert["server"] / bulk["server"],
        "files_vs_bulk_writer": median["Parquet, LocalBulkWriter"]["files"] / median["Parquet, ours"]["files"],
    }
    print(json.dumps({key: round(value, 2) for key, value in ratios.items()}))


if __name__ == "__main__":
    main()
