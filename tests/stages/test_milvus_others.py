"""A real Milvus server that other programs use too, and what it says of a filter."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from jobs import job_of, stats_of

from job.backends.milvus import Fields, Milvus
from job.backends.milvus.index_kinds import EXACT, Index
from job.backends.milvus.messages import RowBatch
from job.data import Floats
from job.runtime.errors import BadInput, Resumable
from job.stages.store import StoreStage

VECTORS: Floats = np.eye(8, dtype=np.float32)
FLAT = Index("FLAT", "IP", {}, "")


@pytest.fixture
def filled(milvus: Milvus) -> Milvus:
    """Eight rows with the ids 1 to 8."""
    milvus.fields = Fields(extra=("category",))
    milvus.prepare(8)
    milvus.upsert(RowBatch(np.arange(1, 9), VECTORS, ["text"] * 8, [{"category": "business"}] * 8))
    milvus.build_index(FLAT)
    return milvus


@pytest.mark.slow
def test_a_collection_that_another_program_releases_is_loaded_again(filled: Milvus) -> None:
    filled.connection.patience = 1.0
    reads: tuple[Callable[[], bool], ...] = (
        lambda: filled.search(VECTORS[:1], 1, "IP", EXACT)[0].tolist() == [[1]],
        lambda: filled.count() == 8,
        lambda: filled.ids().tolist() == list(range(1, 9)),
        lambda: filled.existing(np.array([2, 30])).tolist() == [2],
        lambda: list(filled.vectors(np.array([2, 30]))) == [2],
    )
    for read in reads:
        filled.connection.client.release_collection(filled.collection)
        assert read()


def test_a_server_that_answers_with_an_error_is_not_one_to_be_started(filled: Milvus) -> None:
    from pymilvus.exceptions import MilvusException

    def busy() -> None:
        raise MilvusException(8, "rate limit exceeded")

    filled.connection.patience = 0.1
    with pytest.raises(Resumable, match="finished work is kept: run the same command again"):
        filled.connection.call("searching", busy)


def test_a_filter_that_a_server_does_not_understand_is_bad_input(filled: Milvus) -> None:
    for filter, why in (
        ("category == business", "unsupported right datatype"),
        ("id > abc", "unsupported right datatype"),
        ("id + 1", "predicate is not a boolean expression"),
        ("category = 'business'", "cannot parse expression"),
        ("1 == 1", "unsupported expr proto"),
    ):
        with pytest.raises(BadInput, match=rf"^store\.filter = '.*': Milvus .* does not understand it: {why}.*quotes"):
            filled.count(filter)


@pytest.mark.slow
def test_an_index_that_a_collection_keeps_against_the_settings_is_a_warning(
    filled: Milvus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.fields = Fields()

    def warnings(index: str) -> list[str]:
        store = {"scope": "collection", "index": index, "uri": filled.uri}
        job = job_of(tmp_path / "run", None, None, filled, input={}, store=store)
        found: list[str] = stats_of(StoreStage().run(job))["warnings"]
        return found

    assert warnings("auto") == warnings("FLAT") == []
    (said,) = warnings("HNSW")
    assert "store.index = 'HNSW': the collection has the index FLAT, and keeps it" in said
    monkeypatch.setattr("job.backends.milvus.index_choice.IVF_ROWS", 8)
    (said,) = warnings("auto")
    assert "compares each of its 8 rows with all others" in said
    assert "store.index=IVF_FLAT" in said
    filled.connection.client.release_collection(filled.collection)
    filled.connection.client.drop_index(filled.collection, "embedding")
    assert warnings("IVF_FLAT") == warnings("auto") == []
    assert filled.index().kind == "IVF_FLAT"
