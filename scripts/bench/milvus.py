"""Milvus: writing and the neighbor graph. Ours against the tutorial's loop, pymilvus's plain calls and exact search.

    .venv/bin/python scripts/bench/milvus.py --quick --data FILE
    .venv/bin/python scripts/bench/milvus.py --rows 100000 --data FILE
    .venv/bin/python scripts/bench/milvus.py --spread --data FILE

Real headlines, embedded once by MiniLM (384 dimensions), k = 50, on Milvus Lite (FLAT) and on the server of
`scripts/milvus/serve.py` (IVF_FLAT), all in one run. Each measurement has its own process, so that its peak memory can
be measured. The tutorial's loop (one insert per row, 10 queries per request, L2) is measured on 1,000 rows of a
collection of the full size, and its time is scaled to all rows. "graph" is the whole neighbors stage: search, distances
from the vectors, recall. "ids" is only the requests and their answers, which is what pymilvus's `search` does.

`--spread`: instead of the first headlines, a sample of them and of copies in which names are exchanged.
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
from real_headlines import TITLES, UCI, distinct_titles, require, spread_titles

ROOT = Path(__file__).parents[2]
K, SLICE = 50, 1_000
COLLECTION = "bench"
sys.path[:0] = [str(ROOT), str(ROOT / "scripts" / "milvus")]


def embed(data: Path, rows: int, folder: Path, which: str) -> None:
    """Write `rows` distinct titles, the `first` or `spread` ones, and their vectors into `folder`, ascending by id."""
    from job.backends.embedding.encoder import FlagEncoder
    from job.backends.embedding.models import find_model
    from job.stages.ingest_texts import headline_id

    titles = (spread_titles if which == "spread" else distinct_titles)(data, rows)
    titles.sort(key=headline_id)
    encoder = FlagEncoder(find_model("minilm", "auto"), "cpu", "fp32", 512, None)
    np.save(folder / "vectors.npy", encoder.encode(titles).astype(np.float32))
    (folder / "titles.json").write_text(json.dumps(titles))


def load(folder: Path) -> tuple[Any, list[str]]:
    """The vectors float32 [n, 384] and the titles."""
    return np.load(folder / "vectors.npy"), json.loads((folder / "titles.json").read_text())


def prepared_job(folder: Path, uri: str, index: str) -> Any:
    """A job in a new run folder, as after the stages ingest and embed."""
    import pyarrow as pa

    from job.config import Config
    from job.context import Job
    from job.data import HEADLINES, Embeddings, Headlines
    from job.stages.ingest_texts import headline_id

    vectors, titles = load(folder)
    nothing = [None] * len(titles)
    columns = [[headline_id(t) for t in titles], titles, nothing, titles, [1] * len(titles), nothing]
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, HEADLINES, strict=True)], schema=HEADLINES)
    settings = {
        "run_dir": tempfile.mkdtemp(dir=folder),
        "device": "cpu",
        "input": {"path": str(folder / "titles.json")},
        "store": {"uri": uri, "collection": COLLECTION, "index": index},
        "neighbors": {"k": K},
    }
    job = Job(Config.model_validate(settings))
    job.input_headlines = Headlines(table)
    job.input_embeddings = Embeddings(job.input_headlines.ids, vectors)
    for stage in ("ingest", "embed"):
        job.run.finish(stage, "key", "output", [], 0.0, {})
    return job


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """The result, wall-clock seconds and CPU seconds of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def ours(folder: Path, uri: str, index: str) -> dict[str, float]:
    """The stages store and neighbors, then only the requests of the neighbor search again."""
    from job import pipeline
    from job.backends.knn.distances import pair_distances
    from job.backends.milvus.search import MilvusSearch, SearchSettings
    from job.stages.neighbors import NeighborsStage
    from job.stages.store import StoreStage

    job = prepared_job(folder, uri, index)
    pair_distances(np.eye(4, dtype=np.float32), np.arange(4), np.zeros((4, 2), np.int32))  # numba compiles it
    milvus = job.milvus
    _, write, _ = timed(lambda: pipeline.do(StoreStage(), job))
    _, graph, graph_cpu = timed(lambda: pipeline.do(NeighborsStage(), job))
    stats = job.run.marker("neighbors").stats
    result = {"write": write, "graph": graph, "graph_cpu": graph_cpu, "recall": stats["recall"]}
    if not milvus.lite:
        name, _, value = stats["search"].partition(" ")
        nprobe = int(value) if name == "nprobe" else None
        settings = SearchSettings(k=K, top_k=job.config.search_k, parallel=job.config.neighbors.parallel, nprobe=nprobe)
        search = MilvusSearch(milvus, job.embeddings.ids, job.embeddings.vectors, settings)
        rows = np.arange(len(job.embeddings))
        requests = [rows[start : start + search.rows_at_once] for start in range(0, len(rows), search.rows_at_once)]
        _, ids, ids_cpu = timed(lambda: list(search.find_all(requests)))
        result |= {"ids": ids, "ids_cpu": ids_cpu}
        if nprobe is not None:
            result["nprobe"] = nprobe
    job.close()
    return result


def tutorial(folder: Path, uri: str) -> dict[str, float]:
    """The tutorial's calls, one row per insert and 10 queries per request, on a slice; times are scaled to all rows."""
    import warnings

    warnings.simplefilter("ignore")
    from pymilvus import Collection, CollectionSchema, DataType, FieldSchema, connections

    vectors, titles = load(folder)
    connections.connect(uri=uri)
    fields = [
        FieldSchema("id", DataType.INT64, is_primary=True, auto_id=True),
        FieldSchema("embedding", DataType.FLOAT_VECTOR, dim=vectors.shape[1]),
        FieldSchema("text", DataType.VARCHAR, max_length=65_535),
    ]
    collection = Collection("news_data", CollectionSchema(fields), consistency_level="Strong")
    measured_rows = min(SLICE, len(titles))
    for start in range(measured_rows, len(titles), 2_000):
        rest = slice(start, start + 2_000)
        collection.insert([{"text": t, "embedding": v} for t, v in zip(titles[rest], vectors[rest], strict=True)])

    def insert() -> None:
        for title, vector in zip(titles[:measured_rows], vectors[:measured_rows], strict=True):
            collection.insert({"text": title, "embedding": vector})

    def index() -> None:
        collection.create_index("embedding", {"index_type": "FLAT", "metric_type": "L2"})
        collection.flush()
        collection.load()

    def search() -> None:
        iterator = collection.query_iterator(batch_size=10, expr="id > 0", output_fields=["id", "embedding"])
        for _ in range(measured_rows // 10):
            batch = iterator.next()
            found = collection.search(
                data=[row["embedding"] for row in batch],
                limit=K,
                anns_field="embedding",
                param={"metric_type": "L2", "params": {"nprobe": 10}},
                output_fields=["id"],
            )
            for hits in found:
                _ = [(hit.id, hit.distance) for hit in hits]

    scale = len(titles) / measured_rows
    write, once, graph = timed(insert)[1], timed(index)[1], timed(search)[1]
    return {"write": write * scale + once, "graph": graph * scale}


def plain(folder: Path, uri: str, nprobe: int) -> dict[str, float]:
    """pymilvus's own `insert` and `search` on the same server and index, with the fastest of several batch sizes."""
    from pymilvus import DataType, MilvusClient

    vectors, titles = load(folder)
    client = MilvusClient(uri=uri)

    def search(batch: int) -> Any:
        found = []
        for start in range(0, len(vectors), batch):
            answer = client.search(
                COLLECTION,
                data=list(vectors[start : start + batch]),
                anns_field="embedding",
                limit=K + 1,
                output_fields=["id"],
                search_params={"metric_type": "IP", "params": {"nprobe": nprobe}},
            )
            found.append([[hit["id"] for hit in hits] for hits in answer])
        return found

    times = {batch: timed(lambda batch=batch: search(batch))[1:] for batch in (256, 1024, 2048, 4096)}
    best = min(times, key=lambda batch: times[batch][0])
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    schema.add_field("text", DataType.VARCHAR, max_length=65_535)
    client.create_collection("plain", schema=schema)

    def insert() -> None:
        for start in range(0, len(titles), 2_000):
            rows = range(start, min(start + 2_000, len(titles)))
            client.insert("plain", [{"id": i, "embedding": vectors[i], "text": titles[i]} for i in rows])

    insert_cpu = timed(insert)[2]
    return {"ids": times[best][0], "ids_cpu": times[best][1], "batch": best, "insert_cpu": insert_cpu}


def exact(folder: Path) -> dict[str, float]:
    """The same graph by the search of `neighbors.backend: exact` on the CPU."""
    from job.backends.knn.distances import pair_distances, sort_rows
    from job.backends.knn.exact import ExactSearch

    vectors = np.load(folder / "vectors.npy")
    rows = np.arange(len(vectors))

    def graph() -> None:
        found = ExactSearch(vectors, "cpu").find(rows, K)
        sort_rows(found, pair_distances(vectors, rows, found), K)

    return {"graph": timed(graph)[1]}


MEASUREMENTS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (embed, ours, tutorial, plain, exact)
}


def in_process(name: str, *words: object) -> dict[str, float]:
    """The result of a measurement in a new process, with its peak memory."""
    command = [sys.executable, __file__, "--measure", name, *map(str, words)]
    # pymilvus reads MILVUS_URI when it is imported, also from `.env`
    environment = os.environ | {"MILVUS_URI": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(name: str, words: list[str]) -> None:
    """Run one measurement in this process and print its result as JSON."""
    values: list[Any] = [int(word) if word.isdigit() else word for word in words]
    for position in (0, 2) if name == "embed" else (0,):
        values[position] = Path(words[position])
    result = MEASUREMENTS[name](*values) or {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result | {"peak_mb": peak}))


def measure_all(data: Path, rows: int, which: str, quick: bool) -> tuple[int, dict[str, dict[str, float]]]:
    """The number of headlines, and the result of each measurement by its label."""
    from serve import Server

    table = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        in_process("embed", data.resolve(), rows, folder, which)
        table["Lite, tutorial's loop"] = in_process("tutorial", folder, f"{folder}/tutorial.db")
        table["Lite FLAT, ours"] = in_process("ours", folder, f"{folder}/ours.db", "FLAT")
        server = Server(folder / "server")
        server.start()
        try:
            table["server IVF_FLAT, ours"] = in_process("ours", folder, server.uri, "IVF_FLAT")
            nprobe = int(table["server IVF_FLAT, ours"]["nprobe"])
            table["server IVF_FLAT, pymilvus search"] = in_process("plain", folder, server.uri, nprobe)
            if not quick:
                for index in ("HNSW", "FLAT"):
                    table[f"server {index}, ours"] = in_process("ours", folder, server.uri, index)
        finally:
            server.stop()
        table["exact on the CPU, ours"] = in_process("exact", folder)
        return len(load(folder)[1]), table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="without HNSW and FLAT on the server: three minutes on two cores"
    )
    parser.add_argument("--rows", type=int, default=20_000, help="the number of headlines")
    parser.add_argument("--data", type=Path, default=UCI, help="a Parquet file with a column `title`")
    parser.add_argument("--spread", action="store_true", help="headlines with few others near them")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure[0], arguments.measure[1:])
        return
    require(arguments.data, TITLES)
    rows, table = measure_all(
        arguments.data, arguments.rows, "spread" if arguments.spread else "first", arguments.quick
    )
    print(f"{platform.platform()}, {os.cpu_count()} cores, {rows:,} headlines of {arguments.data.name}, k = {K}")
    keys = ["write", "graph", "graph_cpu", "ids", "ids_cpu", "recall", "peak_mb"]
    print(f"{'seconds':<34}" + "".join(f"{key:>11}" for key in keys))
    for label, values in table.items():
        print(f"{label:<34}" + "".join(f"{values[key]:>11.2f}" if key in values else f"{'':>11}" for key in keys))
    loop, lite = table["Lite, tutorial's loop"], table["Lite FLAT, ours"]
    mine, theirs = table["server IVF_FLAT, ours"], table["server IVF_FLAT, pymilvus search"]
    print(f"the job chose nprobe {mine['nprobe']}; pymilvus was fastest with {theirs['batch']} queries per request")
    ratios = {
        "lite_write_vs_tutorial": loop["write"] / lite["write"],
        "lite_graph_vs_tutorial": loop["graph"] / lite["graph"],
        "lite_memory_vs_tutorial": loop["peak_mb"] / lite["peak_mb"],
        "server_client_cpu_vs_search": theirs["ids_cpu"] / mine["ids_cpu"],
        "server_graph_vs_search": theirs["ids"] / mine["ids"],
        "server_whole_stage_cpu_vs_search": theirs["ids_cpu"] / mine["graph_cpu"],
        "server_recall": mine["recall"],
    }
    print(json.dumps({key: round(value, 4 if key == "server_recall" else 2) for key, value in ratios.items()}))


if __name__ == "__main__":
    main()
