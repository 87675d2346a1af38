"""Milvus: writing and the k-NN graph, ours against the tutorial's loop, pymilvus's plain calls and exact search.

    .venv/bin/python scripts/bench/milvus.py --quick
    .venv/bin/python scripts/bench/milvus.py --rows 100000 --data ../shared/data/uci_spring.parquet

Real headlines, embedded once by MiniLM (384 d), k = 50, on Milvus Lite (FLAT) and on the server of
`scripts/milvus/serve.py` (IVF_FLAT), everything in one run; each part in a process of its own for its memory. What a
part does once is timed whole; the tutorial's loop (one insert a row, 10 queries a call, L2) is timed on a slice of
1,000 rows, written and asked for in a collection of the full size, and scaled. "graph" is the whole neighbors stage:
answers, distances from the vectors, recall measured; "ids" the requests and answers alone, as pymilvus's `search` is.
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
DATA = ROOT.parent / "shared" / "data" / "uci_dev.parquet"
K, SLICE = 50, 1_000
sys.path[:0] = [str(ROOT), str(ROOT / "scripts" / "milvus")]


def embed(data: Path, rows: int, folder: Path) -> None:
    """The first `rows` distinct titles and their vectors, in `folder`."""
    import pyarrow.parquet as pq

    from job.backends.embedding.encoder import FlagEncoder
    from job.backends.embedding.models import find_model
    from job.stages.ingest import headline_id

    titles = list(dict.fromkeys(pq.read_table(data, columns=["title"])["title"].to_pylist()))[:rows]
    titles.sort(key=headline_id)
    encoder = FlagEncoder(find_model("minilm", "auto"), "cpu", "fp32", 512, None)
    np.save(folder / "vectors.npy", encoder.encode(titles, lambda count: None).astype(np.float32))
    (folder / "titles.json").write_text(json.dumps(titles))


def load(folder: Path) -> tuple[Any, Any, list[str]]:
    import pyarrow as pa

    from job.data import HEADLINES, Embeddings, Headlines
    from job.stages.ingest import headline_id

    titles = json.loads((folder / "titles.json").read_text())
    columns = [[headline_id(t) for t in titles], titles, [None] * len(titles), titles, [1] * len(titles)]
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, HEADLINES, strict=True)], schema=HEADLINES)
    headlines = Headlines(table)
    return headlines, Embeddings(headlines.ids, np.load(folder / "vectors.npy")), titles


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """The result, wall-clock seconds and CPU seconds of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def ours(folder: Path, uri: str, index: str) -> dict[str, float]:
    """The store and neighbors stages, then the requests alone again."""
    from job.backends.knn.distances import pair_distances
    from job.backends.milvus import Milvus
    from job.backends.milvus.search import MilvusKnn
    from job.config import SPARE_HITS, Neighbors, Store
    from job.runtime.rundir import RunDir
    from job.stages.neighbors import neighbors
    from job.stages.store import store

    headlines, embeddings, _ = load(folder)
    warm = np.eye(4, dtype=np.float32)
    pair_distances(warm, np.arange(4), np.zeros((4, 2), np.int32))
    run = RunDir(Path(tempfile.mkdtemp(dir=folder)))
    milvus = Milvus(uri, None, "bench")
    _, write, _ = timed(lambda: store(Store(index=index), milvus, headlines, embeddings, run, key="k"))
    stats, graph, cpu = timed(lambda: neighbors(Neighbors(k=K), K, 42, milvus, "k", embeddings, run))
    result = {"write": write, "graph": graph, "graph_cpu": cpu, "recall": stats["recall"]}
    if not milvus.lite:
        nprobe = int(stats["search"].split()[-1])
        vectors = embeddings.vectors
        knn = MilvusKnn(milvus, embeddings.ids, vectors, K, K + SPARE_HITS, None, 2, nprobe, "", False)
        step = knn.rows_at_once
        pieces = [np.arange(start, min(start + step, len(vectors))) for start in range(0, len(vectors), step)]
        _, ids, cpu = timed(lambda: list(knn.find_all(pieces)))
        result |= {"ids": ids, "ids_cpu": cpu, "nprobe": nprobe}
    milvus.close()
    return result


def tutorial(folder: Path, uri: str) -> dict[str, float]:
    """The tutorial's calls: a row an insert and 10 queries a call, on a slice, scaled to all rows."""
    import warnings

    warnings.simplefilter("ignore")
    from job.backends.milvus.connection import _client_class

    _client_class()
    from pymilvus import Collection, CollectionSchema, DataType, FieldSchema, connections

    vectors, titles = np.load(folder / "vectors.npy"), json.loads((folder / "titles.json").read_text())
    connections.connect(uri=uri)
    fields = [
        FieldSchema("id", DataType.INT64, is_primary=True, auto_id=True),
        FieldSchema("embedding", DataType.FLOAT_VECTOR, dim=vectors.shape[1]),
        FieldSchema("text", DataType.VARCHAR, max_length=65_535),
    ]
    collection = Collection("news_data", CollectionSchema(fields), consistency_level="Strong")
    for start in range(SLICE, len(titles), 2_000):
        part = slice(start, start + 2_000)
        collection.insert([{"text": t, "embedding": v} for t, v in zip(titles[part], vectors[part], strict=True)])

    def insert() -> None:
        for title, vector in zip(titles[:SLICE], vectors[:SLICE], strict=True):
            collection.insert({"text": title, "embedding": vector})

    def index() -> None:
        collection.create_index("embedding", {"index_type": "FLAT", "metric_type": "L2"})
        collection.flush()
        collection.load()

    def search() -> None:
        iterator = collection.query_iterator(batch_size=10, expr="id > 0", output_fields=["id", "embedding"])
        for _ in range(SLICE // 10):
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

    scale = len(titles) / SLICE
    write, once, graph = timed(insert)[1], timed(index)[1], timed(search)[1]
    return {"write": write * scale + once, "graph": graph * scale}


def plain(folder: Path, uri: str, nprobe: int) -> dict[str, float]:
    """pymilvus's own `insert` and `search` on the same server and index, with the best of several batch sizes."""
    from job.backends.milvus.connection import _client_class

    vectors, titles = np.load(folder / "vectors.npy"), json.loads((folder / "titles.json").read_text())
    client = _client_class()(uri=uri)

    def search(batch: int) -> Any:
        found = []
        for start in range(0, len(vectors), batch):
            answer = client.search(
                "bench",
                data=list(vectors[start : start + batch]),
                anns_field="embedding",
                limit=K + 1,
                output_fields=["id"],
                search_params={"metric_type": "IP", "params": {"nprobe": nprobe}},
            )
            found.append([[hit["id"] for hit in hits] for hits in answer])
        return found

    tries = {batch: timed(lambda batch=batch: search(batch))[1:] for batch in (256, 1024, 2048, 4096)}
    best = min(tries, key=lambda batch: tries[batch][0])
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    schema.add_field("text", DataType.VARCHAR, max_length=65_535)
    client.create_collection("plain", schema=schema)

    def insert() -> None:
        for start in range(0, len(titles), 2_000):
            part = range(start, min(start + 2_000, len(titles)))
            client.insert("plain", [{"id": i, "embedding": vectors[i], "text": titles[i]} for i in part])

    insert_cpu = timed(insert)[2]
    return {"ids": tries[best][0], "ids_cpu": tries[best][1], "batch": best, "insert_cpu": insert_cpu}


def exactly(folder: Path) -> dict[str, float]:
    """The same graph by `neighbors.backend: exact` on the CPU."""
    from job.backends.knn.distances import pair_distances, sort_rows
    from job.backends.knn.exact import ExactKnn

    vectors = np.load(folder / "vectors.npy")
    rows = np.arange(len(vectors))

    def graph() -> None:
        found = ExactKnn(vectors, "cpu").find(rows, K)
        sort_rows(found, pair_distances(vectors, rows, found), K)

    return {"graph": timed(graph)[1]}


PARTS: dict[str, Callable[..., Any]] = {"embed": embed, "ours": ours, "tutorial": tutorial, "plain": plain}
PARTS["exact"] = exactly


def part(name: str, *words: object) -> dict[str, float]:
    """A part in a process of its own, with its peak memory."""
    command = [sys.executable, __file__, "--part", name, *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors}")
    return dict(json.loads(said.splitlines()[-1]))


def run_part(name: str, words: list[str]) -> None:
    values: list[Any] = [int(word) if word.isdigit() else word for word in words]
    for place in (0, 2) if name == "embed" else (0,):
        values[place] = Path(words[place])
    result = PARTS[name](*values) or {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result | {"peak_mb": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20,000 rows, about three minutes on two cores")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        run_part(arguments.part[0], arguments.part[1:])
        return
    from serve import Server

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        part("embed", arguments.data.resolve(), arguments.rows, folder)
        rows = len(json.loads((folder / "titles.json").read_text()))
        table = {"Lite, tutorial's loop": part("tutorial", folder, f"{folder}/tutorial.db")}
        table["Lite FLAT, ours"] = part("ours", folder, f"{folder}/ours.db", "FLAT")
        server = Server(folder / "server")
        server.start()
        try:
            table["server IVF_FLAT, ours"] = part("ours", folder, server.uri, "IVF_FLAT")
            nprobe = int(table["server IVF_FLAT, ours"]["nprobe"])
            table["server IVF_FLAT, pymilvus search"] = part("plain", folder, server.uri, nprobe)
            table["server FLAT, ours"] = part("ours", folder, server.uri, "FLAT") if not arguments.quick else {}
        finally:
            server.stop()
        table["exact on the CPU, ours"] = part("exact", folder)
    print(f"{platform.platform()}, {os.cpu_count()} cores, {rows:,} headlines of {arguments.data.name}, k = {K}")
    keys = ["write", "graph", "graph_cpu", "ids", "ids_cpu", "recall", "peak_mb"]
    print(f"{'seconds':<34}" + "".join(f"{key:>11}" for key in keys))
    for label, values in table.items():
        if values:
            print(f"{label:<34}" + "".join(f"{values[key]:>11.2f}" if key in values else f"{'':>11}" for key in keys))
    loop, lite = table["Lite, tutorial's loop"], table["Lite FLAT, ours"]
    mine, theirs = table["server IVF_FLAT, ours"], table["server IVF_FLAT, pymilvus search"]
    print(f"nprobe {mine['nprobe']} found by itself; pymilvus's best batch: {theirs['batch']} queries")
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
