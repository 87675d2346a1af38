"""Store and neighbors on a real Milvus server, also one that is killed and started again."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

from job.backends.knn.distances import pair_distances, sort_rows
from job.backends.milvus import Fields, Milvus, messages
from job.backends.milvus.gpu_trial import remove_leftovers
from job.backends.milvus.index_choice import choose, require
from job.backends.milvus.search import MilvusKnn
from job.config import Config, Neighbors, Store
from job.data import HEADLINES, Embeddings, Floats, Headlines, KnnGraph
from job.runtime.errors import BadInput, Resumable
from job.runtime.rundir import RunDir
from job.stages import store as store_stage
from job.stages.neighbors import neighbors
from job.stages.store import store, survey

DIM, K = 32, 10


def headlines(count: int) -> Headlines:
    texts = [f"headline {row}\nsummary {row}" for row in range(count)]
    columns = [np.arange(count) * 7 + 1, [text.split("\n")[0] for text in texts], [None] * count, texts, [1] * count]
    return Headlines(pa.table([pa.array(c, f.type) for c, f in zip(columns, HEADLINES, strict=True)], schema=HEADLINES))


def vectors(count: int, twins: int = 100) -> Floats:
    """Unit vectors around centers, the last `twins` all the same."""
    random = np.random.default_rng(1)
    centers = random.normal(size=(40, DIM))
    found = centers[random.integers(40, size=count)] + 0.5 * random.normal(size=(count, DIM))
    found[count - twins :] = found[0]
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def exact_graph(found: Floats) -> Any:
    """Who is near by all distances in float64, ties by row number."""
    wide = found.astype(np.float64)
    indices = np.empty((len(found), K), np.int64)
    for start in range(0, len(found), 500):
        part = np.arange(start, min(start + 500, len(found)))
        near = np.argsort(-(wide[part] @ wide.T), axis=1, kind="stable")[:, : K + 200].astype(np.int32)
        near[near == part[:, None]] = -1
        indices[part] = sort_rows(near, pair_distances(found, part, near), K)[0]
    return indices


def test_a_graph_with_ties_is_the_exact_one_and_an_approximate_one_reaches_its_recall(
    milvus: Milvus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_stage, "MESSAGE_BYTES", 2**17)
    count, run = 3000, RunDir(tmp_path)
    rows, found = headlines(count), vectors(count)
    embeddings = Embeddings(rows.ids, found)
    stats = store(Store(index="FLAT"), milvus, rows, embeddings, run, key="k")
    assert (stats["rows"], stats["index"], milvus.count()) == (count, "FLAT", count)
    assert stats["batches"] > 3
    neighbors(Neighbors(k=K, batch=256), K, 42, milvus, "k", embeddings, run)
    graph = KnnGraph.load(run.file("neighbors.npz"))
    # a hundred equal vectors: more than Milvus was first asked for, so that it cut among equals
    np.testing.assert_array_equal(graph.indices, exact_graph(found))
    again = store(Store(index="FLAT"), milvus, rows, embeddings, run, key="k")
    assert again["batches_kept"] == stats["batches"]

    stats = store(Store(index="IVF_FLAT", nlist=128), milvus, rows, embeddings, run, key="other")
    assert (stats["index"], stats["index_params"]) == ("IVF_FLAT", {"nlist": 128})
    stats = neighbors(Neighbors(k=K, nprobe=1, min_recall=0.97), K, 42, milvus, "other", embeddings, run)
    assert stats["recall"] >= 0.97
    assert stats["search"].startswith("nprobe ") and stats["search"] != "nprobe 1"

    knn = MilvusKnn(milvus, rows.ids, found, K, K + 9, 100, 2, None, "", False)
    fast = messages.search(milvus.connection, milvus.collection, milvus.fields, found[:50], 7, how(knn))
    slow = messages.search_public(milvus.connection, milvus.collection, milvus.fields, found[:50], 7, how(knn))
    np.testing.assert_array_equal(fast[0], slow[0])
    np.testing.assert_allclose(fast[1], slow[1])


def how(knn: MilvusKnn) -> dict[str, Any]:
    return {"search_params": {"metric_type": "IP", "params": knn.effort.params}, "filter": ""}


def test_a_gpu_index_is_refused_within_a_minute_and_leaves_nothing_behind(milvus: Milvus) -> None:
    start = time.monotonic()
    with pytest.raises(BadInput, match=r"GPU_IVF_FLAT' cannot be had at .*has not built it over 1,100 rows"):
        require(milvus.connection, "GPU_IVF_FLAT", "IP", 60)
    assert time.monotonic() - start < 60
    with pytest.raises(BadInput, match="refuses GPU_CAGRA: invalid index type"):
        require(milvus.connection, "GPU_CAGRA", "IP", 60)
    chosen = choose(milvus.connection, "auto", "IP", 30_000, 60, None, False)
    assert chosen.kind == "IVF_FLAT" and "without a GPU" in chosen.reason
    assert choose(milvus.connection, "auto", "IP", 300, 60, None, False).kind == "FLAT"
    client = milvus.connection.client
    assert not [name for name in client.list_collections() if name.startswith("job_probe_")]
    client.create_collection(f"job_probe_{int(time.time()) - 4000}_x", dimension=4)
    client.create_collection(f"job_probe_{int(time.time())}_y", dimension=4)
    assert remove_leftovers(milvus.connection) == 1
    for name in client.list_collections():
        if name.startswith("job_probe_"):
            client.drop_collection(name)


def test_lexical_weights_stay_behind_where_the_server_has_no_sparse_vectors(milvus_server: Any, tmp_path: Path) -> None:
    milvus = Milvus(milvus_server.uri, None, "no_sparse", Fields(sparse="sparse"))
    rows, run = headlines(300), RunDir(tmp_path)
    weights = csr_array(np.ones((300, 4), np.float32))
    stats = store(Store(index="FLAT"), milvus, rows, Embeddings(rows.ids, vectors(300)), run, lexical=weights)
    assert stats["rows"] == 300
    assert stats["fallbacks"] == [
        f"embed.sparse: the weights are in run_dir/sparse alone: {milvus.version} has no sparse vectors"
    ]
    milvus.connection.client.drop_collection("no_sparse")
    milvus.close()


def test_a_living_collection_keeps_yesterday_and_is_filtered_by_extra_fields(milvus: Milvus, tmp_path: Path) -> None:
    milvus.fields = Fields(extra=("day",))
    rows, found = headlines(400), vectors(400)
    for day, part in (("mon", slice(0, 250)), ("tue", slice(200, 400))):
        mine = Headlines(rows.table.slice(part.start, part.stop - part.start))
        folder = tmp_path / day
        folder.mkdir()
        run = RunDir(folder)
        stats = store(
            Store(scope="collection", index="FLAT", extra_fields=("day",)),
            milvus,
            mine,
            Embeddings(mine.ids, found[part]),
            run,
            key=day,
            extra=[{"day": day}] * len(mine),
        )
        assert stats["removed"] == 0
    settings = {"scope": "collection", "collection": milvus.collection, "extra_fields": ("day",)}
    for filter, expected in (("", 400), ('day == "mon"', 200), ("id > 701", 300 - 1)):
        config = Config(run_dir=folder, store=Store(**settings, filter=filter))
        stats = survey(config, milvus, Headlines(HEADLINES.empty_table()), run)
        assert (stats["rows"], stats["rows_of_others"]) == (expected, expected)
    with pytest.raises(BadInput, match="selects no row"):
        config = Config(run_dir=folder, store=Store(**settings, filter='day == "sun"'))
        survey(config, milvus, Headlines(HEADLINES.empty_table()), run)


def crash(server: Any, delay: float) -> threading.Thread:
    """Kill the server after `delay` seconds, and start it again two seconds later."""

    def work() -> None:
        time.sleep(delay)
        server.kill()
        time.sleep(2)
        server.start()
        # the server dies with the thread that started it
        ended.wait()

    ended = threading.Event()
    thread = threading.Thread(target=work, daemon=True)
    thread.end = ended.set  # type: ignore[attr-defined]
    thread.start()
    return thread


@pytest.mark.slow
def test_a_server_killed_while_writing_and_while_searching_costs_nothing_but_time(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_stage, "MESSAGE_BYTES", 2**16)
    count, run = 20_000, RunDir(tmp_path)
    rows, found = headlines(count), vectors(count)
    embeddings = Embeddings(rows.ids, found)
    server = serve.Server(tmp_path / "server")
    server.start()
    milvus = Milvus(server.uri, None, "news_data")
    crashes = [crash(server, 0.3)]
    try:
        stats = store(Store(index="FLAT"), milvus, rows, embeddings, run, key="k")
        assert milvus.count() == stats["rows"] == count
        crashes.append(crash(server, 0.5))
        neighbors(Neighbors(k=K, batch=128), K, 42, milvus, "k", embeddings, run)
        np.testing.assert_array_equal(KnnGraph.load(run.file("neighbors.npz")).indices, exact_graph(found))
    finally:
        for one in crashes:
            one.end()  # type: ignore[attr-defined]
        server.stop()
        milvus.close()


def test_a_server_that_stays_away_ends_resumable_and_what_was_written_is_not_written_again(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_stage, "MESSAGE_BYTES", 2**14)
    count, run = 2000, RunDir(tmp_path)
    rows = headlines(count)
    embeddings = Embeddings(rows.ids, vectors(count))
    server = serve.Server(tmp_path / "server")
    server.start()
    milvus = Milvus(server.uri, None, "news_data", patience=2.0)
    try:
        upsert, sent = Milvus.upsert, []

        def dying(self: Milvus, batch: messages.Rows) -> None:
            sent.append(int(batch.ids[0]))
            if len(sent) == 5:
                server.kill()
            upsert(self, batch)

        monkeypatch.setattr(Milvus, "upsert", dying)
        with pytest.raises(Resumable, match=r"writing in collection 'news_data' failed.*same command"):
            store(Store(index="FLAT", parallel=1), milvus, rows, embeddings, run, key="k")
        done = sent[:4]
        sent[:] = [0] * 10
        server.start()
        milvus.connection.patience = 180
        stats = store(Store(index="FLAT", parallel=1), milvus, rows, embeddings, run, key="k")
        assert stats["batches_kept"] == 4
        assert not set(done) & set(sent[10:])
        assert milvus.count() == count
    finally:
        server.stop()
        milvus.close()


def test_a_wrong_token_and_a_wrong_database_say_so(serve: Any, milvus_server: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no_such_db"):
        Milvus(milvus_server.uri, None, "news_data", db_name="no_such_db")
    server = serve.Server(tmp_path / "server", auth=True)
    server.start()
    try:
        with pytest.raises(BadInput, match="refuses the token: set MILVUS_TOKEN"):
            Milvus(server.uri, "root:wrong", "news_data")
        milvus = Milvus(server.uri, "root:Milvus", "news_data")
        milvus.connection.client.create_database("stories")
        milvus.close()
        milvus = Milvus(server.uri, "root:Milvus", "news_data", db_name="stories")
        rows, found = headlines(300), vectors(300)
        run = RunDir(tmp_path)
        store(Store(index="FLAT"), milvus, rows, Embeddings(rows.ids, found), run)
        neighbors(Neighbors(k=K), K, 42, milvus, "k", Embeddings(rows.ids, found), run)
        np.testing.assert_array_equal(KnnGraph.load(run.file("neighbors.npz")).indices, exact_graph(found))
        milvus.close()
    finally:
        server.stop()
