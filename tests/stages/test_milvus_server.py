"""Store and neighbors on a real Milvus server, also one that is killed and started again."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DEMO
from jobs import SPARSE, headlines_of, job_of, stats_of, write_lexical_weights

from job.backends.knn.distances import pair_distances, sort_rows
from job.backends.milvus import Fields, Milvus, connection, messages
from job.backends.milvus.gpu_trial import remove_leftovers
from job.backends.milvus.index_choice import IndexRequest, choose, require
from job.backends.milvus.search import MilvusSearch, SearchSettings
from job.data import Embeddings, Floats, Headlines, KnnGraph
from job.rewrites import RowsAlteredError
from job.runtime.errors import BadInput, JobError, Resumable
from job.runtime.rundir import RunDir
from job.stages import store_write
from job.stages.neighbors import NeighborsStage
from job.stages.store import StoreStage

DIM, K = 32, 10


def headlines(count: int) -> Headlines:
    texts = [f"headline {row}\nsummary {row}" for row in range(count)]
    return headlines_of(np.arange(count) * 7 + 1, texts, [text.split("\n")[0] for text in texts])


def store(milvus: Milvus, rows: Headlines, found: Embeddings, run: RunDir, **settings: Any) -> dict[str, Any]:
    key, extra = settings.pop("key", ""), settings.pop("extra", None)
    settings["uri"] = milvus.uri
    return stats_of(StoreStage().run(job_of(run.path, rows, found, milvus, key, extra, store=settings)))


def neighbors(milvus: Milvus, rows: Headlines, found: Embeddings, run: RunDir, **settings: Any) -> dict[str, Any]:
    sections = {"neighbors": {"k": K, **settings}, "project": {"n_neighbors": K}, "store": {"uri": milvus.uri}}
    stage, job = NeighborsStage(), job_of(run.path, rows, found, milvus, **sections)
    stats = stats_of(stage.run(job))
    stage.clean_up(job)
    return stats


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


@pytest.mark.slow
def test_a_graph_with_ties_is_the_exact_one_and_an_approximate_one_reaches_its_recall(
    milvus: Milvus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_write, "MESSAGE_BYTES", 2**17)
    count, run = 3000, RunDir(tmp_path)
    rows, found = headlines(count), vectors(count)
    embeddings = Embeddings(rows.ids, found)
    stats = store(milvus, rows, embeddings, run, key="k", index="FLAT")
    assert (stats["rows"], stats["index"], milvus.count()) == (count, "FLAT", count)
    assert stats["batches"] > 3
    neighbors(milvus, rows, embeddings, run, batch=256)
    graph = KnnGraph.load(run.file("neighbors.npz"))
    # a hundred equal vectors: more than Milvus was first asked for, so that it cut among equals
    np.testing.assert_array_equal(graph.indices, exact_graph(found))
    again = store(milvus, rows, embeddings, run, key="k", index="FLAT")
    assert again["batches_kept"] == stats["batches"]

    stats = store(milvus, rows, embeddings, run, key="other", index="IVF_FLAT", nlist=128)
    assert (stats["index"], stats["index_params"]) == ("IVF_FLAT", {"nlist": 128})
    stats = neighbors(milvus, rows, embeddings, run, nprobe=1, min_recall=0.97)
    assert stats["recall"] >= 0.97
    assert stats["search"].startswith("nprobe ") and stats["search"] != "nprobe 1"

    search = MilvusSearch(milvus, rows.ids, found, SearchSettings(k=K, top_k=K + 9, parallel=2, batch=100))
    fast = messages.search(milvus.connection, milvus.collection, milvus.fields, found[:50], 7, how(search))
    slow = messages.search_public(milvus.connection, milvus.collection, milvus.fields, found[:50], 7, how(search))
    np.testing.assert_array_equal(fast[0], slow[0])
    np.testing.assert_allclose(fast[1], slow[1])


@pytest.mark.slow
def test_among_equal_vectors_hnsw_is_asked_with_a_beam_as_wide_as_the_hits(milvus: Milvus, tmp_path: Path) -> None:
    """The server refuses a narrower one."""
    rows, found = headlines(3000), vectors(3000)
    embeddings = Embeddings(rows.ids, found)
    store(milvus, rows, embeddings, RunDir(tmp_path), index="HNSW")
    stats = neighbors(milvus, rows, embeddings, RunDir(tmp_path))
    assert stats["search"] == "ef 64"
    assert stats["recall"] >= 0.99
    same = KnnGraph.load(tmp_path / "neighbors.npz").distances == 0
    assert same[2900:].all()


@pytest.mark.slow
def test_what_a_first_run_wrote_before_it_was_stopped_goes_with_the_input_that_it_was_of(
    milvus: Milvus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_rows, found, run = headlines(300), vectors(300), RunDir(tmp_path)

    def part(first: int, last: int) -> tuple[Headlines, Embeddings]:
        return Headlines(all_rows.table[first:last]), Embeddings(all_rows.ids[first:last], found[first:last])

    def stopped(index: Any) -> None:
        raise Resumable("stopped")

    with monkeypatch.context() as patch, pytest.raises(Resumable):
        patch.setattr(milvus, "build_index", stopped)
        store(milvus, *part(0, 200), run, key="first")
    stats = store(milvus, *part(100, 300), run, key="second")
    assert (stats["rows"], stats["removed"]) == (200, 100)
    assert milvus.ids().tolist() == all_rows.ids[100:].tolist()


@pytest.mark.slow
def test_a_server_that_moved_still_holds_this_runs_rows_and_a_collection_made_anew_does_not(
    milvus: Milvus, tmp_path: Path
) -> None:
    """127.0.0.1 under another name; and a collection that another run made under the name of this one's."""
    elsewhere = milvus.uri.replace("127.0.0.1", "localhost")
    rows, found = headlines(60), vectors(60)

    def write(folder: str, first: int, uri: str) -> dict[str, Any]:
        some = Headlines(rows.table[first:]), Embeddings(rows.ids[first:], found[first:])
        settings = {"collection": milvus.collection, "uri": uri}
        return stats_of(StoreStage().run(job_of(tmp_path / folder, *some, milvus, store=settings)))

    write("run", 0, milvus.uri)
    assert write("run", 20, elsewhere)["removed"] == 20
    milvus.connection.client.drop_collection(milvus.collection)
    write("other", 0, milvus.uri)
    with pytest.raises(BadInput, match="holds 30 rows that this run has not written there"):
        write("run", 30, milvus.uri)
    assert milvus.count() == 60


def test_rows_that_a_collection_does_not_take_are_no_server_that_is_away(milvus: Milvus, tmp_path: Path) -> None:
    from pymilvus import DataType

    client = milvus.connection.client
    schema = client.create_schema(auto_id=False)
    for name, kind, more in (
        ("id", DataType.INT64, {"is_primary": True}),
        ("embedding", DataType.FLOAT_VECTOR, {"dim": DIM}),
        ("text", DataType.VARCHAR, {"max_length": 65_535}),
        ("url", DataType.VARCHAR, {"max_length": 100}),
    ):
        schema.add_field(name, kind, **more)
    client.create_collection(milvus.collection, schema=schema)
    with pytest.raises(BadInput, match=r"its field 'url' VARCHAR has to be filled in every row.*store\.extra_fields"):
        milvus.adopt(DIM, writes=True)
    milvus.fields = Fields(extra=("url",))
    milvus.adopt(DIM, writes=True)
    rows, start = headlines(10), time.monotonic()
    batch = messages.RowBatch(rows.ids, vectors(10, twins=1), ["text"] * 10, [{}] * 10)
    with pytest.raises(JobError, match="url") as caught:
        milvus.upsert(batch)
    assert not isinstance(caught.value, Resumable)
    assert time.monotonic() - start < 30


def how(search: MilvusSearch) -> dict[str, Any]:
    return {"search_params": {"metric_type": "IP", "params": search.effort.params}, "filter": ""}


@pytest.mark.slow
def test_a_gpu_index_is_refused_within_a_minute_and_leaves_nothing_behind(milvus: Milvus) -> None:
    start = time.monotonic()
    with pytest.raises(BadInput, match=r"GPU_IVF_FLAT': not available at .*has not built it over 1,100 rows"):
        require(milvus.connection, "GPU_IVF_FLAT", "IP", 60)
    assert time.monotonic() - start < 60
    with pytest.raises(BadInput, match="refuses GPU_CAGRA: invalid index type"):
        require(milvus.connection, "GPU_CAGRA", "IP", 60)
    chosen = choose(milvus.connection, IndexRequest("auto", "IP", 30_000, 60))
    assert chosen.kind == "IVF_FLAT" and "without a GPU" in chosen.reason
    assert choose(milvus.connection, IndexRequest("auto", "IP", 300, 60)).kind == "FLAT"
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
    rows = headlines(300)
    write_lexical_weights(tmp_path, np.ones((300, 4), np.float32))
    job = job_of(tmp_path, rows, Embeddings(rows.ids, vectors(300)), milvus, store={"index": "FLAT"}, embed=SPARSE)
    stats = stats_of(StoreStage().run(job))
    assert stats["rows"] == 300
    assert stats["fallbacks"] == [
        f"embed.sparse: the weights are only in run_dir/sparse: {milvus.version} has no sparse vectors"
    ]
    milvus.connection.client.drop_collection("no_sparse")
    milvus.close()


@pytest.mark.slow
def test_a_living_collection_keeps_yesterday_and_is_filtered_by_extra_fields(milvus: Milvus, tmp_path: Path) -> None:
    milvus.fields = Fields(extra=("day",))
    rows, found = headlines(400), vectors(400)
    for day, part in (("mon", slice(0, 250)), ("tue", slice(200, 400))):
        mine = Headlines(rows.table.slice(part.start, part.stop - part.start))
        folder = tmp_path / day
        job = job_of(
            folder,
            mine,
            Embeddings(mine.ids, found[part]),
            milvus,
            day,
            [{"day": day}] * len(mine),
            store={"scope": "collection", "index": "FLAT", "extra_fields": ("day",)},
        )
        stats = stats_of(StoreStage().run(job))
        assert stats["removed"] == 0
    settings = {"scope": "collection", "collection": milvus.collection, "extra_fields": ("day",)}
    for filter, expected in (("", 400), ('day == "mon"', 200), ("id > 701", 300 - 1)):
        job = job_of(folder, milvus=milvus, input={}, store={**settings, "filter": filter})
        stats = stats_of(StoreStage().run(job))
        assert (stats["rows"], stats["rows_of_others"]) == (expected, expected)
    with pytest.raises(BadInput, match="selects no row"):
        StoreStage().run(job_of(folder, milvus=milvus, input={}, store={**settings, "filter": 'day == "sun"'}))


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
    monkeypatch.setattr(store_write, "MESSAGE_BYTES", 2**16)
    count, run = 20_000, RunDir(tmp_path)
    rows, found = headlines(count), vectors(count)
    embeddings = Embeddings(rows.ids, found)
    server = serve.Server(tmp_path / "server")
    server.start()
    milvus = Milvus(server.uri, None, "news_data")
    crashes = [crash(server, 0.3)]
    try:
        stats = store(milvus, rows, embeddings, run, key="k", index="FLAT")
        assert milvus.count() == stats["rows"] == count
        crashes.append(crash(server, 0.5))
        neighbors(milvus, rows, embeddings, run, batch=128)
        np.testing.assert_array_equal(KnnGraph.load(run.file("neighbors.npz")).indices, exact_graph(found))
    finally:
        for one in crashes:
            one.end()  # type: ignore[attr-defined]
        server.stop()
        milvus.close()


@pytest.mark.slow
def test_a_server_that_stays_away_ends_resumable_and_what_was_written_is_not_written_again(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_write, "MESSAGE_BYTES", 2**14)
    count, run = 2000, RunDir(tmp_path)
    rows = headlines(count)
    embeddings = Embeddings(rows.ids, vectors(count))
    server = serve.Server(tmp_path / "server")
    server.start()
    milvus = Milvus(server.uri, None, "news_data", patience=2.0)
    try:
        upsert, sent = Milvus.upsert, []

        def dying(self: Milvus, batch: messages.RowBatch) -> None:
            sent.append(int(batch.ids[0]))
            if len(sent) == 5:
                server.kill()
            upsert(self, batch)

        monkeypatch.setattr(Milvus, "upsert", dying)
        with pytest.raises(Resumable, match=r"writing in collection 'news_data' failed.*same command"):
            store(milvus, rows, embeddings, run, key="k", index="FLAT", parallel=1)
        done = sent[:4]
        sent[:] = [0] * 10
        server.start()
        milvus.connection.patience = 180
        stats = store(milvus, rows, embeddings, run, key="k", index="FLAT", parallel=1)
        assert stats["batches_kept"] == 4
        assert not set(done) & set(sent[10:])
        assert milvus.count() == count
    finally:
        server.stop()
        milvus.close()


def test_a_server_that_is_down_at_the_start_is_waited_for_and_then_the_run_is_resumable() -> None:
    with pytest.raises(Resumable, match=r"no Milvus server answers.*waited 1 s \(store\.patience\).*same command"):
        Milvus(nobody_listens(), None, "news_data", patience=1.0)


def nobody_listens() -> str:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{nobody.getsockname()[1]}"


@pytest.mark.slow
def test_the_command_line_says_that_the_server_is_down_and_what_continues(job: Any, copy: Path) -> None:
    settings = [f"run_dir={copy}", f"store.uri={nobody_listens()}", "store.patience=1"]
    for command in (["run", DEMO], ["stage", "store", DEMO], ["run", DEMO, "store.index=FLAT"]):
        done = job(*command, *settings)
        assert done.returncode == 75, done.stderr
        assert "waited 1 s (store.patience). Finished work is kept: the same command continues" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_what_others_did_to_the_collection_is_noticed_and_written_again(
    milvus: Milvus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, client, name = 1500, milvus.connection.client, milvus.collection
    rows, found = headlines(count), vectors(count)
    embeddings = Embeddings(rows.ids, found)

    def alter() -> None:
        milvus.upsert(messages.RowBatch(rows.ids[:40], found[40:80], ["theirs"] * 40))

    def drop_index() -> None:
        client.release_collection(name)
        client.drop_index(name, "embedding")

    def drop() -> None:
        client.drop_collection(name)

    def drop_later() -> None:
        calls: list[int] = []
        search = MilvusSearch._search

        def dropping(self: MilvusSearch, some: Any, limit: int) -> Any:
            calls.append(limit)
            if len(calls) == 3:
                drop()
            return search(self, some, limit)

        monkeypatch.setattr(MilvusSearch, "_search", dropping)

    for number, (index, others, said) in enumerate(
        (
            ("FLAT", alter, r"rows that were looked up are not the ones that this run wrote"),
            ("IVF_FLAT", alter, r"rows that were looked up are not the ones that this run wrote"),
            ("FLAT", drop_index, "has no index"),
            ("FLAT", drop_later, "is gone"),
        )
    ):
        run = RunDir(tmp_path / str(number))
        store(milvus, rows, embeddings, run, index=index)
        others()
        with pytest.raises(RowsAlteredError, match=said):
            neighbors(milvus, rows, embeddings, run, batch=256)
        monkeypatch.undo()
        store(milvus, rows, embeddings, run, index=index)
        neighbors(milvus, rows, embeddings, run, batch=256)
        if index == "FLAT":
            np.testing.assert_array_equal(KnnGraph.load(run.file("neighbors.npz")).indices, exact_graph(found))
    client.release_collection(name)
    neighbors(milvus, rows, embeddings, run)


@pytest.mark.slow
def test_a_server_that_starts_late_is_reached(serve: Any, tmp_path: Path) -> None:
    server = serve.Server(tmp_path / "server")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(Milvus, server.uri, None, "news_data", patience=120)
        try:
            # longer than one attempt to connect
            time.sleep(connection._CONNECT_SECONDS + 2)
            assert not waiting.done()
            server.start()
            milvus = waiting.result()
            assert "2.3.5" in milvus.version
            milvus.close()
        finally:
            server.stop()


@pytest.mark.slow
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
        store(milvus, rows, Embeddings(rows.ids, found), run, index="FLAT")
        neighbors(milvus, rows, Embeddings(rows.ids, found), run)
        np.testing.assert_array_equal(KnnGraph.load(run.file("neighbors.npz")).indices, exact_graph(found))
        milvus.close()
    finally:
        server.stop()
