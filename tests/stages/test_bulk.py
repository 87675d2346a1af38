"""Bulk import into a real Milvus server: the same rows as by upsert, or upsert with the reason, whatever is killed."""

import json
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import DEMO, Run, start

from job.backends.milvus import TEXT_BYTES, Fields, Milvus, arrays
from job.backends.milvus.bulk import BulkImport
from job.backends.milvus.bulk_files import Columns, open_place, write
from job.config import Store
from job.data import HEADLINES, Embeddings, Floats, Headlines
from job.runtime import preempt
from job.runtime.errors import BadInput, JobError, Resumable
from job.runtime.rundir import RunDir
from job.stages import store as store_stage
from job.stages.store import store

DIM, COUNT = 16, 1500
ODD = ["a \"quoted\", 'text'", "two\nlines\tand a tab", "日本の見出し 🗞️", "\\N \\u0041 {}", "x" * 70_000, "é" * 40_000]


def headlines(count: int = COUNT) -> Headlines:
    texts = [*ODD, *(f"headline {row}" for row in range(count - len(ODD)))]
    columns = [np.arange(count) * 2**40 + 1, texts, [None] * count, texts, [1] * count]
    return Headlines(pa.table([pa.array(c, f.type) for c, f in zip(columns, HEADLINES, strict=True)], schema=HEADLINES))


def embeddings(rows: Headlines, kind: Any = np.float16) -> Embeddings:
    found: Floats = np.random.default_rng(3).normal(size=(len(rows), DIM))
    return Embeddings(rows.ids, (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(kind))


def settings(place: Path | str, **others: Any) -> Store:
    # what the address is does not matter here: the stage is given its Milvus
    return Store(uri="http://localhost:19530", write="bulk", bulk_uri=str(place), index="FLAT", **others)


@pytest.fixture
def place(milvus_server: Any) -> Path:
    folder: Path = milvus_server.data / "storage" / "bulk"
    folder.mkdir(exist_ok=True)
    return folder


def everything(milvus: Milvus, *more: str) -> dict[int, Any]:
    fields = milvus.fields
    return {
        row[fields.id]: [np.asarray(row[fields.vector]).tolist(), row[fields.text], *(row[name] for name in more)]
        for batch in milvus.rows([fields.id, fields.vector, fields.text, *more], batch=200)
        for row in batch
    }


def test_the_rows_are_those_that_upsert_writes_where_the_collection_is_there_already(
    milvus: Milvus, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_stage, "MESSAGE_BYTES", 2**17)
    monkeypatch.setattr(store_stage, "FILE_BATCHES", 2)
    milvus.fields = Fields(extra=("source", "day"))
    rows, run = headlines(), RunDir(tmp_path)
    vectors = embeddings(rows)
    extra = [{"source": f'the "{row}"\n é', "day": row} for row in range(COUNT)]
    config = settings(place, extra_fields=("source", "day"))
    stats = store(config, milvus, rows, vectors, run, key="k", extra=extra)
    assert (stats["written"], stats["rows"], stats["texts_cut"], stats["batches"]) == ("bulk", COUNT, 2, 4)
    assert "fallbacks" not in stats and not run.file("store_bulk.json").exists() and not list(place.iterdir())
    imported = everything(milvus, "source", "day")
    texts = [text for _, text, _, _ in imported.values()]
    assert texts[:4] == ODD[:4]
    assert [len(text.encode()) for text in texts[4:6]] == [TEXT_BYTES, TEXT_BYTES - 1]

    again = store(config, milvus, rows, vectors, run, key="k", extra=extra)
    assert again["batches_kept"] == again["batches"] and "fallbacks" not in again
    stats = store(config, milvus, rows, vectors, run, key="other", extra=extra)
    assert (stats["written"], stats["batches_kept"]) == ("upsert", 0)
    (said,) = stats["fallbacks"]
    assert said.startswith("store.write = bulk: the rows were upserted: the collection is there already")
    assert everything(milvus, "source", "day") == imported


def test_an_import_that_was_cut_short_is_given_up_by_another_setting(
    milvus: Milvus, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, run = headlines(), RunDir(tmp_path)
    vectors = embeddings(rows)
    with monkeypatch.context() as patch, pytest.raises(Resumable):
        patch.setattr(preempt, "_received", "SIGTERM")
        store(settings(place), milvus, rows, vectors, run, key="k")
    attempt = json.loads(run.file("store_bulk.json").read_text())
    assert attempt["tasks"] and attempt["number"] == milvus.layout.number and list(place.iterdir())
    stats = store(Store(index="FLAT"), milvus, rows, vectors, run, key="k")
    # a late import would count twice: it is into a collection that is gone
    assert (stats["written"], milvus.count()) == ("upsert", COUNT)
    assert attempt["number"] != milvus.layout.number
    assert not run.file("store_bulk.json").exists() and not list(place.iterdir())


@pytest.mark.slow
def test_rows_that_were_imported_twice_are_written_again_by_upsert(
    milvus: Milvus, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, run = headlines(300), RunDir(tmp_path)
    vectors = embeddings(rows)
    once = BulkImport.run

    def twice(self: BulkImport, columns: Columns, files: Any) -> str | None:
        assert once(self, columns, files) is None
        files_of_ours = open_place(str(place), None)
        write(files_of_ours, "again.parquet", columns, files[0], milvus.fields)
        server = milvus.connection.client._get_connection()
        task = server.do_bulk_insert(milvus.collection, "", [files_of_ours.seen("again.parquet")])
        while server.get_bulk_insert_state(task).state_name != "Completed":
            time.sleep(0.2)
        return None

    monkeypatch.setattr(BulkImport, "run", twice)
    stats = store(settings(place), milvus, rows, vectors, run, key="k")
    assert (stats["written"], milvus.count()) == ("upsert", 300)
    assert "it counts 600 rows after 300 were written" in stats["fallbacks"][0]
    (place / "again.parquet").unlink()


@pytest.mark.slow
def test_rows_that_another_program_put_there_meanwhile_are_never_dropped(
    milvus: Milvus, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, run = headlines(50), RunDir(tmp_path)
    build = Milvus.build_index

    def joined(self: Milvus, index: Any) -> None:
        self.upsert(arrays.Rows(np.array([7]), np.ones((1, DIM), np.float32), ["theirs"]))
        build(self, index)

    monkeypatch.setattr(Milvus, "build_index", joined)
    with pytest.raises(JobError, match="it counts 51 rows after 50 were written: is another program"):
        store(settings(place), milvus, rows, embeddings(rows), run, key="k")
    assert milvus.count() == 51


def test_a_folder_that_the_server_does_not_see_is_named_and_nothing_stays(milvus: Milvus, tmp_path: Path) -> None:
    rows = headlines(100)
    (tmp_path / "sub").mkdir()
    start = time.monotonic()
    # every process has its own working directory
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        with pytest.raises(BadInput, match=r"store\.bulk_uri = '/proc/self/cwd/sub': the server cannot read .*sees"):
            store(settings("/proc/self/cwd/sub"), milvus, rows, embeddings(rows), RunDir(tmp_path), key="k")
        assert not list((tmp_path / "sub").iterdir())
    assert time.monotonic() - start < 20
    assert not milvus.exists()
    with pytest.raises(BadInput, match=r"store\.bulk_uri = '/no/such/folder': cannot write there .*No such file"):
        store(settings("/no/such/folder"), milvus, rows, embeddings(rows), RunDir(tmp_path), key="k")


def test_a_bucket_that_does_not_answer_is_named_and_its_keys_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id-of-mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-of-mine")
    with pytest.raises(BadInput, match=r"store\.bulk_uri = 's3://bucket/here' at store\.bulk_endpoint") as caught:
        open_place("s3://bucket/here", "http://127.0.0.1:9")
    assert "of-mine" not in str(caught.value)


def test_a_run_killed_while_the_server_imports_ends_with_every_row_once(
    serve: ModuleType, tmp_path: Path, copy: Path, job: Run
) -> None:
    try:
        server = serve.Server(tmp_path / "server")
    except serve.ServerError as error:
        pytest.skip(f"no Milvus server here: {error}")
    server.start()
    place, attempt = server.data / "storage", copy / "store_bulk.json"
    words = ["run", str(DEMO), f"run_dir={copy}", f"store.uri={server.uri}", "store.collection=killed"]
    words += ["store.write=bulk", f"store.bulk_uri={place}"]
    crashed = False
    try:
        for moment in ("made", "submitted"):
            process = start(*words)
            assert process.stderr is not None
            while not (attempt.exists() and (moment == "made" or json.loads(attempt.read_text())["tasks"])):
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.005)
            process.kill()
            process.communicate()
            # 2.3.5 panics (ListImportTasks, a nil answer) where a client goes away in the middle of that call
            time.sleep(1)
            if server.poll() is not None:
                crashed = True
                server.start()
        done = job(*words)
        assert done.returncode == 0, done.stderr
        stats = json.loads((copy / "run.json").read_text())["stages"]["store"]
        assert crashed or (stats["written"] == "bulk" and "fallbacks" not in stats)
        milvus = Milvus(server.uri, None, "killed")
        assert milvus.count() == stats["rows"]
        milvus.close()
        assert not list(place.glob("job_*")) and not attempt.exists()
    finally:
        server.stop()


@pytest.mark.slow
def test_a_server_killed_while_it_imports_costs_nothing_but_time(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, run = headlines(20_000), RunDir(tmp_path)
    server = serve.Server(tmp_path / "server")
    server.start()
    milvus = Milvus(server.uri, None, "news_data")
    states, killed = BulkImport._states, []

    # the worst moment: a server started again calls the task failed, counts its rows, and cannot flush the collection
    def deadly(self: Any, files: int) -> Any:
        found = states(self, files)
        if not killed and any(state.state_name == "Persisted" for state in found.values()):
            killed.append(1)
            server.kill()
            server.start()
        return found

    monkeypatch.setattr(BulkImport, "_states", deadly)
    try:
        stats = store(settings(server.data / "storage"), milvus, rows, embeddings(rows), run, key="k")
        assert killed and (stats["rows"], milvus.count()) == (20_000, 20_000)
        assert stats["written"] == "upsert" and "service restarted" in stats["fallbacks"][0]
    finally:
        server.stop()
        milvus.close()
