"""One collection in a real Milvus Lite: written, read, and searched."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from job.backends.knn.distances import pair_distances, sort_rows
from job.backends.milvus import Fields, Milvus
from job.backends.milvus.index_kinds import Index
from job.backends.milvus.messages import RowBatch, search, search_public
from job.backends.milvus.search import MilvusSearch, SearchSettings
from job.data import Floats, Ids
from job.runtime.errors import BadInput, JobError

COUNT, DIM, K = 300, 16, 5
IDS = np.arange(COUNT, dtype=np.int64) * 7 + 1


def vectors() -> Floats:
    """Unit vectors, the last 60 equal to the first: more equal vectors than the hits of one request."""
    found = np.random.default_rng(0).normal(size=(COUNT, DIM)).astype(np.float32)
    found[-60:] = found[0]
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def rows(ids: Ids = IDS) -> RowBatch:
    return RowBatch(ids, vectors()[: len(ids)], [f"headline {id}" for id in ids])


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    client = Milvus(str(tmp_path_factory.mktemp("lite") / "milvus.db"), None, "news_data")
    client.prepare(DIM)
    client.upsert(rows())
    client.build_index(Index("FLAT", "IP", {}, ""))
    yield client
    client.close()


def test_a_collection_that_was_half_made_when_its_process_was_killed_is_made_again(tmp_path: Path) -> None:
    half = tmp_path / "milvus.db" / "collections" / "news_data"
    (half / "partitions").mkdir(parents=True)
    client = Milvus(str(tmp_path / "milvus.db"), None, "news_data")
    client.prepare(DIM)
    client.upsert(rows())
    client.build_index(Index("FLAT", "IP", {}, ""))
    assert client.ids().tolist() == IDS.tolist()
    client.close()


def test_rows_ids_and_vectors_are_read_as_they_were_written(milvus: Milvus) -> None:
    assert milvus.exists() and milvus.has_rows() and milvus.has_index()
    assert (milvus.count(), milvus.count("id < 70")) == (COUNT, 10)
    np.testing.assert_array_equal(milvus.ids(), IDS)
    read = [row for batch in milvus.rows(["id", "text"], "id > 1", batch=100) for row in batch]
    assert [(row["id"], row["text"]) for row in read] == [(id, f"headline {id}") for id in IDS[1:]]
    stored = milvus.vectors(np.array([8, 5, 1]))
    assert sorted(stored) == [1, 8]
    np.testing.assert_array_equal(stored[8], vectors()[1])
    index = milvus.index()
    assert (index.kind, index.metric) == ("FLAT", "IP")


def test_both_ways_to_search_give_the_same(milvus: Milvus) -> None:
    options = {"search_params": {"metric_type": "IP", "params": {}}, "filter": "id > 500"}
    answers = [
        call(milvus.connection, milvus.collection, milvus.fields, vectors()[:20], 7, options)
        for call in (search, search_public)
    ]
    np.testing.assert_array_equal(answers[0][0], answers[1][0])
    np.testing.assert_allclose(answers[0][1], answers[1][1])


def test_neighbors_are_row_numbers_and_ties_are_broken_by_row_number(milvus: Milvus) -> None:
    found = MilvusSearch(milvus, IDS, vectors(), SearchSettings(k=K, top_k=K + 9, parallel=2, batch=64))
    assert (found.rows_at_once, str(found.effort), found.try_harder()) == (64, "exact", False)
    batches = [np.arange(start, min(start + 64, COUNT)) for start in range(0, COUNT, 64)]
    candidates = np.concatenate(list(found.find_all(batches)))
    every = np.tile(np.arange(COUNT, dtype=np.int32), (COUNT, 1))
    np.fill_diagonal(every, -1)
    all_rows = np.arange(COUNT)
    expected = sort_rows(every, pair_distances(vectors(), all_rows, every), K)[0]
    nearest = sort_rows(candidates, pair_distances(vectors(), all_rows, candidates), K)[0]
    np.testing.assert_array_equal(nearest, expected)


def test_an_unknown_id_is_an_error_unless_the_collection_is_shared(milvus: Milvus) -> None:
    known = np.arange(0, COUNT, 2)
    settings = {"k": K, "top_k": K + 9, "parallel": 1}
    mine = MilvusSearch(milvus, IDS[known], vectors()[known], SearchSettings(**settings))
    with pytest.raises(JobError, match=r"holds id \d+, which this run did not write"):
        mine.find(np.arange(10))
    shared = MilvusSearch(milvus, IDS[known], vectors()[known], SearchSettings(**settings, shared=True))
    found = shared.find(np.arange(10))
    assert (found < len(known)).all() and (found[:, 0] != np.arange(10)).all()


def test_a_collection_with_other_fields_is_refused_with_what_it_has(milvus: Milvus) -> None:
    milvus.adopt(DIM, writes=True)
    with pytest.raises(BadInput, match=f"vectors have {DIM} dimensions, those of embed.model have 8"):
        milvus.adopt(8)
    with pytest.raises(BadInput, match=r"already exists with the schema .*\(16\).*this run needs .*\(8\)"):
        milvus.prepare(8)
    fields = milvus.fields
    try:
        for wrong, message in (
            (Fields(id="number"), "store.id_field = 'number' does not exist, but has to be INT64"),
            (Fields(vector="text"), "store.vector_field = 'text' is VARCHAR, but has to be FLOAT_VECTOR"),
            (Fields(extra=("day",)), "store.extra_fields: the collection has no field 'day' and no dynamic field"),
        ):
            milvus.fields = wrong
            with pytest.raises(BadInput, match=message):
                milvus.adopt()
    finally:
        milvus.fields = fields
