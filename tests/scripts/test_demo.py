"""`demo.sh` with a user's own files, from another folder."""

import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, SAMPLE, clean_environment, read_csv, write_csv


@pytest.mark.slow
def test_several_files_and_the_run_folder_are_where_the_user_is(tmp_path: Path) -> None:
    rows = read_csv(SAMPLE)
    write_csv(tmp_path / "a, [b].csv", rows[:150])
    write_csv(tmp_path / "c=d.csv", rows[150:300])
    words = ["a, [b].csv", "c=d.csv", "run_dir=out", "cluster.smallest_story=4", "--force"]
    command = ["bash", ROOT / "scripts" / "demo.sh", *words]
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    answer = read_csv(tmp_path / "out" / "headlines_clustered.csv")
    assert [row["title"] for row in answer] == [row["title"] for row in rows[:300]]
