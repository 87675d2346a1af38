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


def test_every_path_is_relative_to_where_the_user_is(tmp_path: Path) -> None:
    """With stand-ins for setup.sh and Python: what the job is called with."""
    scripts = tmp_path / "repository" / "scripts"
    python = tmp_path / "repository" / ".venv" / "bin" / "python"
    for folder in (scripts, python.parent, tmp_path / "here" / "model"):
        folder.mkdir(parents=True)
    (scripts / "demo.sh").write_text((ROOT / "scripts" / "demo.sh").read_text())
    (scripts / "setup.sh").write_text("")
    python.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    (tmp_path / "here" / "my.csv").touch()
    words = ["my.csv", "store.uri=day.db", "embed.model=model", "cluster.previous=monday", "run_dir=out", "seed=1"]
    same = ["store.uri=http://m:19530", "store.uri=null", "embed.model=minilm", "run_dir=~/x", "run_dir=/abs"]
    command = ["bash", str(scripts / "demo.sh"), *words, *same]
    done = subprocess.run(command, cwd=tmp_path / "here", capture_output=True, text=True)
    here = f"{tmp_path}/here"
    expected = [f"store.uri={here}/day.db", f"embed.model={here}/model", f"cluster.previous={here}/monday"]
    expected += [f"run_dir={here}/out", "seed=1", *same, f"input.path={here}/my.csv"]
    assert done.stdout.splitlines()[4:] == expected, done.stderr
