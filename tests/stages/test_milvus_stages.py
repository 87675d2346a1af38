"""Store and neighbors on a real Milvus Lite."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobs import headlines_of, job_of, stats_of

from job.backends.graph_hdbscan import cluster_graph
from job.backends.milvus import TEXT_BYTES, Fields, Milvus, OtherRowsError, fit_text
from job.data import Embeddings, Headlines, KnnGraph
from job.runtime.errors import BadInput, Resumable
from job.runtime.rundir import RunDir
from job.stages.ingest_texts import headline_id
from job.stages.neighbors import NeighborsStage
from job.stages.store import StoreStage

DIM = 16


def headlines(texts: list[str]) -> Headlines:
    rows = sorted((headline_id(text), text) for text in texts)
    ids, ordered = zip(*rows, strict=True)
    return headlines_of(ids, list(ordered))


def vectors(rows: Headlines, twins: int = 0) -> Embeddings:
    found = np.stack([np.random.default_rng(int(id) % 2**32).normal(size=DIM) for id in rows.ids]).astype(np.float32)
    found[:twins] = found[0]
    return Embeddings(rows.ids, found / np.linalg.norm(found, axis=1, keepdims=True))


def store(
    milvus: Milvus, rows: Headlines, found: Embeddings, run: RunDir, key: str = "", extra: Any = None, **settings: Any
) -> dict[str, Any]:
    return stats_of(StoreStage().run(job_of(run.path, rows, found, milvus, key, extra, store=settings)))


def neighbors(
    milvus: Milvus, rows: Headlines, found: Embeddings, run: RunDir, n_neighbors: int, **settings: Any
) -> dict[str, Any]:
    """The graph has `n_neighbors` columns if these are more than `k`."""
    cluster = settings.pop("cluster", {"min_samples": 1})
    sections = {"neighbors": settings, "project": {"n_neighbors": n_neighbors + 1}, "cluster": cluster}
    stage, job = NeighborsStage(), job_of(run.path, rows, found, milvus, **sections)
    stats = stats_of(stage.run(job))
    stage.clean_up(job)
    return stats


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
    stats = store(milvus, rows, vectors(rows), run)
    assert stats["rows"] == 300
    assert (milvus.ids() == rows.ids).all()
    assert stats["index"] == "FLAT"


def test_storing_twice_stores_no_row_twice(milvus: Milvus, run: RunDir) -> None:
    rows = headlines(MANY)
    for _ in range(2):
        store(milvus, rows, vectors(rows), run)
    assert milvus.count() == 300


def test_rows_that_vanished_are_written_again_whatever_the_journal_says(milvus: Milvus, run: RunDir) -> None:
    rows = headlines(MANY)
    store(milvus, rows, vectors(rows), run, key="k")
    milvus.connection.client.drop_collection("news_data")
    stats = store(milvus, rows, vectors(rows), run, key="k")
    assert (stats["batches_kept"], milvus.count()) == (1, 300)


def test_vectors_that_are_not_the_ones_sent_are_noticed(milvus: Milvus, run: RunDir) -> None:
    rows = headlines(MANY[:50])
    store(milvus, rows, vectors(rows), run, key="k")
    others = Embeddings(rows.ids, vectors(rows).vectors[::-1].copy())
    # the journal says that all is in, but what is in is something else: written again
    store(milvus, rows, others, run, key="k")
    stored = milvus.vectors(rows.ids)
    assert all((stored[int(id)] == vector).all() for id, vector in zip(rows.ids, others.vectors, strict=True))


def test_extra_fields_stay_with_their_rows(milvus: Milvus, run: RunDir) -> None:
    milvus.fields = Fields(extra=("source", "rank"))
    rows = headlines(MANY[:40])
    extra = [{"source": f"s{row % 3}", "rank": row} if row else {} for row in range(40)]
    store(milvus, rows, vectors(rows), run, extra=extra, extra_fields=("source", "rank"))
    assert milvus.count('source == "s1"') == 13
    assert milvus.count("rank >= 30") == 10
    found = [row for batch in milvus.rows(["id", "source", "rank"], 'source == "s2"', 5) for row in batch]
    assert {(row["source"], row["rank"] % 3) for row in found} == {("s2", 2)}
    assert len(found) == 13


def test_headlines_that_left_the_input_leave_the_collection(milvus: Milvus, run: RunDir) -> None:
    store(milvus, headlines(MANY), vectors(headlines(MANY)), run)
    fewer = headlines([*MANY[50:], "a new one"])
    stats = store(milvus, fewer, vectors(fewer), run)
    assert stats["removed"] == 50
    assert (milvus.ids() == fewer.ids).all()


def test_rows_of_another_run_are_neither_mixed_in_nor_removed(milvus: Milvus, run: RunDir, tmp_path: Path) -> None:
    store(milvus, headlines(MANY), vectors(headlines(MANY)), run)
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    other = headlines(["something else", "entirely"])
    with pytest.raises(BadInput, match=r"holds 300 rows of another run.*store\.collection"):
        store(milvus, other, vectors(other), RunDir(other_folder), uri=str(tmp_path / "milvus.db"))
    assert milvus.count() == 300


@pytest.mark.parametrize("scope", ["run", "collection"])
def test_another_models_vectors_of_the_same_headlines_are_not_replaced_unasked(
    milvus: Milvus, run: RunDir, tmp_path: Path, scope: str
) -> None:
    rows = headlines(MANY[:60])
    before, settings = vectors(rows), {"uri": milvus.uri, "scope": scope}
    store(milvus, rows, before, run, uri=milvus.uri)
    rounded = Embeddings(rows.ids, before.vectors.astype(np.float16).astype(np.float32))
    turned = Embeddings(rows.ids, np.roll(before.vectors, 1, axis=1))
    other = RunDir(tmp_path / "other")
    with pytest.raises(OtherRowsError, match=r"vectors of another model \(mean cosine -?0\.\d\d .* set store\.coll"):
        store(milvus, rows, turned, other, **settings)
    stored = milvus.vectors(rows.ids)
    assert all((stored[int(id)] == vector).all() for id, vector in zip(rows.ids, before.vectors, strict=True))
    job_of(other.path, rows, rounded, extra=[{"own": 1} for _ in rows.ids])
    assert store(milvus, rows, rounded, other, **settings)["rows"] == 60
    if scope == "run":
        # a run may change its own model
        assert store(milvus, rows, turned, other, **settings)["rows"] == 60


def test_a_collection_of_another_dimension_is_named_with_ours(milvus: Milvus, run: RunDir) -> None:
    milvus.prepare(8)
    rows = headlines(MANY[:5])
    with pytest.raises(BadInput, match=r"FLOAT_VECTOR\(8\).*FLOAT_VECTOR\(16\)"):
        store(milvus, rows, vectors(rows), run, uri=milvus.uri)


def test_an_index_of_another_kind_is_replaced(milvus: Milvus, run: RunDir) -> None:
    rows = headlines(MANY)
    store(milvus, rows, vectors(rows), run)
    assert store(milvus, rows, vectors(rows), run, index="HNSW")["index"] == "HNSW"
    assert (milvus.index().kind, milvus.index().metric) == ("HNSW", "IP")


def test_a_long_text_is_cut_at_a_character_for_milvus_and_counted(milvus: Milvus, run: RunDir) -> None:
    long = "é" * 40_000
    assert len(fit_text(long).encode()) == TEXT_BYTES - 1
    rows = headlines([long, "short"])
    assert store(milvus, rows, vectors(rows), run)["texts_cut"] == 1
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
    store(milvus, rows, embeddings, run, index=index, metric=metric)
    stats = neighbors(milvus, rows, embeddings, run, 15, k=10, batch=64, recall_sample=100)
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


@pytest.mark.parametrize("index", ["FLAT", "HNSW"])
def test_of_many_headlines_at_the_same_distance_the_first_are_neighbors(
    milvus: Milvus, run: RunDir, index: str
) -> None:
    """So many that a search returns only a part of them, and the job asks for more."""
    rows = headlines(MANY)
    embeddings = vectors(rows, twins=150)
    store(milvus, rows, embeddings, run, index=index)
    neighbors(milvus, rows, embeddings, run, 15, k=10, batch=64, recall_sample=100)
    graph = KnnGraph.load(run.file("neighbors.npz"))
    assert (graph.distances[:150] == 0).all()
    if index == "FLAT":
        assert graph.indices[20:150].tolist() == [list(range(15))] * 130


def test_the_graphs_file_has_what_clustering_reads_apart_from_the_rest(milvus: Milvus, run: RunDir) -> None:
    rows = headlines(MANY)
    store(milvus, rows, vectors(rows), run)
    neighbors(milvus, rows, vectors(rows), run, 15, k=10)
    with np.load(run.file("neighbors.npz")) as file:
        assert file["indices"].shape == (300, 10)
        assert file["more_indices"].shape == (300, 5)


def test_the_exact_backend_gives_the_same_graph_and_an_audit_says_what_milvus_costs(
    milvus: Milvus, run: RunDir
) -> None:
    rows = headlines(MANY)
    embeddings = vectors(rows, twins=30)
    store(milvus, rows, embeddings, run)
    graphs = []
    for backend in ("milvus", "exact"):
        stats = neighbors(milvus, rows, embeddings, run, 12, k=10, backend=backend, audit="full")
        assert stats["audit"]["ari"] == 1.0
        assert stats["recall"] == 1.0
        graphs.append(KnnGraph.load(run.file("neighbors.npz")))
    assert (graphs[0].indices == graphs[1].indices).all()
    assert (graphs[0].distances == graphs[1].distances).all()


def test_an_audit_clusters_the_graph_that_the_run_clusters(milvus: Milvus, run: RunDir) -> None:
    """With `cluster.k` columns of the graph, and its connected components weighed as configured."""
    centers = np.repeat(np.eye(DIM, dtype=np.float32)[:3], [60, 30, 12], axis=0)
    found = centers + 0.1 * np.random.default_rng(0).normal(size=centers.shape).astype(np.float32)
    rows = headlines(MANY[: len(found)])
    embeddings = Embeddings(rows.ids, found / np.linalg.norm(found, axis=1, keepdims=True))
    for columns, components in ((5, "apart"), (5, "joined"), (9, "apart")):
        cluster = {"k": columns, "components": components, "min_samples": 2, "min_cluster_size": 5}
        settings = {"k": 10, "backend": "exact", "audit": "full", "cluster": cluster}
        audit = neighbors(milvus, rows, embeddings, run, 12, **settings)["audit"]
        graph = KnnGraph.load(run.file("neighbors.npz")).first(columns)
        clusters = cluster_graph(
            graph.indices, graph.distances, min_samples=2, min_cluster_size=5, components=components
        )
        assert audit["clusters"] == audit["clusters_of_exact_graph"] == len(clusters.persistence), (columns, components)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_headlines_than_neighbors_give_the_neighbors_there_are(milvus: Milvus, run: RunDir, count: int) -> None:
    rows = headlines(MANY[:count])
    store(milvus, rows, vectors(rows), run)
    neighbors(milvus, rows, vectors(rows), run, 50, k=50)
    graph = KnnGraph.load(run.file("neighbors.npz"))
    assert graph.indices.shape == (count, count - 1)
    assert (graph.indices >= 0).all()


def test_a_database_that_is_gone_is_written_again_by_the_same_command(milvus: Milvus, run: RunDir) -> None:
    rows = headlines(MANY)
    run.finish("store", "key", "out", [], 1.0, {})
    with pytest.raises(Resumable, match="holds 0 rows"):
        neighbors(milvus, rows, vectors(rows), run, 50)
    assert run.marker("store") is None


def test_a_collection_that_lost_rows_is_written_again_by_the_same_command(milvus: Milvus, run: RunDir) -> None:
    rows = headlines(MANY)
    store(milvus, rows, vectors(rows), run)
    run.finish("store", "key", "out", [], 1.0, {})
    milvus.delete(rows.ids[:10])
    with pytest.raises(Resumable, match="holds 290 rows"):
        neighbors(milvus, rows, vectors(rows), run, 50)
    assert run.marker("store") is None
