"""The requests that a GPU server would receive, recorded by a real gRPC server, because the tests have no GPU."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
import numpy as np
import pytest

from job.backends.milvus import Connection, Milvus, collection, messages, reader
from job.backends.milvus.connection import _client_class
from job.backends.milvus.index_kinds import EXACT, Index, build_params, first_effort
from job.runtime.errors import JobError, Resumable
from job.runtime.log import logger

_client_class()
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc, schema_pb2  # noqa: E402


class Recorder(milvus_pb2_grpc.MilvusServiceServicer):
    """Answers like a server that builds every index, and keeps the requests."""

    def __init__(self) -> None:
        self.created: list[Any] = []
        self.searched: list[Any] = []
        self.failures: list[Any] = []
        self.loaded = 0
        # the state of the index and its rows, one for each time that it is asked for; the last one stays
        self.rows = 0
        self.index = [(common_pb2.IndexState.Finished, 1_000)]

    def Connect(self, request: Any, context: Any) -> Any:  # noqa: N802
        return milvus_pb2.ConnectResponse(status=common_pb2.Status(), identifier=1)

    def GetVersion(self, request: Any, context: Any) -> Any:  # noqa: N802
        return milvus_pb2.GetVersionResponse(status=common_pb2.Status(), version="v2.6.13-gpu")

    def ShowCollections(self, request: Any, context: Any) -> Any:  # noqa: N802
        return milvus_pb2.ShowCollectionsResponse(status=common_pb2.Status())

    def CreateIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.created.append(request)
        return common_pb2.Status()

    def DescribeIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = milvus_pb2.DescribeIndexResponse(status=common_pb2.Status())
        state, rows = self.index.pop(0) if len(self.index) > 1 else self.index[0]
        index = answer.index_descriptions.add(index_name="embedding", field_name="embedding", state=state)
        index.indexed_rows, index.total_rows = rows, 1_000
        index.params.add(key="index_type", value="IVF_FLAT")
        return answer

    def LoadCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.loaded += 1
        return common_pb2.Status()

    def GetLoadingProgress(self, request: Any, context: Any) -> Any:  # noqa: N802
        return milvus_pb2.GetLoadingProgressResponse(status=common_pb2.Status(), progress=100)

    def Search(self, request: Any, context: Any) -> Any:  # noqa: N802
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, grpc.StatusCode):
                context.abort(failure, "unavailable")
            return milvus_pb2.SearchResults(status=failure)
        self.searched.append(request)
        results = milvus_pb2.SearchResults(status=common_pb2.Status())
        results.results.topks.extend([2, 1])
        results.results.ids.int_id.data.extend([5, 6, 7])
        results.results.scores.extend([0.5, 0.25, 0.125])
        return results

    def DescribeCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = milvus_pb2.DescribeCollectionResponse(status=common_pb2.Status(), collectionID=1)
        answer.schema.fields.add(name="id", is_primary_key=True, data_type=schema_pb2.Int64)
        answer.schema.fields.add(name="text", data_type=schema_pb2.VarChar)
        vector = answer.schema.fields.add(name="embedding", data_type=schema_pb2.FloatVector)
        vector.type_params.add(key="dim", value="4")
        return answer

    def Query(self, request: Any, context: Any) -> Any:  # noqa: N802
        """At most 20 rows fit into a message."""
        limit = int(key_values(request.query_params).get("limit", 0))
        if limit > 20:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "grpc: received message larger than max (9 vs. 8)")
        after = re.search(r"id > (\d+)", request.expr)
        first = int(after[1]) + 1 if after else 0
        answer = milvus_pb2.QueryResults(status=common_pb2.Status(), session_ts=1)
        ids = range(first, min(first + limit, self.rows))
        column = answer.fields_data.add(field_name="id", type=schema_pb2.Int64)
        column.scalars.long_data.data.extend(ids)
        column = answer.fields_data.add(field_name="text", type=schema_pb2.VarChar)
        column.scalars.string_data.data.extend("x" for _ in ids)
        return answer


@pytest.fixture
def recorder() -> Iterator[tuple[Recorder, str]]:
    server, servicer = grpc.server(futures.ThreadPoolExecutor(2)), Recorder()
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"http://127.0.0.1:{port}"
    server.stop(0)


class Silence(grpc.ServerInterceptor):
    """Once `since` is set, no call is answered before `over` is."""

    def __init__(self) -> None:
        self.since, self.over = threading.Event(), threading.Event()

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        if self.since.is_set():
            self.over.wait(60)
        return continuation(details)


@pytest.fixture
def silence() -> Iterator[tuple[Silence, str]]:
    found = Silence()
    server = grpc.server(futures.ThreadPoolExecutor(100), interceptors=[found])
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(Recorder(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield found, f"http://127.0.0.1:{port}"
    found.over.set()
    server.stop(0)


def key_values(pairs: Any) -> dict[str, str]:
    return {pair.key: pair.value for pair in pairs}


def test_requests_to_a_gpu_server(recorder: tuple[Recorder, str]) -> None:
    servicer, uri = recorder
    milvus = Milvus(uri, None, "news_data", db_name="stories")
    build = build_params("GPU_IVF_FLAT", 1_000_000, None, True)
    milvus._create_index(Index("GPU_IVF_FLAT", "IP", build, ""))
    sent = key_values(servicer.created[0].extra_params)
    assert (sent["index_type"], sent["metric_type"]) == ("GPU_IVF_FLAT", "IP")
    expected = {"nlist": 2048, "cache_dataset_on_device": "true"}
    assert json.loads(sent["params"]) == expected

    effort = first_effort("GPU_IVF_FLAT", build, 59, None)
    queries = np.arange(8, dtype=np.float32).reshape(2, 4)
    ids, scores = milvus.search(queries, 3, "IP", effort)
    request = servicer.searched[0]
    assert (request.nq, request.collection_name, request.db_name) == (2, "news_data", "stories")
    group = common_pb2.PlaceholderGroup.FromString(request.placeholder_group)
    np.testing.assert_array_equal([np.frombuffer(v, "<f4") for v in group.placeholders[0].values], queries)
    sent = key_values(request.search_params)
    assert (sent["topk"], sent["metric_type"], json.loads(sent["params"])["nprobe"]) == ("3", "IP", 32)
    assert request.consistency_level == common_pb2.ConsistencyLevel.Strong
    np.testing.assert_array_equal(ids, [[5, 6, -1], [7, -1, -1]])
    assert scores[1, 0] == 0.125 and np.isnan(scores[0, 2])
    milvus.close()


def test_an_index_is_waited_for_as_long_as_it_grows(
    recorder: tuple[Recorder, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in (("_LONGEST_LOOK", 0.1), ("_SEGMENT_SECONDS", 0.35), ("LINE_EVERY", 0.05)):
        monkeypatch.setattr(f"job.backends.milvus.collection.{name}", value)
    servicer, uri = recorder
    milvus, state = Milvus(uri, None, "news_data"), common_pb2.IndexState
    servicer.index = [(state.Unissued, 0), *((state.InProgress, rows) for rows in (0, 0, 200, 200, 200, 500, 500))]
    servicer.index.append((state.Finished, 1_000))
    with caplog.at_level("INFO", logger=logger.name):
        milvus._wait_until_indexed("embedding")
    assert len(servicer.index) == 1
    assert "store: the server builds the IVF_FLAT index: 200 of 1,000 rows after 0 s" in caplog.messages
    servicer.index = [(state.InProgress, 0), (state.InProgress, 500)]
    with pytest.raises(JobError, match=r"IVF_FLAT index .* no progress for 0 s, at 500 of 1,000 rows .* store\.index"):
        milvus._wait_until_indexed("embedding")
    servicer.index = [(state.Failed, 500)]
    with pytest.raises(JobError, match=r"IVF_FLAT index in collection 'news_data' failed, at 500 of 1,000 rows"):
        milvus._wait_until_indexed("embedding")
    milvus.close()


def test_an_unavailable_server_is_retried_and_an_error_is_not(
    recorder: tuple[Recorder, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("job.backends.milvus.connection._FIRST_WAIT", 0.01)
    servicer, uri = recorder
    milvus = Milvus(uri, None, "news_data", patience=0.5)
    queries = np.zeros((2, 4), np.float32)
    servicer.failures = [
        grpc.StatusCode.UNAVAILABLE,
        common_pb2.Status(code=8, error_code=1, reason="rate limit exceeded"),
        common_pb2.Status(code=101, error_code=1, reason="collection not loaded"),
        common_pb2.Status(code=65535, error_code=1, reason="attempt #0: connection refused"),
    ]
    assert milvus.search(queries, 3, "IP", EXACT)[0][0, 0] == 5
    assert not servicer.failures
    assert servicer.loaded == 1
    servicer.failures = [common_pb2.Status(code=1100, error_code=1, reason="invalid parameter")]
    with pytest.raises(JobError, match="searching in collection 'news_data' failed: invalid parameter") as raised:
        milvus.search(queries, 3, "IP", EXACT)
    assert raised.value.exit_code == 1
    servicer.failures = [grpc.StatusCode.UNAVAILABLE] * 1000
    with pytest.raises(Resumable, match=r"finished work is kept: start the server, then.*store\.patience"):
        milvus.search(queries, 3, "IP", EXACT)
    milvus.close()


def test_every_call_to_a_server_that_is_silent_comes_to_an_end(
    silence: tuple[Silence, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (reader, collection, messages):
        monkeypatch.setattr(module, "CALL_SECONDS", 1)
    monkeypatch.setattr(reader, "QUICK_SECONDS", 1)
    milvus = Milvus(silence[1], None, "news_data", patience=0.1)
    silence[0].since.set()
    one = np.ones((1, 4), np.float32)
    index = Index("FLAT", "IP", {}, "")
    calls: tuple[Callable[[], object], ...] = (
        milvus.exists,
        lambda: milvus.schema,
        milvus.has_index,
        milvus.index,
        milvus.count,
        milvus.has_rows,
        lambda: list(milvus.rows(["id"])),
        milvus.load,
        milvus.flush,
        milvus._drop_index,
        lambda: milvus._create_index(index),
        lambda: milvus.prepare(4),
        lambda: milvus.delete(np.array([1])),
        lambda: milvus.search(one, 3, "IP", EXACT),
        lambda: milvus.connection.client.release_collection("news_data", **milvus._about),
    )
    start = time.monotonic()
    with futures.ThreadPoolExecutor(len(calls)) as threads:
        errors = [one.exception() for one in [threads.submit(call) for call in calls]]
    assert time.monotonic() - start < 15
    assert [type(error) for error in errors[:-1]] == [Resumable] * (len(calls) - 1), errors
    milvus.close()


def test_as_many_queries_at_once_as_their_hits_fit_into_a_message(recorder: tuple[Recorder, str]) -> None:
    milvus = Milvus(recorder[1], None, "news_data")
    assert milvus.queries_at_once(None, "IP", 1_000_000, 384, 64) == 4_096
    assert milvus.queries_at_once(None, "IP", 1_000_000, 1_024, 64) == 4_096
    # of 24 bytes a hit
    for asked in (None, 4_096):
        assert milvus.queries_at_once(asked, "IP", 1_000_000, 384, 1_033) * 1_033 * 24 <= 16 * 2**20
    milvus.close()


def test_rows_too_large_for_one_message_are_read_in_smaller_batches(
    recorder: tuple[Recorder, str], caplog: pytest.LogCaptureFixture
) -> None:
    servicer, uri = recorder
    servicer.rows = 70
    with caplog.at_level("INFO", logger=logger.name):
        milvus = Milvus(uri, None, "news_data")
        found = [row["id"] for batch in milvus.rows(["id", "text"], batch=64) for row in batch]
    assert found == list(range(70))
    assert [message for message in caplog.messages if "reading 16 at once" in message]
    milvus.close()


def test_pymilvus_has_the_private_names_that_we_use(recorder: tuple[Recorder, str]) -> None:
    connection = Connection(recorder[1])
    assert messages.arrays_supported(connection)
    connection.client = object()
    assert not messages.arrays_supported(connection)


def test_floats_are_packed_as_protobuf_packs_them() -> None:
    from pymilvus.grpc_gen import schema_pb2

    for count in (1, 31, 32, 5000):
        values = np.random.default_rng(0).normal(size=count).astype(np.float32)
        assert messages._packed(values) == schema_pb2.FloatArray(data=values.tolist()).SerializeToString()
