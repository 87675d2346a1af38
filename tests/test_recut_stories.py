"""`recut` of stories, as a user has it: the command line, the sample."""

import json
from collections import Counter
from pathlib import Path

import pytest
from conftest import DEMO, SAMPLE, Run, read_csv

from job.commands.recut import recut
from job.runtime.errors import BadInput
from job.stages.merge import MergeStage

SAME = ("headlines_clustered.csv", "headlines_clustered.parquet", "topics.csv", "themes.csv", "map.html")


def test_a_higher_limit_makes_smaller_stories_and_auto_is_the_run_again(job_here: Run, demo: Path, copy: Path) -> None:
    done = job_here("recut", copy, "merge_above=0.4")
    assert done.returncode == 0, done.stderr
    finer = json.loads((copy / "run.json").read_text())
    assert finer["this_run"]["stages"] == ["stories", "themes", "describe", "report"]
    assert (
        finer["stages"]["stories"]["largest"]
        < json.loads((demo / "run.json").read_text())["stages"]["stories"]["largest"]
    )
    back = job_here("recut", copy, "cluster.merge_above=auto")
    assert back.returncode == 0, back.stderr
    for name in SAME:
        assert (copy / name).read_bytes() == (demo / name).read_bytes(), name


def test_several_limits_are_a_table(job_here: Run, demo: Path) -> None:
    said = job_here("recut", demo, "merge_above=auto,0.1,0.5")
    assert said.returncode == 0, said.stderr
    found = {line.split()[0]: line.split()[1:] for line in said.stdout.splitlines()[1:]}
    stories = len(read_csv(demo / "topics.csv")) - 1
    assert int(found["cluster.merge_above=auto"][0]) == stories
    assert int(found["cluster.merge_above=0.1"][2]) >= int(found["cluster.merge_above=0.5"][2])


@pytest.mark.parametrize("words", ["null,0.3", "0.3,null"])
def test_null_among_several_limits_is_hdbscans_own_answer(job_here: Run, demo: Path, copy: Path, words: str) -> None:
    said = job_here("recut", demo, f"merge_above={words}")
    assert said.returncode == 0, said.stderr
    found = {line.split()[0].partition("=")[2]: line.split()[1:] for line in said.stdout.splitlines()[1:]}
    assert found["0.3"] == job_here("recut", demo, "merge_above=0.3,0.4").stdout.splitlines()[1].split()[1:]
    assert job_here("recut", copy, "merge_above=null").returncode == 0
    clusters = [
        row["cluster"] for row in {row["id"]: row for row in read_csv(copy / "headlines_clustered.csv")}.values()
    ]
    sizes = Counter(cluster for cluster in clusters if cluster != "-1")
    noise = 1 - sizes.total() / len(clusters)
    assert found["null"] == [str(len(sizes)), f"{noise:.1%}", str(max(sizes.values()))]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("min_cluster_size=8", "stories are not HDBSCAN's clusters; recut them with merge_above, smallest_story"),
        ("merge_above=often", "cluster.merge_above"),
        ("merge_above=2", "cluster.merge_above"),
        ("smallest_story=1", "cluster.smallest_story"),
    ],
)
def test_what_does_not_cut_stories_is_refused(job_here: Run, demo: Path, word: str, said: str) -> None:
    refused = job_here("recut", demo, word)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


def test_merges_are_given_up_and_the_clusters_cut_in_one_command(job_here: Run, copy: Path) -> None:
    for words in (["merge_above=null", "min_cluster_size=4,6"], ["merge_above=null", "min_cluster_size=4"]):
        done = job_here("recut", copy, *words)
        assert done.returncode == 0, done.stderr
    clusters = json.loads((copy / "run.json").read_text())["clusters"]
    assert clusters == len(read_csv(copy / "topics.csv")) - 1
    refused = job_here("recut", copy, "merge_above=auto", "min_cluster_size=6")
    assert refused.returncode == 2
    assert "stories are not HDBSCAN's clusters" in refused.stderr


def test_a_graph_of_other_headlines_is_not_cut(job_here: Run, copy: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.csv"
    changed.write_text(SAMPLE.read_text("utf-8").replace("Ferry crews", "Ferry crew", 1), "utf-8")
    done = job_here("stage", "ingest", DEMO, f"input.path={changed}", f"run_dir={copy}")
    assert done.returncode == 0, done.stderr
    for words in (["merge_above=0.4"], ["merge_above=auto,0.4"]):
        refused = job_here("recut", copy, *words)
        assert refused.returncode == 2
        assert "its graph is of other headlines or vectors: `run` it to the end first" in refused.stderr


def test_a_tree_of_an_older_version_is_named_so(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MergeStage, "version", MergeStage.version + 1)
    with pytest.raises(BadInput, match="stage merge was done by an older version"):
        list(recut(demo, ["merge_above=auto,0.4"]))


def test_the_settings_of_a_run_that_is_refused_are_not_those_of_the_answer(job_here: Run, copy: Path) -> None:
    before = [(copy / name).read_bytes() for name in ("config.json", "run.json", "run_folder.json")]
    refused = job_here("run", DEMO, "input.path=typo.csv", "cluster.recipe=null", f"run_dir={copy}")
    assert refused.returncode == 2
    assert [(copy / name).read_bytes() for name in ("config.json", "run.json", "run_folder.json")] == before
    done = job_here("stage", "ingest", DEMO, "cluster.recipe=null", f"run_dir={copy}")
    assert "ingest: up to date" in done.stderr
    assert (copy / "config.json").read_bytes() == before[0], "no other stage has these settings"
    # what changes no stage of a whole run is saved too
    done = job_here("run", DEMO, "neighbors.parallel=3", f"run_dir={copy}")
    assert done.returncode == 0, done.stderr
    assert "neighbors.parallel: 2 -> 3" in done.stderr
    for name in ("config.json", "run.json"):
        found = json.loads((copy / name).read_text())
        assert found.get("config", found)["neighbors"]["parallel"] == 3


def test_noise_that_is_assigned_to_a_story_has_the_storys_theme_and_topic(job_here: Run, copy: Path) -> None:
    done = job_here("recut", copy, "smallest_story=8", "noise=nearest", "noise_distance=1.2")
    assert done.returncode == 0, done.stderr
    of_story = {row["cluster"]: (row["theme"], row["topic"]) for row in read_csv(copy / "topics.csv")}
    answer = read_csv(copy / "headlines_clustered.csv")
    assert sum(row["cluster"] == "-1" != row["assigned"] for row in answer) > 20
    inside = [row for row in answer if row["assigned"] != "-1"]
    assert [(row["theme"], row["topic"]) for row in inside] == [of_story[row["assigned"]] for row in inside]
    assert any(row["theme"] != "-1" for row in answer if row["assigned"] == "-1")
