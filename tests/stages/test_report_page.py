"""The report's page: what it calls the input, and what it says to try."""

import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DEMO, Run
from jobs import headlines_of, job_of

from job.commands.finished import open_finished
from job.config import load
from job.context import Job
from job.rows import Rows
from job.stages.report_page import _days_only, _facts, hints, page_title
from job.topics import TOPICS, TimeBins, Totals, save


@pytest.mark.parametrize(
    ("files", "sections", "title"),
    [
        (["/data/news.csv"], {"report": {"title": "My week"}}, "My week"),
        (["/data/news.csv"], {}, "Stories in news.csv"),
        (["/data/a\nb.csv"], {}, "Stories in a\\nb.csv"),
        (["/data/news.csv"], {"cluster": {"merge_above": None}}, "Clusters in news.csv"),
        (["/data/a.csv", "/data/b.csv"], {}, "Stories in 2 files"),
        ([], {"store": {"collection": "world"}}, "Stories in the collection world"),
        (["/data/news.csv"], {"store": {"scope": "collection"}}, "Stories in the collection news_data"),
    ],
)
def test_a_page_without_a_title_is_named_after_its_headlines(
    tmp_path: Path, files: list[str], sections: dict[str, Any], title: str
) -> None:
    job = job_of(tmp_path / "run", **{"cluster": {"recipe": "stories"}, **sections})
    job.run.finish("ingest", "", "", [], 0.0, {"files": files} if files else {})
    assert page_title(job) == title


@pytest.mark.parametrize("recipe", ["stories", "null"])
def test_each_hint_ends_with_what_can_be_pasted(job_here: Run, demo: Path, tmp_path: Path, recipe: str) -> None:
    folder = Path(shutil.copytree(demo, tmp_path / "my run"))
    words = [f"run_dir={folder}", f"cluster.recipe={recipe}", "cluster.smallest_story=3"]
    assert job_here("run", DEMO, *words).returncode == 0
    job, topics = Job(load(DEMO, words)), folder / "topics.parquet"
    seen = hints(job, {"ingest": {"time": "published"}})
    # as of a run whose clusters are too many and too large
    totals = Totals(rows=496, headlines=496, noise_rows=250, noise_headlines=250)
    large = [replace(topic, size=200) for topic in job.topics]
    bins = TimeBins.load(topics)
    save(large, TOPICS, topics, {"totals": totals, "time_bins": bins})
    seen += hints(Job(job.config), {"neighbors": {"recall": 0.5}})
    assert len(seen) == 6
    for hint in seen:
        said, is_command, command = hint.partition(": python -m job ")
        if is_command:
            done = job_here(*shlex.split(command))
            assert done.returncode == 0, (hint, done.stderr)
        else:
            setting = re.split(r"[ :]", said)[-1]
            assert load(DEMO, [setting.replace("COLUMN", "published")])


def test_rows_that_a_filter_left_out_are_counted(copy: Path) -> None:
    job = open_finished(copy)
    assert not [name for name, _ in _facts(job, 1) if "left out" in name]
    facts = {"totals": replace(job.totals, hidden_rows=1_007), "time_bins": job.time_bins}
    save(job.topics, TOPICS, copy / "topics.parquet", facts)
    assert ("Rows left out by store.filter", "1,007") in _facts(job, 1)


@pytest.mark.parametrize(
    ("times", "expected"),
    [([86_400.0, 0.0, np.nan], True), ([86_400.0, 3_600.0], False)],
)
def test_dates_without_a_time_of_day_are_shown_without_a_clock(
    tmp_path: Path, times: list[float], expected: bool
) -> None:
    job = job_of(tmp_path / "run", headlines_of([1], ["A"]))
    none = np.full(len(times), -1, np.int32)
    job.rows = Rows(np.zeros(len(times), np.int64), np.array(times), none, [])
    assert _days_only(job) is expected
