"""The report's page: what it calls the input."""

from pathlib import Path
from typing import Any

import pytest
from jobs import headlines_of, job_of

from job.stages.report_page import page_title


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


def test_the_titles_that_pages_and_names_are_made_of_have_no_markup(tmp_path: Path) -> None:
    headlines = headlines_of([1, 2], ["O&#039;Neal in <i>Blue Chips</i>", "AT&T & R&amp;B"])
    assert job_of(tmp_path / "run", headlines).titles == ["O'Neal in Blue Chips", "AT&T & R&B"]
