"""The stages merge and stories on headlines made here: merged, cut, left alone, the same whatever the order."""

import base64
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from jobs import headlines_of, job_of, stats_of

from job.backends.knn.brute_force import nearest
from job.backends.knn.distances import pair_distances, sort_rows
from job.context import Job
from job.data import Clusters, Embeddings, Headlines, KnnGraph
from job.runtime.files import write_sealed
from job.runtime.rundir import RunDir
from job.stages.cluster import ClusterStage
from job.stages.describe import DescribeStage
from job.stages.merge import MergeStage, background
from job.stages.stories import StoriesStage, merge_level
from job.stages.themes import ThemesStage

WORDS = (
    *("ferry strike", "tiara theft", "dam breach", "vaccine trial", "chip factory", "rocket launch"),
    *("canal opening", "museum fire", "harvest prices", "orchestra tour", "tunnel delay", "glacier survey"),
)


def made(sizes: list[int], spread: float = 0.25, angle: float = 0.3) -> tuple[list[str], np.ndarray]:
    """Stories of these sizes: texts that share two words, vectors around a center; each told in two clusters."""
    rng = np.random.default_rng(1)
    texts, vectors = [], []
    for story, size in enumerate(sizes):
        center, apart = rng.normal(size=32), angle * rng.normal(size=32)
        for row in range(size):
            half = center + (row % 2) * apart
            texts.append(f"{WORDS[story]} report {story} number {row}")
            vectors.append(half + spread * rng.normal(size=32))
    found = np.array(vectors) + 1.0
    return texts, (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def clustered(
    folder: Path,
    texts: list[str],
    vectors: np.ndarray,
    stories: dict[str, Any] | None = None,
    headlines: Headlines | None = None,
    fingerprint: np.ndarray | None = None,
    **settings: Any,
) -> tuple[Job, dict[str, Any]]:
    n = len(texts)
    headlines = headlines or headlines_of(range(n), texts)
    sections = {"cluster": {"recipe": "stories", "k": 5, **settings}, "stories": stories or {}}
    job = job_of(folder, headlines, Embeddings(np.arange(n), vectors), key="k", **sections)
    rows = np.arange(n)
    indices = nearest(vectors, rows, 12)
    if fingerprint is not None:
        encoded = base64.b64encode(fingerprint.astype("<f4").tobytes()).decode()
        write_sealed(
            folder / "embed_fingerprint.json", {"tokens": [[0]] * len(fingerprint), "vectors_float32": encoded}
        )
        job.run.finish("embed", "k", "k", [], 0.0, {"dimensions": fingerprint.shape[1]})
    job.graph = KnnGraph(*sort_rows(indices, pair_distances(vectors, rows, indices), 12), 12)
    for stage in (ClusterStage(), MergeStage(), StoriesStage()):
        if not stage.applies(job.config):
            continue
        result = stage.run(job)
        job.run.finish(stage.name, stage.digest(job), result.output or "", stage.files(job), 0.0, {})
    return job, stats_of(result)


def test_clusters_of_one_story_are_merged_and_numbered_by_size(tmp_path: Path) -> None:
    sizes = [30, 20, 12, 8]
    job, stats = clustered(tmp_path / "run", *made(sizes))
    assert (stats["clusters"], stats["largest"]) == (4, 30)
    assert job.clusters.labels.tolist() == np.repeat(range(4), sizes).tolist()
    assert job.clusters.count == 4
    own = Clusters.load(job.run.file("clusters.parquet"), job.run.file("tree.npz"))
    assert len(own.labels) == 70, "HDBSCAN's own clusters stay beside the stories"
    assert ((job.clusters.probabilities >= 0) & (job.clusters.probabilities <= 1)).all()


def test_a_few_headlines_about_one_event_are_one_story(tmp_path: Path) -> None:
    texts, vectors = made([6], angle=0.0)
    job, _ = clustered(tmp_path / "unknown", texts, vectors)
    assert (job.clusters.labels < 0).any()
    other_texts = np.random.default_rng(2).normal(size=(5, 32))
    job, _ = clustered(tmp_path / "known", texts, vectors, fingerprint=other_texts)
    assert job.clusters.labels.tolist() == [0] * 6
    assert MergeStage().up_to_date(job) is not None
    # of another model's vectors it says nothing; the tree is of the fingerprint that it was made with
    job.run.finish("embed", "k", "k", [], 0.0, {"dimensions": 64})
    assert background(job) is None
    assert MergeStage().up_to_date(job) is None


def test_without_merging_there_is_no_level(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert merge_level(run, 0.3) == 0.3
    with pytest.raises(ValueError, match="nothing is merged"):
        merge_level(run, None)


def test_a_story_has_the_smallest_size_or_is_noise(tmp_path: Path) -> None:
    texts, vectors = made([20, 12, 11, 10, 9, 2])
    job, _ = clustered(tmp_path / "run", texts, vectors)
    assert job.clusters.labels[-2:].tolist() == [5, 5]
    job, _ = clustered(tmp_path / "three", texts, vectors, smallest_story=3)
    assert job.clusters.labels[-2:].tolist() == [-1, -1]
    assert job.clusters.probabilities[-2:].tolist() == [0, 0]


def test_a_higher_limit_only_splits(tmp_path: Path) -> None:
    texts, vectors = made([30, 20, 12, 8], spread=0.5)
    labels = [
        clustered(tmp_path / str(limit), texts, vectors, merge_above=limit, smallest_story=2)[0].clusters.labels
        for limit in (0.05, 0.2, 0.4)
    ]
    for coarse, fine in itertools.pairwise(labels):
        for story in range(fine.max() + 1):
            assert len(set(coarse[fine == story])) == 1


def test_one_large_story_and_none_at_all_are_warned_of_and_hdbscans_clusters_are_not(tmp_path: Path) -> None:
    texts, vectors = made([30, 5])
    job, stats = clustered(tmp_path / "one", texts, vectors, merge_above=0.05)
    assert stats["warnings"][0].startswith(
        f"one story holds {stats['largest']} of 35 headlines: `recut` with merge_above="
    )
    _, stats = clustered(tmp_path / "none", texts, vectors, merge_above=0.99)
    assert stats["warnings"][0].startswith("all 35 headlines are in no story: `recut` with merge_above=auto")
    assert job.run.stats("cluster").get("warnings", []) == []
    _, stats = clustered(tmp_path / "some", *made([12, 12, 12]), merge_above=0.2)
    assert stats["warnings"] == []


def test_the_order_of_the_rows_changes_no_story(tmp_path: Path) -> None:
    texts, vectors = made([30, 20, 12, 8], spread=0.5)
    straight = clustered(tmp_path / "straight", texts, vectors)[0].clusters.labels
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(texts))
        mixed, _ = clustered(tmp_path / str(seed), [texts[i] for i in order], vectors[order])
        pairs = set(zip(straight[order].tolist(), mixed.clusters.labels.tolist(), strict=True))
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_without_merging_the_clusters_are_the_answer(tmp_path: Path) -> None:
    job, _ = clustered(tmp_path / "run", *made([20, 12]), merge_above=None)
    assert job.clusters_output == job.output("cluster")
    assert not job.run.file("stories.parquet").exists()
    own = Clusters.load(job.run.file("clusters.parquet"), job.run.file("tree.npz"))
    assert job.clusters.labels.tolist() == own.labels.tolist()


def test_times_part_what_words_and_vectors_hold_together(tmp_path: Path) -> None:
    """Three events that happen again, three months later: without times, each is one story with its repetition."""
    sizes = [24, 20, 16]
    # headlines of an event differ by more than versions of one
    texts, vectors = made(sizes, angle=0.0, spread=0.5)
    again = np.arange(sum(sizes)) % 2
    job, stats = clustered(tmp_path / "plain", texts, vectors)
    assert stats["clusters"] == 3
    headlines = headlines_of(range(len(texts)), texts)
    table = headlines.table
    column = pa.array(1.7e9 + again * 2000 * 3600.0)
    headlines = Headlines(table.set_column(table.column_names.index("time"), "time", column))
    job, stats = clustered(tmp_path / "timed", texts, vectors, headlines=headlines)
    assert stats["clusters"] == 6
    stories = job.clusters.labels
    assert (stories < 0).sum() <= 2
    assert len({pair for pair in zip(stories.tolist(), again.tolist(), strict=True) if pair[0] >= 0}) == 6


def test_every_headline_of_a_story_has_its_theme_and_names_say_what_it_holds(tmp_path: Path) -> None:
    job, _ = clustered(tmp_path / "run", *made([30, 20, 12, 8]), stories={"themes": 2, "topics": 3})
    for stage in (ThemesStage(), DescribeStage()):
        result = stage.run(job)
        assert result is not None
        job.run.finish(stage.name, stage.digest(job), result.output or "", stage.files(job), 0.0, {})
    themes = job.themes
    assert themes is not None
    assert themes.counts == (2, 3)
    np.testing.assert_array_equal(themes.cluster_themes[job.clusters.labels], themes.themes)
    np.testing.assert_array_equal(themes.parents[themes.topics], themes.themes)
    names = job.theme_names
    assert [(row.level, row.number) for row in names] == [("theme", 0), ("theme", 1), *(("topic", i) for i in range(3))]
    assert sum(row.size for row in names if row.level == "topic") == 70
    assert sum(row.clusters for row in names if row.level == "theme") == 4
    first = themes.themes == 0
    words = {word for text in np.array(job.headlines.column("title"))[first] for word in text.split()}
    assert set(names[0].keywords) <= words


def test_a_number_of_topics_below_the_default_number_of_themes_counts(tmp_path: Path) -> None:
    job, _ = clustered(tmp_path / "run", *made([10] * 12), stories={"topics": 2})
    assert job.clusters.count == 12, "by default 3 themes of 6 topics"
    ThemesStage().run(job)
    assert job.themes is not None
    assert job.themes.counts == (2, 2)
