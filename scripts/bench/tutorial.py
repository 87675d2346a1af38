"""Our run against the steps of the Milvus tutorial: same rows, same model, same machine, each in its own process.

    .venv/bin/python scripts/bench/tutorial.py --quick --data FILE
    .venv/bin/python scripts/bench/tutorial.py --data FILE --repeat 3

Measures wall-clock time from process start to files written, and peak memory, of `configs/tutorial.yaml` with MiniLM
and of the tutorial: FlagEmbedding's `encode` (batches of 16, as in pymilvus's BGE-M3 function; float32, as on any CPU),
one insert per row, a query iterator with batches of 10, one search per batch, the dense matrix, hdbscan, UMAP,
px.scatter to HTML. Runs alternate. Needs the headlines of the tutorial (a CSV file with title and description).
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
from pathlib import Path
from typing import Any

from real_headlines import TUTORIAL, TUTORIAL_SOURCE, require

ROOT = Path(__file__).parents[2]


def tutorial(data: str, folder: str) -> None:
    """The tutorial's code, with MiniLM instead of BGE-M3."""
    import warnings

    warnings.simplefilter("ignore")
    import numpy as np
    import pandas as pd
    import plotly.express as px
    from hdbscan import HDBSCAN
    from umap import UMAP

    os.chdir(folder)
    frame = pd.read_csv(data)
    docs = [f"{title}\n{description}" for title, description in zip(frame.title, frame.description, strict=True)]
    model = encoder()
    embeddings = model.encode(docs)
    ids, vectors, distances = search(store(docs, embeddings))
    place = {number: row for row, number in enumerate(ids)}
    matrix = np.full((len(ids), len(ids)), np.inf)
    for number, hits in distances.items():
        for other, distance in hits:
            matrix[place[number]][place[other]] = distance
    labels = HDBSCAN(min_samples=3, min_cluster_size=3, metric="precomputed").fit(matrix).labels_

    layout = UMAP(n_components=2, random_state=42, n_neighbors=80, min_dist=0.1).fit_transform(np.array(vectors))
    points = pd.DataFrame(layout, columns=["x", "y"]).assign(cluster=labels.astype(str), text=docs)
    points = points.query('cluster != "-1"').sort_values(by="cluster")
    px.scatter(points, x="x", y="y", color="cluster", hover_data=["text"]).write_html("map.html")


def encoder() -> Any:
    """FlagEmbedding's model, with the settings of pymilvus's BGE-M3 function."""
    from FlagEmbedding import FlagAutoModel

    from job.backends.embedding.models import find_model

    return FlagAutoModel.from_finetuned(
        str(find_model("minilm", "auto").folder),
        model_class="encoder-only-base",
        pooling_method="mean",
        use_fp16=False,
        devices="cpu",
        batch_size=16,
    )


def store(docs: list[str], embeddings: Any) -> Any:
    """Insert the documents into a Milvus collection, and load it."""
    from pymilvus import Collection, CollectionSchema, DataType, FieldSchema, connections

    connections.connect(uri="./milvus.db")
    fields = [
        FieldSchema("id", DataType.INT64, is_primary=True, auto_id=True),
        FieldSchema("embedding", DataType.FLOAT_VECTOR, dim=embeddings.shape[1]),
        FieldSchema("text", DataType.VARCHAR, max_length=65_535),
    ]
    collection = Collection("news_data", CollectionSchema(fields), consistency_level="Strong")
    for doc, embedding in zip(docs, embeddings, strict=True):
        collection.insert({"text": doc, "embedding": embedding})
    collection.create_index("embedding", {"index_type": "FLAT", "metric_type": "L2"})
    collection.flush()
    collection.load()
    return collection


def search(collection: Any) -> tuple[list[int], list[Any], dict[int, list[tuple[int, float]]]]:
    """All ids and vectors of the collection, and 50 hits of each id with their distances."""
    iterator = collection.query_iterator(batch_size=10, expr="id > 0", output_fields=["id", "embedding"])
    ids: list[int] = []
    distances: dict[int, list[tuple[int, float]]] = {}
    vectors = []
    while batch := iterator.next():
        batch_ids = [row["id"] for row in batch]
        queries = [row["embedding"] for row in batch]
        ids.extend(batch_ids)
        vectors.extend(queries)
        found = collection.search(
            data=queries,
            limit=50,
            anns_field="embedding",
            param={"metric_type": "L2", "params": {"nprobe": 10}},
            output_fields=["id"],
        )
        for number, hits in zip(batch_ids, found, strict=True):
            distances[number] = [(hit.id, hit.distance) for hit in hits]
    return ids, vectors, distances


def measured(command: list[str]) -> tuple[float, float]:
    """Wall-clock seconds and peak memory in MB of the command."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command)} failed:\n{errors}")
    assert isinstance(usage, resource.struct_rusage)
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one run of each")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the fastest counts")
    parser.add_argument("--data", type=Path, default=TUTORIAL, help="a CSV file with title and description")
    parser.add_argument("--tutorial", nargs=2, metavar=("DATA", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.tutorial:
        tutorial(*arguments.tutorial)
        return
    require(arguments.data, f"a CSV file with title and description, such as {TUTORIAL_SOURCE}")
    data = str(arguments.data.resolve())
    seconds: dict[str, list[float]] = {"tutorial": [], "job": []}
    memory: dict[str, list[float]] = {"tutorial": [], "job": []}
    for _ in range(1 if arguments.quick else arguments.repeat):
        with tempfile.TemporaryDirectory() as folder:
            job = [sys.executable, "-m", "job", "run", "configs/tutorial.yaml", f"input.path={data}"]
            commands = {
                "tutorial": [sys.executable, __file__, "--tutorial", data, folder],
                "job": [*job, "embed.model=minilm", f"run_dir={folder}/run"],
            }
            for name, command in commands.items():
                elapsed, peak = measured(command)
                seconds[name].append(elapsed)
                memory[name].append(peak)
    print(f"{platform.platform()}, {os.cpu_count()} cores, {data}")
    print(f"{'':<10} {'seconds':>8} {'peak MB':>8}")
    for name in seconds:
        print(f"{name:<10} {min(seconds[name]):>8.1f} {max(memory[name]):>8.0f}")
    ratios = {
        "speedup_vs_tutorial": round(min(seconds["tutorial"]) / min(seconds["job"]), 2),
        "memory_vs_tutorial": round(min(memory["tutorial"]) / max(memory["job"]), 2),
    }
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
