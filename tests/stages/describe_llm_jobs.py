"""Jobs whose stories a language model names: made, described, and the names read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobs import headlines_of, job_of, stats_of
from llm_server import LlmServer

from job.context import Job
from job.data import Clusters, Embeddings
from job.stages.describe import DescribeStage
from job.stages.describe_llm import LlmNames, llm_names
from job.topics import Themes, load_topics

SUBJECTS = ("ferry", "tiara", "dam", "vaccine", "chip", "rocket")
SIZE = 4


def titles_of(subject: str) -> list[str]:
    ends = ("report of the day", "crews wait", "strike is near", "day of the crews")
    return [f"The {subject} {end}" for end in ends]


def job_with(folder: Path, server: LlmServer, stories: int = 6, **settings: Any) -> Job:
    """Stories of four headlines each, the first half in theme 0, the others in theme 1."""
    names = [SUBJECTS[story % 6] + ("" if story < 6 else f"{story}") for story in range(stories)]
    texts = [title for name in names for title in titles_of(name)]
    labels = np.repeat(np.arange(stories, dtype=np.int32), SIZE)
    n = len(texts)
    vectors = np.eye(n, dtype=np.float32)
    llm = {"endpoint": server.endpoint, "model": "model-1", "timeout": 5, "parallel": 1, **settings}
    sections: dict[str, Any] = {"cluster": {"recipe": "stories"}, "describe": {"llm": llm}}
    job = job_of(folder, headlines_of(range(n), texts), Embeddings(np.arange(n), vectors), key="k", **sections)
    for stage in ("cluster", "merge", "stories", "themes"):
        if job.run.marker(stage) is None:
            job.run.finish(stage, "k", "k", [], 0.0, {})
    zeros = np.zeros(n, np.float32)
    job.clusters = Clusters(labels, zeros, np.zeros(stories, np.float32), labels, zeros)
    of_cluster = (np.arange(stories) >= stories / 2).astype(np.int32)
    job.themes = Themes(of_cluster[labels], of_cluster[labels], of_cluster, of_cluster, np.arange(2, dtype=np.int32))
    return job


def described(job: Job) -> dict[str, Any]:
    """The stage's result after it ran and its marker was written."""
    stage = DescribeStage()
    result = stage.run(job)
    stats = stats_of(result)
    job.run.finish(stage.name, stage.digest(job), result.output or "", stage.files(job), 0.0, dict(result.stats))
    return stats


def names(job: Job) -> list[str]:
    return [topic.name for topic in load_topics(job.run.file("topics.parquet"))]


def strike(titles: list[str]) -> str:
    """A name that may stand."""
    subject = titles[0].split()[1]
    return f"{subject.capitalize()} crews of the day"


def names_after(job: Job) -> list[str]:
    described(job)
    return names(job)


def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(*values: Any) -> LlmNames:
        return llm_names(*values, pause=0.0)

    monkeypatch.setattr("job.stages.describe.llm_names", at_once)
