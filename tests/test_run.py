"""`run`: what a user reads first and last."""

from pathlib import Path

import pytest
from conftest import DEMO, SAMPLE, Run


@pytest.mark.slow
def test_a_run_without_most_of_its_rows_says_so_last(job: Run, tmp_path: Path) -> None:
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()[:101]
    (tmp_path / "news.csv").write_text("\n".join([*lines, *["one field"] * 150]), encoding="utf-8")
    words = ("run", DEMO, f"input.path={tmp_path}/news.csv", f"run_dir={tmp_path}/run", "neighbors.backend=exact")
    for _ in range(2):
        done = job(*words)
        assert done.returncode == 0, done.stderr
        last = done.stderr.splitlines()[-1].partition(" ")[2]
        assert last == (
            f"WARNING run: MOST ROWS ARE MISSING: 150 of 250 could not be used: see {tmp_path}/run/rejects.csv"
        )


def test_settings_are_not_required(job: Run) -> None:
    done = job("run")
    assert done.returncode == 2
    assert done.stderr.endswith("the following arguments are required: config\n")
