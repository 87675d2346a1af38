"""The report's page: what it calls the input."""

from pathlib import Path
from typing import Any

import pytest
from jobs import job_of

from job.stages.report_page import page_title


@pytest.mark.parametrize(
    ("files", "sections", "title"),
    [
        (["/data/news.csv"], {"report": {"title": "My week"}}, "My week"),
        (["/data/news.csv"], {}, "Headlines in news.csv"),
        (["/data/a\nb.csv"], {}, "Headlines in a\\nb.csv"),
        (["/data/a.csv", "/data/b.csv"], {}, "Headlines in 2 files"),
        ([], {"store": {"collection": "world"}}, "Headlines in the collection world"),
        (["/data/news.csv"], {"store": {"scope": "collection"}}, "Headlines in the collection news_data"),
    ],
)
def test_a_page_without_a_title_is_named_after_its_headlines(
    tmp_path: Path, files: list[str], sections: dict[str, Any], title: str
) -> None:
    job = job_of(tmp_path / "run", **sections)
    job.run.finish("ingest", "", "", [], 0.0, {"files": files} if files else {})
    assert page_title(job) == title
