"""Five thousand real headlines with their rows in twenty orders give the same clusters."""

from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from graphs import Graph, same, shuffled

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.backends.graph_hdbscan import cluster_graph
from job.backends.knn.brute_force import nearest
from job.backends.knn.distances import pair_distances, sort_rows
from job.runtime.device import cpu_has_bf16

DATA = ROOT.parent / "shared" / "data" / "uci_dev.parquet"
ROWS, K = 5_000, 50

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_file(), reason=f"the real headlines do not exist: {DATA}"),
]


@pytest.fixture(scope="module")
def real() -> Graph:
    """The exact graph of distinct titles, in the order of the file."""
    titles = list(dict.fromkeys(pq.read_table(DATA, columns=["title"])["title"].to_pylist()))[:ROWS]
    precision = "bf16" if cpu_has_bf16() else "fp32"
    encoder = FlagEncoder(find_model("minilm", "auto"), "cpu", precision, 128, 4_096)
    vectors = encoder.encode(titles)
    rows = np.arange(len(vectors))
    found = np.concatenate([nearest(vectors, rows[at : at + 1_000], K) for at in range(0, len(rows), 1_000)])
    return sort_rows(found, pair_distances(vectors, rows, found), K)


@pytest.mark.parametrize(
    "settings", [{"min_samples": 3, "min_cluster_size": 10}, {"min_samples": 2, "selection": "leaf"}]
)
def test_twenty_orders_of_rows_give_the_same_clusters(real: Graph, settings: dict[str, Any]) -> None:
    before = cluster_graph(*real, **settings)
    assert len(before.labels) == ROWS
    assert len(before.persistence) > 50
    for seed in range(20):
        other, order = shuffled(real, seed)
        after = cluster_graph(*other, **settings)
        assert same(after.labels, before.labels[order])
        np.testing.assert_array_equal(after.probabilities, before.probabilities[order])
