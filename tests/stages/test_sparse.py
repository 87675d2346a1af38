"""BGE-M3's lexical weights in Milvus, beside the vectors of the same pass."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLE, Run
from pymilvus import MilvusClient

from job.data import Headlines
from job.runtime.rundir import RunDir
from job.stages.embed import load_sparse


@pytest.fixture(scope="module")
def with_weights(job: Run, tiny_m3: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sparse") / "run"
    done = job(
        *("run", "configs/demo.yaml", f"run_dir={folder}", f"input.path={SAMPLE}"),
        *(f"embed.model={tiny_m3}", "embed.sparse=true", "embed.precision=fp32"),
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_a_search_by_weights_ranks_as_their_products_do(with_weights: Path) -> None:
    weights = load_sparse(RunDir(with_weights))
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
    assert load_sparse(RunDir(demo)) is None
    client = MilvusClient(str(demo / "milvus.db"))
    try:
        fields = [field["name"] for field in client.describe_collection("news_data")["fields"]]
    finally:
        client.close()
    assert fields == ["id", "embedding", "text"]
