"""The cluster stage on graphs made here: its warnings, its tree's file, its record; and what recipes set."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exact_graphs import graph_of
from jobs import headlines_of, job_of, stats_of
from pydantic import ValidationError

from job.config import RECIPES, Cluster
from job.data import Clusters, Embeddings
from job.runtime.device import Choice
from job.runtime.rundir import RunDir
from job.stages.cluster import TREE_FILE, ClusterStage, load_linkage


def points(sizes: list[int], spread: float = 0.05, seed: int = 0) -> np.ndarray:
    """Groups far apart, one of each size."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(len(sizes), 8)) * 5
    return (np.repeat(centers, sizes, axis=0) + rng.normal(size=(sum(sizes), 8)) * spread).astype(np.float32)


def run_stage(folder: Path, vectors: np.ndarray, k: int, key: str = "key", **settings: Any) -> dict[str, Any]:
    """The stage on the graph of the `k` nearest; vectors are there only where they are asked to be clustered."""
    texts = [f"t{row}" for row in range(len(vectors))]
    has_vectors = settings.get("input") == "vectors" and not settings.pop("vectors_gone", False)
    settings = {"min_samples": 2, "min_cluster_size": 5, **settings}
    job = job_of(folder, headlines_of(range(len(vectors)), texts), key=key, neighbors={"k": 100}, cluster=settings)
    job.run.finish("neighbors", key, key, [], 0.0, {})
    job.graph = graph_of(vectors, k)
    if has_vectors:
        job.embeddings = Embeddings(np.arange(len(vectors)), vectors)
    return stats_of(ClusterStage().run(job))


def labels_in(folder: Path) -> np.ndarray:
    return Clusters.load(folder / "clusters.parquet", folder / "tree.npz").labels


def test_groups_are_found_recorded_and_not_warned_of(tmp_path: Path) -> None:
    stats = run_stage(tmp_path, points([30, 20, 10]), 8)
    assert (stats["clusters"], stats["largest"], stats["rows"], stats["warnings"]) == (3, 30, 60, [])
    assert (stats["implementation"], stats["noise_share"]) == ("graph_hdbscan", 0)
    assert np.bincount(labels_in(tmp_path)).tolist() == [30, 20, 10]


def test_all_noise_is_warned_of_with_what_to_lower(tmp_path: Path) -> None:
    stats = run_stage(tmp_path, points([30]), 8, min_cluster_size=1_000)
    expected = "all 30 headlines are noise: lower cluster.min_cluster_size or cluster.min_samples"
    assert stats["warnings"] == [expected]


def test_a_collapse_of_a_graph_in_one_piece_is_warned_of_with_the_recipe(tmp_path: Path) -> None:
    stats = run_stage(tmp_path, points([60, 10]), 65)
    assert stats["warnings"] == ["one cluster holds 60 of 70 headlines: for broad topics try cluster.recipe=topics"]


def test_a_collapse_of_a_graph_in_pieces_is_warned_of_with_a_larger_k(tmp_path: Path) -> None:
    stats = run_stage(tmp_path, points([60, 10]), 6)
    assert stats["warnings"] == [
        "one cluster holds 60 of 70 headlines: the graph has 2 connected components, try a larger neighbors.k; "
        "for broad topics try cluster.recipe=topics"
    ]


def test_half_of_the_headlines_and_a_handful_are_no_collapse(tmp_path: Path) -> None:
    assert run_stage(tmp_path / "a", points([20, 10, 10]), 8)["warnings"] == []
    assert run_stage(tmp_path / "b", points([12, 7]), 6)["warnings"] == []


# ---- the tree's file


def test_the_tree_is_kept_under_its_key(tmp_path: Path) -> None:
    vectors = points([30, 20, 10])
    first = run_stage(tmp_path, vectors, 8)
    again = run_stage(tmp_path, vectors, 8, min_cluster_size=15)
    other = run_stage(tmp_path, vectors, 8, key="another")
    assert [stats["tree_reused"] for stats in (first, again, other)] == [False, True, False]
    assert again["clusters"] == 2
    kept = np.load(tmp_path / TREE_FILE)
    assert load_linkage(RunDir(tmp_path), "key") is None
    tree, implementation = load_linkage(RunDir(tmp_path), str(kept["key"])) or (None, "")
    assert tree is not None
    assert implementation == "graph_hdbscan"
    assert (tree.n, tree.merges.shape, tree.mode) == (60, (59, 4), "canonical")


def test_a_tree_of_an_earlier_version_of_the_stage_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ClusterStage, "version", ClusterStage.version - 1)
        run_stage(tmp_path, points([30, 20, 10]), 8)
    assert not run_stage(tmp_path, points([30, 20, 10]), 8)["tree_reused"]


def test_a_cut_of_the_kept_tree_is_that_of_a_new_one(tmp_path: Path) -> None:
    vectors = points([30, 20, 10], spread=1.5)
    run_stage(tmp_path / "a", vectors, 8)
    kept = run_stage(tmp_path / "a", vectors, 8, selection="leaf", min_cluster_size=3)
    new = run_stage(tmp_path / "b", vectors, 8, selection="leaf", min_cluster_size=3)
    assert kept["output"] == new["output"]
    np.testing.assert_array_equal(labels_in(tmp_path / "a"), labels_in(tmp_path / "b"))


@pytest.mark.parametrize("damage", [b"", b"no archive", None])
def test_a_damaged_tree_is_made_anew(tmp_path: Path, damage: bytes | None) -> None:
    vectors = points([30, 20, 10])
    run_stage(tmp_path, vectors, 8)
    file = tmp_path / TREE_FILE
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    stats = run_stage(tmp_path, vectors, 8)
    assert (stats["tree_reused"], stats["clusters"]) == (False, 3)


def test_the_tutorials_tree_stays_the_tutorials(tmp_path: Path) -> None:
    vectors = points([30, 20, 10], spread=1.5)
    run_stage(tmp_path, vectors, 8, mode="tutorial")
    assert bool(np.load(tmp_path / TREE_FILE)["tutorial"])
    reused = run_stage(tmp_path, vectors, 8, mode="tutorial", epsilon=0.5)
    fresh = run_stage(tmp_path / "fresh", vectors, 8, mode="tutorial", epsilon=0.5)
    assert reused["tree_reused"]
    assert reused["output"] == fresh["output"]


def test_vectors_are_clustered_and_cut_again_without_them(tmp_path: Path) -> None:
    vectors = points([30, 20, 10])
    stats = run_stage(tmp_path, vectors, 8, input="vectors")
    assert (stats["implementation"], stats["clusters"]) == ("hdbscan", 3)
    again = run_stage(tmp_path, vectors, 8, input="vectors", min_cluster_size=15, vectors_gone=True)
    assert (again["tree_reused"], again["clusters"]) == (True, 2)


def test_a_reused_tree_is_recorded_as_what_made_it(tmp_path: Path) -> None:
    """A tree that `hdbscan` made is not cuML's because the next run has a GPU."""
    run_stage(tmp_path, points([30, 20, 10]), 8, input="vectors")
    job = job_of(
        tmp_path, headlines_of(range(60), ["t"] * 60), key="key", cluster={"input": "vectors", "min_samples": 2}
    )
    job.run.finish("neighbors", "key", "key", [], 0.0, {})
    job.graph = graph_of(points([30, 20, 10]), 8)
    job.rapids = Choice("rapids", "a card, as far as this test goes")
    stats = stats_of(ClusterStage().run(job))
    assert (stats["tree_reused"], stats["implementation"]) == (True, "hdbscan")


def test_noise_given_away_changes_no_cluster(tmp_path: Path) -> None:
    vectors = points([60, 60, 60], spread=3.0)
    keep, nearest, near = (
        run_stage(tmp_path, vectors, 15, noise=noise, noise_distance=distance, min_cluster_size=10)
        for noise, distance in (("keep", 1.1), ("nearest", 100.0), ("nearest", 0.01))
    )
    assert keep["output"] == nearest["output"] == near["output"]
    assert "noise_share_before_nearest" not in keep
    assert nearest["noise_share_before_nearest"] == near["noise_share_before_nearest"] == keep["noise_share"]
    assert nearest["noise_share"] < near["noise_share"] == keep["noise_share"]


def test_joined_components_that_collapse_are_warned_of_with_the_setting(tmp_path: Path) -> None:
    (warning,) = run_stage(tmp_path, points([60, 10]), 6, components="joined")["warnings"]
    assert "try cluster.components=apart" in warning


# ---- recipes


def test_a_recipe_sets_what_is_not_set() -> None:
    for name, values in RECIPES.items():
        config = Cluster(recipe=name)  # type: ignore[arg-type]
        assert config.model_dump(include=set(values)) == values


def test_a_recipe_gives_way_to_what_is_set() -> None:
    config = Cluster(recipe="topics", min_cluster_size=7, reduce_to=None)
    assert (config.min_cluster_size, config.reduce_to) == (7, None)
    assert config.input == RECIPES["topics"]["input"]
    assert config.min_samples == RECIPES["topics"]["min_samples"]


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(ValidationError, match="'stories' or 'topics'"):
        Cluster(recipe="both")  # type: ignore[arg-type]
