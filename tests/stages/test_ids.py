"""Story ids from day to day, as a user has them: the command line and the sample's headlines in two days."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import DEMO, SAMPLE, Run, read_csv, write_csv

from job.backends.stories.story_state import StoryState, Today
from job.stages.ids import _warnings

# three whole runs
pytestmark = pytest.mark.slow
SETTINGS = (DEMO, "cluster.recipe=stories", "input.time=published", "neighbors.backend=exact", "project.n_neighbors=10")


@pytest.fixture(scope="module")
def days(job_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`mon`, a run without ids; `tue`, on half of its rows and others, after it; and their inputs."""
    folder = tmp_path_factory.mktemp("days")
    rows = sorted(read_csv(SAMPLE), key=lambda row: row["published"])
    write_csv(folder / "mon.csv", rows[:340])
    write_csv(folder / "tue.csv", rows[160:])
    for day, words in (("mon", ()), ("tue", (f"cluster.previous={folder / 'mon'}",))):
        done = job_here("run", *SETTINGS, f"input.path={folder / f'{day}.csv'}", f"run_dir={folder / day}", *words)
        assert done.returncode == 0, done.stderr
    return folder


def test_a_story_of_today_has_the_id_that_it_would_have_had_yesterday(days: Path) -> None:
    answer = read_csv(days / "tue" / "headlines_clustered.csv")
    assert {"story_id", "parent"} <= answer[0].keys()
    assert all((row["story_id"] == "-1") == (row["cluster"] == "-1") for row in answer)
    yesterday = {row["id"]: row for row in read_csv(days / "mon" / "headlines_clustered.csv")}
    assert "story_id" not in next(iter(yesterday.values()))
    # the id is that of a headline of yesterday which was in the very story that the story goes on with
    topics = read_csv(days / "tue" / "topics.csv")[:-1]
    kept = [topic for topic in topics if topic["story_id"] in yesterday]
    assert len(kept) > 15
    for topic in kept:
        told_before = yesterday[topic["story_id"]]["cluster"]
        members = [row for row in answer if row["story_id"] == topic["story_id"]]
        again = [yesterday[row["id"]]["cluster"] for row in members if row["id"] in yesterday]
        assert topic["parent"] != "-1" or again.count(told_before) >= len(again) / 2
        assert len({row["cluster"] for row in members}) == 1


def test_the_changes_say_what_was_born_and_what_is_the_same(days: Path) -> None:
    changes = read_csv(days / "tue" / "story_changes.csv")
    record = json.loads((days / "tue" / "run.json").read_text())["stages"]["ids"]
    topics = read_csv(days / "tue" / "topics.csv")[:-1]
    begun = [row for row in changes if row["change"] in ("born", "split")]
    assert record["kept"] + len(begun) == len(topics) == record["rows"]
    assert record["kept"] >= 0.85 * (record["kept"] + record["split"])
    by_id = {topic["story_id"]: topic for topic in topics}
    for row in begun:
        assert by_id[row["story_id"]]["cluster"] == row["cluster"]
        assert by_id[row["story_id"]]["headlines"] == row["headlines"]
        assert row["title"]


def test_the_same_again_is_up_to_date_and_another_cut_begins_with_yesterday_again(
    job_here: Run, days: Path, tmp_path: Path
) -> None:
    run = tmp_path / "tue"
    shutil.copytree(days / "tue", run)
    words = (*SETTINGS, f"input.path={days / 'tue.csv'}", f"run_dir={run}", f"cluster.previous={days / 'mon'}")
    assert "ids: up to date" in job_here("run", *words).stderr
    before = {
        name: (run / name).read_bytes() for name in ("headlines_clustered.csv", "story_changes.csv", "topics.csv")
    }
    assert job_here("recut", run, "merge_above=0.6").returncode == 0
    assert (run / "topics.csv").read_bytes() != before["topics.csv"]
    assert job_here("recut", run, "merge_above=auto").returncode == 0
    assert {name: (run / name).read_bytes() for name in before} == before


def test_a_run_keeps_its_yesterday_wherever_its_folder_and_that_of_yesterday_go(
    job_here: Run, days: Path, tmp_path: Path
) -> None:
    words = (*SETTINGS, f"input.path={days / 'tue.csv'}", f"cluster.previous={tmp_path / 'yesterday'}")
    shutil.copytree(days / "mon", tmp_path / "yesterday")
    done = job_here("run", *words, f"run_dir={tmp_path / 'today'}")
    assert done.returncode == 0, done.stderr
    before = (tmp_path / "today" / "topics.csv").read_bytes()
    assert before == (days / "tue" / "topics.csv").read_bytes()

    def recut_there_and_back(folder: Path) -> None:
        for level in ("0.6", "auto"):
            done = job_here("recut", folder, f"merge_above={level}")
            assert done.returncode == 0, done.stderr
        assert (folder / "topics.csv").read_bytes() == before

    # monday's folder is gone; tuesday's takes its place; then another day's does
    shutil.rmtree(tmp_path / "yesterday")
    recut_there_and_back(tmp_path / "today")
    (tmp_path / "today").rename(tmp_path / "yesterday")
    recut_there_and_back(tmp_path / "yesterday")
    (tmp_path / "yesterday").rename(tmp_path / "tuesday")
    shutil.copytree(days / "tue", tmp_path / "yesterday")
    recut_there_and_back(tmp_path / "tuesday")
    # as an older version left it
    (tmp_path / "tuesday" / "story_state_before.parquet").unlink()
    shutil.rmtree(tmp_path / "yesterday")
    files = [
        tmp_path / "tuesday" / name for name in ("config.json", "stories.parquet", "run.json", "markers/report.json")
    ]
    everything = [file.read_bytes() for file in files]
    refused = job_here("recut", tmp_path / "tuesday", "merge_above=0.6")
    assert refused.returncode == 2
    assert "cluster.previous = " in refused.stderr
    assert [file.read_bytes() for file in files] == everything


@pytest.mark.parametrize("damage", ["cut off", "changed", "deleted"])
def test_a_damaged_state_is_an_error_that_says_what_to_do(
    job_here: Run, days: Path, tmp_path: Path, damage: str
) -> None:
    run = Path(shutil.copytree(days / "tue", tmp_path / "tue"))
    state = run / "story_state.parquet"
    whole = state.read_bytes()
    if damage == "deleted":
        state.unlink()
    else:
        middle = len(whole) // 2
        state.write_bytes(
            whole[:middle] + (b"" if damage == "cut off" else bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        )
    words = (*SETTINGS, f"input.path={days / 'tue.csv'}")
    again = (*words, f"run_dir={run}", f"cluster.previous={days / 'mon'}")
    for refused in (
        job_here("run", *again),
        job_here("run", *words, f"run_dir={tmp_path / 'wed'}", f"cluster.previous={run}"),
    ):
        assert refused.returncode == 1
        assert f"'{state}' " in refused.stderr
        assert "Put a copy of it back, or delete it and '" in refused.stderr
        assert "Traceback" not in refused.stderr
    state.write_bytes(whole)
    assert job_here("run", *again).returncode == 0
    # as it says: without both, the same headlines begin with new ids
    state.unlink()
    (run / "markers" / "ids.json").unlink()
    assert job_here("run", *again).returncode == 0


def test_times_later_than_a_day_after_the_reading_do_not_count(days: Path) -> None:
    # the sample is of 2031
    state = StoryState.load(days / "tue" / "story_state.parquet")
    assert state is not None
    assert {story.seen for story in state.stories} == {None}
    warnings = json.loads((days / "tue" / "run.json").read_text())["warnings"]
    (said,) = [text for text in warnings if "future" in text]
    assert "headlines have times in column 'published' that lie in the future, from 2031-03-0" in said
    assert said.endswith("if their unit or century is wrong, set input.time_format or mend the column")
    # where no ids are kept, all times count
    warnings = json.loads((days / "mon" / "run.json").read_text())["warnings"]
    assert not [text for text in warnings if "future" in text]


def test_one_date_that_is_too_late_is_no_warning() -> None:
    times = np.append(np.full(99, 1e9), 5e9)
    today = Today(np.arange(100), [], times, np.zeros(100, np.int32), 1, "", 2e9)
    assert _warnings(today, "published") == []
    assert _warnings(replace(today, times=times[90:]), "published")[0].startswith("1 of 10 headlines have times")


def test_without_a_previous_run_there_are_no_ids_and_the_key_is_the_same(
    job_here: Run, days: Path, tmp_path: Path
) -> None:
    assert not (days / "mon" / "story_changes.csv").exists()
    assert not (days / "mon" / "markers" / "ids.json").exists()
    assert "ids" not in json.loads((days / "mon" / "run.json").read_text())["stages"]
    refused = job_here("stage", "ids", *SETTINGS, f"input.path={days / 'mon.csv'}", f"run_dir={tmp_path / 'run'}")
    assert refused.returncode == 2
    assert "it needs cluster.previous or store.scope = collection" in refused.stderr


def test_no_story_is_minus_one_so_that_ids_stay_integers_in_every_reader(days: Path) -> None:
    import pandas as pd

    answer = pd.read_parquet(days / "tue" / "headlines_clustered.parquet")
    as_csv = pd.read_csv(days / "tue" / "headlines_clustered.csv")
    topics, changes = (pd.read_csv(days / "tue" / name) for name in ("topics.csv", "story_changes.csv"))
    for column in (answer.story_id, answer.parent, as_csv.story_id, topics.story_id, topics.parent, changes.other):
        assert column.dtype == "int64"
        assert column.min() == -1
    assert ((answer.story_id == -1) == (answer.cluster == -1)).all()
    assert set(changes.story_id[changes.change == "born"]) <= set(answer.story_id) & set(topics.story_id)


def test_the_same_run_goes_on_where_yesterdays_folder_is_gone(job_here: Run, days: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(days / "tue", tmp_path / "tue"))
    yesterday = Path(shutil.copytree(days / "mon", tmp_path / "mon"))
    words = (*SETTINGS, f"input.path={days / 'tue.csv'}", f"run_dir={run}", f"cluster.previous={yesterday}")
    (run / "markers" / "ids.json").unlink()
    assert job_here("run", *words).returncode == 0
    expected = (run / "headlines_clustered.csv").read_bytes()
    shutil.rmtree(yesterday)
    (run / "markers" / "ids.json").unlink()
    again = job_here("run", *words)
    assert again.returncode == 0, again.stderr
    assert (run / "headlines_clustered.csv").read_bytes() == expected
    new = job_here("run", *words, f"run_dir={tmp_path / 'new'}")
    assert new.returncode == 2
    assert "is no run folder" in new.stderr


def test_the_same_headlines_with_other_times_are_of_the_same_day(job_here: Run, days: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(days / "tue", tmp_path / "tue"))
    words = (*SETTINGS, f"input.path={days / 'tue.csv'}", f"run_dir={run}", f"cluster.previous={run}")
    for setting in ("input.time=null", "input.time=published"):
        done = job_here("run", *words, setting)
        assert done.returncode == 0, done.stderr
        state = StoryState.load(run / "story_state.parquet")
        assert state is not None and state.run == 2
    assert (run / "story_changes.csv").read_bytes() == (days / "tue" / "story_changes.csv").read_bytes()


def test_changes_of_ids_are_not_left_beside_an_answer_without_ids(job_here: Run, days: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(days / "tue", tmp_path / "tue"))
    words = (*SETTINGS, f"input.path={days / 'tue.csv'}", f"run_dir={run}")
    changes = (run / "story_changes.csv").read_bytes()
    assert job_here("run", *words).returncode == 0
    assert not (run / "story_changes.csv").exists()
    assert job_here("run", *words, f"cluster.previous={days / 'mon'}").returncode == 0
    assert (run / "story_changes.csv").read_bytes() == changes


def test_a_previous_run_that_is_none_or_unfinished_is_refused(job_here: Run, days: Path, tmp_path: Path) -> None:
    words = (*SETTINGS, f"run_dir={tmp_path / 'run'}")
    refused = job_here("run", *words, f"cluster.previous={tmp_path}")
    assert refused.returncode == 2
    assert f"cluster.previous = '{tmp_path}' is no run folder" in refused.stderr
    shutil.copytree(days / "mon", tmp_path / "mon")
    (tmp_path / "mon" / "markers" / "report.json").unlink()
    refused = job_here("run", *words, f"cluster.previous={tmp_path / 'mon'}")
    assert refused.returncode == 2
    assert "that run is not finished" in refused.stderr
    assert not (tmp_path / "run" / "markers" / "ingest.json").exists()


@pytest.mark.slow
def test_a_living_collection_keeps_its_ids_in_its_own_run_folder(job_here: Run, days: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["configs/collection.yaml", f"store.uri={tmp_path / 'm.db'}", "embed.model=minilm", f"run_dir={run}"]
    words += ["cluster.recipe=stories", "project.n_neighbors=10"]

    def ids() -> dict[int, int]:
        return {row["id"]: row["story_id"] for row in pq.read_table(run / "headlines_clustered.parquet").to_pylist()}

    assert job_here("run", *words, f"input.path={days / 'mon.csv'}").returncode == 0
    monday = ids()
    assert {row["change"] for row in read_csv(run / "story_changes.csv")} == {"born"}
    done = job_here("run", *words, f"input.path={days / 'tue.csv'}")
    assert done.returncode == 0, done.stderr
    tuesday, changes = ids(), (run / "story_changes.csv").read_bytes()
    assert len(tuesday) > len(monday)
    both = [id for id in monday if monday[id] >= 0 and tuesday[id] >= 0]
    assert sum(monday[id] == tuesday[id] for id in both) > 0.85 * len(both)
    # killed between the state and its marker, or simply again: yesterday is still monday
    (run / "markers" / "ids.json").unlink()
    again = job_here("run", *words, f"input.path={days / 'tue.csv'}")
    assert again.returncode == 0, again.stderr
    assert ids() == tuesday
    assert (run / "story_changes.csv").read_bytes() == changes
