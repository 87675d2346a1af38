"""A command that is refused or killed leaves a finished run's answer as it was, with the settings that made it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DEMO, ROOT, Run, clean_environment

# ends as by `kill -9`, before the marker named first is removed
_KILLED = """
import os, signal, sys
from job.cli import main

def watch(event, words):
    if event == "os.remove" and str(words[0]).endswith(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
sys.exit(main(sys.argv[2:]))
"""


def state(folder: Path) -> dict[str, bytes]:
    """The settings, and the markers of the stages."""
    return {path.name: path.read_bytes() for path in [folder / "config.json", *(folder / "markers").iterdir()]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "embed.sparse=true"), "'minilm' gives no lexical weights"),
        (("stage", "embed", "embed.sparse=true"), "'minilm' gives no lexical weights"),
        (("stage", "store", "store.index=GPU_CAGRA"), "Milvus Lite builds only"),
    ],
)
def test_a_refused_run_takes_no_answer_away(job_here: Run, copy: Path, words: tuple[str, ...], said: str) -> None:
    before = state(copy)
    *command, setting = words
    refused = job_here(*command, DEMO, f"run_dir={copy}", setting)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert state(copy) == before


def test_a_recut_that_is_killed_before_it_changes_the_answer_leaves_its_settings(copy: Path) -> None:
    before = state(copy)
    words = ["markers/stories.json", "recut", copy, "smallest_story=6"]
    killed = subprocess.run([sys.executable, "-c", _KILLED, *words], cwd=ROOT, env=clean_environment(), check=False)
    assert killed.returncode == -signal.SIGKILL
    assert state(copy) == before
