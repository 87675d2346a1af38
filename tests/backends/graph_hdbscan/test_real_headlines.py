"""Five thousand real headlines, their rows in twenty orders: one answer."""

from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from graphs import Graph, same, shuffled
from sklearn.metrics import adjusted_mutual_info_score

from job.backends import exact
from job.backends.encoder import FlagEncoder
from job.backends.graph_hdbscan import cluster_graph
from job.backends.models import find_model

DATA = ROOT.parent / "shared" / "data" / "uci_dev.parquet"
ROWS, K = 5_000, 50

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_file(), reason=f"the real headlines are not beside this checkout: {DATA}"),
]


@pytest.fixture(scope="module")
def real() -> tuple[Graph, list[str]]:
    """The exact graph of distinct titles, and their stories."""
    table = pq.read_table(DATA, columns=["title", "story"]).to_pandas().drop_duplicates("title")[:ROWS]
    encoder = FlagEncoder(find_model("minilm", "auto"), "cpu", "fp32", 128, 4_096)
    vectors = encoder.encode(table["title"].tolist())
    rows = np.arange(len(vectors))
    found = np.concatenate([exact.nearest(vectors, rows[at : at + 1_000], K) for at in range(0, len(rows), 1_000)])
    graph = exact.sort_rows(found, exact.pair_distances(vectors, rows, found), K)
    return graph, table["story"].astype(str).tolist()


@pytest.mark.parametrize(
    "settings", [{"min_samples": 3, "min_cluster_size": 10}, {"min_samples": 2, "selection": "leaf"}]
)
def test_twenty_orders_of_rows_are_one_answer(real: Any, settings: dict[str, Any]) -> None:
    graph, stories = real
    before = cluster_graph(*graph, **settings)
    assert len(before.labels) == ROWS
    assert adjusted_mutual_info_score(stories, before.labels) > 0.5
    for seed in range(20):
        other, order = shuffled(graph, seed)
        after = cluster_graph(*other, **settings)
        assert same(after.labels, before.labels[order])
        np.testing.assert_array_equal(after.probabilities, before.probabilities[order])
