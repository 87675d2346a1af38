"""BGE-M3's lexical weights in Milvus, beside the vectors of the same pass."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLE, Run
from jobs import SPARSE, headlines_of, job_of, stats_of, write_lexical_weights
from pymilvus import DataType, MilvusClient

from job.backends.embedding.lexical_shards import load_lexical_weights
from job.backends.milvus import Fields, Milvus
from job.data import Embeddings, Headlines
from job.runtime.errors import BadInput
from job.stages.store import StoreStage

DIM = 8


@pytest.fixture(scope="module")
def with_weights(job_here: Run, tiny_m3: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sparse") / "run"
    done = job_here(
        *("run", "configs/demo.yaml", f"run_dir={folder}", f"input.path={SAMPLE}"),
        *(f"embed.model={tiny_m3}", "embed.sparse=true", "embed.precision=fp32"),
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_a_model_without_weights_is_refused_before_anything_is_read(job_here: Run, tmp_path: Path) -> None:
    done = job_here("run", "configs/demo.yaml", f"run_dir={tmp_path / 'run'}", "embed.sparse=true")
    assert done.returncode == 2
    assert "embed.sparse = true: 'minilm' gives no lexical weights" in done.stderr
    assert not (tmp_path / "run" / "headlines.parquet").exists()


@pytest.mark.slow
def test_a_search_by_weights_ranks_as_their_products_do(with_weights: Path) -> None:
    weights = load_lexical_weights(with_weights)
    ids = Headlines.load(with_weights / "headlines.parquet").ids
    record = json.loads((with_weights / "run.json").read_text())
    assert record["stages"]["store"]["sparse"] == "sparse"
    client = MilvusClient(str(with_weights / "milvus.db"))
    client.load_collection("news_data")
    try:
        for row in (0, 7, 100):
            query = weights[[row]]
            (hits,) = client.search(
                "news_data",
                data=[dict(zip(query.indices.tolist(), query.data.tolist(), strict=True))],
                anns_field="sparse",
                limit=5,
                output_fields=["id"],
                search_params={"metric_type": "IP"},
            )
            products = (weights @ query.T).toarray().ravel()
            expected = np.sort(products)[::-1][:5]
            assert [hit["distance"] for hit in hits] == pytest.approx(expected, rel=1e-3)
            assert hits[0]["id"] == ids[products.argmax()]
    finally:
        client.close()


def test_without_it_the_collection_is_as_it_was(demo: Path) -> None:
    assert load_lexical_weights(demo) is None
    client = MilvusClient(str(demo / "milvus.db"))
    try:
        fields = [field["name"] for field in client.describe_collection("news_data")["fields"]]
    finally:
        client.close()
    assert fields == ["id", "embedding", "text"]


def made(count: int) -> tuple[Headlines, Embeddings]:
    texts = [f"headline {row}" for row in range(count)]
    found = headlines_of(np.arange(count) + 1, texts)
    vectors = np.random.default_rng(0).normal(size=(count, DIM))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found, Embeddings(found.ids, unit.astype(np.float32))


def test_a_headline_without_weights_is_stored_and_never_found_by_them(tmp_path: Path) -> None:
    rows, vectors = made(3)
    write_lexical_weights(tmp_path, np.array([[0, 0, 0.5, 0.25], [0, 0, 0, 0], [0, 0, 0, 1]], np.float32))
    milvus = Milvus(str(tmp_path / "milvus.db"), None, "news_data", Fields(sparse="sparse"))
    try:
        stats = stats_of(StoreStage().run(job_of(tmp_path, rows, vectors, milvus, embed=SPARSE)))
        assert (stats["rows"], stats["sparse"]) == (3, "sparse")
        client = milvus.connection.client
        kept = client.query("news_data", ids=[1, 2, 3], output_fields=["id", "sparse"])
        assert {row["id"]: row["sparse"] for row in kept} == {
            1: {2: 0.5, 3: 0.25},
            2: {0: pytest.approx(1e-6)},
            3: {3: 1.0},
        }
        search = {"anns_field": "sparse", "limit": 3, "output_fields": ["id"], "search_params": {"metric_type": "IP"}}
        (hits,) = client.search("news_data", data=[{2: 1.0, 3: 1.0}], **search)
        assert [hit["id"] for hit in hits if hit["distance"] > 0] == [3, 1]
    finally:
        milvus.close()


def test_a_collection_with_and_one_without_the_field_say_what_to_set(tmp_path: Path) -> None:
    rows, vectors = made(3)
    uri = str(tmp_path / "milvus.db")
    for name, there, wanted, said in (
        ("plain", "", "sparse", "embed.sparse = true needs the field 'sparse': set embed.sparse=false, or set"),
        ("weighted", "words", "", "set embed.sparse=true and store.sparse_field=words, or set store.collection"),
    ):
        milvus = Milvus(uri, None, name, Fields(sparse=there))
        milvus.prepare(DIM)
        milvus.close()
        milvus = Milvus(uri, None, name, Fields(sparse=wanted))
        try:
            with pytest.raises(BadInput, match=said):
                StoreStage().run(job_of(tmp_path, rows, vectors, milvus, store={"uri": uri}))
        finally:
            milvus.close()


def test_a_living_collections_vector_field_that_a_run_cannot_fill_is_named_before_it_is_written_to(
    tmp_path: Path,
) -> None:
    rows, vectors = made(3)
    uri = str(tmp_path / "milvus.db")
    for name, kind, said in (
        ("words", DataType.SPARSE_FLOAT_VECTOR, "set embed.sparse=true and store.sparse_field=other, or set store"),
        ("image", DataType.FLOAT_VECTOR, "'other' FLOAT_VECTOR has to be filled .* nothing for it: set store.collec"),
    ):
        milvus = Milvus(uri, None, name)
        try:
            schema = milvus.connection.client.create_schema(auto_id=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=DIM)
            schema.add_field("text", DataType.VARCHAR, max_length=100)
            schema.add_field("other", kind, **({} if name == "words" else {"dim": 4}))
            milvus.connection.client.create_collection(name, schema=schema)
            with pytest.raises(BadInput, match=said):
                StoreStage().run(job_of(tmp_path, rows, vectors, milvus, store={"scope": "collection"}))
            # to cluster what is in it, nothing has to be filled
            milvus.adopt()
        finally:
            milvus.close()


def test_a_field_of_another_type_is_not_taken_for_the_weights(tmp_path: Path) -> None:
    milvus = Milvus(str(tmp_path / "milvus.db"), None, "news_data", Fields(sparse="text"))
    try:
        milvus.fields, kept = Fields(), milvus.fields
        milvus.prepare(DIM)
        milvus.fields = kept
        assert "text" in milvus.schema.types and not milvus.has_sparse
    finally:
        milvus.close()


def test_weights_without_a_shard_are_refused_and_foreign_files_are_not_read(tmp_path: Path) -> None:
    write_lexical_weights(tmp_path, np.eye(3, dtype=np.float32))
    for folder in ("sparse", "embeddings"):
        (tmp_path / folder / "0.npy").write_text("somebody's notes")
        shutil.copy(tmp_path / folder / "00000.npy", tmp_path / folder / "00001.npy")
    assert load_lexical_weights(tmp_path).shape == (6, 3)
    (tmp_path / "sparse" / "00000.npy").unlink()
    with pytest.raises(BadInput, match="sparse/ has 1 shards and embeddings/ has 2"):
        load_lexical_weights(tmp_path)
