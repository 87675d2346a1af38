"""Two thousand real headlines: the clusters of the prototype's greedy merges, at every threshold."""

import sys
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from sklearn.metrics import adjusted_rand_score

from job.backends.graph_hdbscan import cluster_graph
from job.backends.knn.brute_force import nearest
from job.backends.knn.distances import pair_distances, sort_rows
from job.backends.stories.linkage import average_linkage, cut

SHARED = ROOT.parent / "shared"
DATA, PROTOTYPE = SHARED / "data" / "uci_dev.parquet", SHARED / "prototypes" / "story_merge.py"
ROWS, K = 2_000, 15


@pytest.fixture(scope="module")
def prototype() -> ModuleType:
    if not (DATA.is_file() and PROTOTYPE.is_file()):
        pytest.skip(f"the real headlines or the prototype do not exist: {DATA}, {PROTOTYPE}")
    pytest.importorskip("pandas")
    sys.path.insert(0, str(PROTOTYPE.parent))
    import story_merge

    return story_merge  # type: ignore[no-any-return]


def test_the_prototypes_greedy_merges_give_the_same_clusters(prototype: ModuleType) -> None:
    titles = list(dict.fromkeys(pq.read_table(DATA, columns=["title"])["title"].to_pylist()))[:ROWS]
    vectors = np.ascontiguousarray(prototype.words(titles, width=256), np.float32)
    rows = np.arange(ROWS)
    found = nearest(vectors, rows, K)
    indices, distances = sort_rows(found, pair_distances(vectors, rows, found), K)
    fine = cluster_graph(indices, distances, min_samples=2, min_cluster_size=2, components="apart").labels
    lone = fine < 0
    initial = fine.copy()
    initial[lone] = fine.max() + 1 + np.arange(lone.sum())
    tree = average_linkage(vectors, initial, indices)
    assert len(tree.merges) > ROWS // 4
    for above in (0.3, 0.2, 0.1):
        theirs = prototype.merge(vectors, indices, fine, above)
        assert adjusted_rand_score(theirs, cut(tree, above)) > 0.9999
