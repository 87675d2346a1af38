"""`recut` of stories, as a user has it: the command line, the sample."""

import json
from pathlib import Path

import pytest
from conftest import Run, read_csv

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
