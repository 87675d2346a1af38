"""Store and neighbors on a real Milvus Lite."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from job.backends.milvus import TEXT_BYTES, Fields, Milvus, fit_text
from job.config import Cluster, Neighbors, Store
from job.data import HEADLINES, Embeddings, Headlines, KnnGraph
from job.runtime.errors import BadInput, Resumable
from job.runtime.rundir import RunDir
from job.stages.ingest import headline_id
from job.stages.neighbors import neighbors
from job.stages.store import store

DIM = 16


def headlines(texts: list[str]) -> Headlines:
    rows = sorted((headline_id(text), text) for text in texts)
    ids, ordered = zip(*rows, strict=True)
    columns = [list(ids), list(ordered), [None] * len(rows), list(ordered), [1] * len(rows)]
    return Headlines(pa.table([pa.array(c, f.type) for c, f in zip(columns, HEADLINES, strict=True)], schema=HEADLINES))


def vectors(rows: Headlines, twins: int = 0) -> Embeddings:
    found = np.stack([np.random.default_rng(int(id) % 2**32).normal(size=DIM) for id in rows.ids]).astype(np.float32)
    found[:twins] = found[0]
    return Embeddings(rows.ids, found / np.linalg.norm(found, axis=1, keepdims=True))


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path)


@pytest.fixture
def milvus(tmp_path: Path) -> Iterator[Milvus]:
    client = Milvus(str(tmp_path / "milvus.db"), None, "news_data")
    yield client
    client.close()


MANY = [f"headline {i}" for i in range(300)]


def test_what_is_stored_is_counted_and_found_by_id(milvus: Milvus, run: RunDir) -> None:
    rows = headlines(MANY)
    stats = store(Store(), milvus, rows, vectors(rows), run)
    assert stats["rows"] == 300
    assert (milvus.ids() == rows.ids).all()
    assert stats["index"] == "FLAT"


def test_storing_twice_stores_no_row_twice(milvus: Milvus, run: RunDir) -> None:
    rows = headlines(MANY)
    for _ in range(2):
        store(Store(), milvus, rows, vectors(rows), run)
    assert milvus.count() == 300


def test_rows_that_vanished_are_written_again_whatever_the_journal_says(milvus: Milvus, run: RunDir) -> None:
    rows = headlines(MANY)
    store(Store(), milvus, rows, vectors(rows), run, key="k")
    milvus.connection.client.drop_collection("news_data")
    stats = store(Store(), milvus, rows, vectors(rows), run, key="k")
    assert (stats["batches_kept"], milvus.count()) == (1, 300)


def test_vectors_that_are_not_the_ones_sent_are_noticed(milvus: Milvus, run: RunDir) -> None:
    rows = headlines(MANY[:50])
    store(Store(), milvus, rows, vectors(rows), run, key="k")
    others = Embeddings(rows.ids, vectors(rows).vectors[::-1].copy())
    # the journal says that all is in, but what is in is something else: written again
    store(Store(), milvus, rows, others, run, key="k")
    stored = milvus.vectors(rows.ids)
    assert all((stored[int(id)] == vector).all() for id, vector in zip(rows.ids, others.vectors, strict=True))


def test_extra_fields_stay_with_their_rows(milvus: Milvus, run: RunDir) -> None:
    milvus.fields = Fields(extra=("source", "rank"))
    rows = headlines(MANY[:40])
    extra = [{"source": f"s{row % 3}", "rank": row} if row else {} for row in range(40)]
    store(Store(extra_fields=("source", "rank")), milvus, rows, vectors(rows), run, extra=extra)
    assert milvus.count('source == "s1"') == 13
    assert milvus.count("rank >= 30") == 10
    found = [row for batch in milvus.rows(["id", "source", "rank"], 'source == "s2"', 5) for row in batch]
    assert {(row["source"], row["rank"] % 3) for row in found} == {("s2", 2)}
    assert len(found) == 13


def test_headlines_that_left_the_input_leave_the_collection(milvus: Milvus, run: RunDir) -> None:
    store(Store(), milvus, headlines(MANY), vectors(headlines(MANY)), run)
    fewer = headlines([*MANY[50:], "a new one"])
    stats = store(Store(), milvus, fewer, vectors(fewer), run)
    assert stats["removed"] == 50
    assert (milvus.ids() == fewer.ids).all()


def test_rows_of_another_run_are_neither_mixed_in_nor_removed(milvus: Milvus, run: RunDir, tmp_path: Path) -> None:
    store(Store(), milvus, headlines(MANY), vectors(headlines(MANY)), run)
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    other = headlines(["something else", "entirely"])
    with pytest.raises(BadInput, match=r"holds 300 rows of another run.*store\.collection"):
        store(Store(), milvus, other, vectors(other), RunDir(other_folder))
    assert milvus.count() == 300


def test_a_collection_of_another_dimension_is_named_with_ours(milvus: Milvus, run: RunDir) -> None:
    milvus.prepare(8)
    rows = headlines(MANY[:5])
    with pytest.raises(BadInput, match=r"FLOAT_VECTOR\(8\).*FLOAT_VECTOR\(16\)"):
        store(Store(), milvus, rows, vectors(rows), run)


def test_an_index_of_another_kind_is_replaced(milvus: Milvus, run: RunDir) -> None:
    rows = headlines(MANY)
    store(Store(), milvus, rows, vectors(rows), run)
    assert store(Store(index="HNSW"), milvus, rows, vectors(rows), run)["index"] == "HNSW"
    assert (milvus.index().kind, milvus.index().metric) == ("HNSW", "IP")


def test_a_long_text_is_cut_at_a_character_for_milvus_and_counted(milvus: Milvus, run: RunDir) -> None:
    long = "é" * 40_000
    assert len(fit_text(long).encode()) == TEXT_BYTES - 1
    rows = headlines([long, "short"])
    assert store(Store(), milvus, rows, vectors(rows), run)["texts_cut"] == 1
    assert rows.column("text")[list(rows.ids).index(headline_id(long))] == long


def test_two_processes_cannot_open_one_lite_file(milvus: Milvus, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from job.backends.milvus import Milvus; from job.runtime.errors import BadInput\n"
        "try: Milvus(sys.argv[1], None, 'news_data')\n"
        "except BadInput as error: print(error)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "milvus.db")]
    said = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert "another process holds it" in said.stdout


@pytest.mark.parametrize(("index", "metric"), [("FLAT", "IP"), ("FLAT", "L2"), ("FLAT", "COSINE"), ("HNSW", "IP")])
def test_the_graph_is_the_exact_one(milvus: Milvus, run: RunDir, index: str, metric: str) -> None:
    rows = headlines(MANY)
    embeddings = vectors(rows, twins=3)
    store(Store(index=index, metric=metric), milvus, rows, embeddings, run)
    settings = Neighbors(k=10, batch=64, recall_sample=100)
    stats = neighbors(settings, 15, 42, milvus, "key", embeddings, run)
    graph = KnnGraph.load(run.file("neighbors.npz"))
    assert graph.indices.shape == (300, 15)
    assert graph.columns == 10
    assert (graph.indices != np.arange(300)[:, None]).all()
    wide = embeddings.vectors.astype(np.float64)
    exact = np.sqrt(((wide[:, None] - wide[None]) ** 2).sum(axis=2))
    np.fill_diagonal(exact, np.inf)
    assert stats["recall"] >= 0.99
    np.testing.assert_allclose(graph.distances, np.sort(exact, axis=1)[:, :15], rtol=1e-5 if index == "FLAT" else 0.2)
    assert set(graph.indices[0, :2]) == {1, 2}
    assert (graph.distances[:3, :2] == 0).all()


def test_the_graphs_file_has_what_clustering_reads_apart_from_the_rest(milvus: Milvus, run: RunDir) -> None:
    rows = headlines(MANY)
    store(Store(), milvus, rows, vectors(rows), run)
    neighbors(Neighbors(k=10), 15, 42, milvus, "key", vectors(rows), run)
    with np.load(run.file("neighbors.npz")) as file:
        assert file["indices"].shape == (300, 10)
        assert file["more_indices"].shape == (300, 5)


def test_the_exact_backend_gives_the_same_graph_and_an_audit_says_what_milvus_costs(
    milvus: Milvus, run: RunDir
) -> None:
    rows = headlines(MANY)
    embeddings = vectors(rows, twins=30)
    store(Store(), milvus, rows, embeddings, run)
    graphs = []
    for backend in ("milvus", "exact"):
        settings = Neighbors(k=10, backend=backend, audit="full")
        stats = neighbors(settings, 12, 42, milvus, backend, embeddings, run, clustering=Cluster(min_cluster_size=5))
        assert stats["audit"]["ari"] == 1.0
        assert stats["recall"] == 1.0
        graphs.append(KnnGraph.load(run.file("neighbors.npz")))
    assert (graphs[0].indices == graphs[1].indices).all()
    assert (graphs[0].distances == graphs[1].distances).all()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_headlines_than_neighbors_give_the_neighbors_there_are(milvus: Milvus, run: RunDir, count: int) -> None:
    rows = headlines(MANY[:count])
    store(Store(), milvus, rows, vectors(rows), run)
    neighbors(Neighbors(k=50), 50, 42, milvus, "key", vectors(rows), run)
    graph = KnnGraph.load(run.file("neighbors.npz"))
    assert graph.indices.shape == (count, count - 1)
    assert (graph.indices >= 0).all()


def test_a_database_that_is_gone_is_written_again_by_the_same_command(milvus: Milvus, run: RunDir) -> None:
    rows = headlines(MANY)
    run.finish("store", "key", "out", [], 1.0, {})
    with pytest.raises(Resumable, match="holds 0 rows"):
        neighbors(Neighbors(), 50, 42, milvus, "key", vectors(rows), run)
    assert run.marker("store") is None


def test_a_collection_that_lost_rows_is_written_again_by_the_same_command(milvus: Milvus, run: RunDir) -> None:
    rows = headlines(MANY)
    store(Store(), milvus, rows, vectors(rows), run)
    run.finish("store", "key", "out", [], 1.0, {})
    milvus.delete(rows.ids[:10])
    with pytest.raises(Resumable, match="holds 290 rows"):
        neighbors(Neighbors(), 50, 42, milvus, "key", vectors(rows), run)
    assert run.marker("store") is None
