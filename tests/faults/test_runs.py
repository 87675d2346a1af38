"""Whole runs that are killed, damaged, changed and given too little space: a sample of scripts/faults/run.py."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, clean_environment

# each n-th trial of a part
SAMPLE = {"kills": 100, "changes": 250, "random_stops": 80, "damage": 130, "settings": 25, "full": 160, "foreign": 12}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if shutil.which("cc") is None or sys.platform != "linux":
        pytest.skip("the shim needs Linux and a C compiler")
    words = [f"{part}/{every}" for part, every in SAMPLE.items()]
    script, base = Path(ROOT, "scripts", "faults", "run.py"), tmp_path_factory.mktemp("faults")
    done = subprocess.run(
        [sys.executable, script, *words, "--base", base, "--workers", "1"],
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    return {"said": done.stdout, **json.loads(lines[-1])}


@pytest.mark.parametrize("part", SAMPLE)
def test_the_same_command_gives_the_same_answer(part: str, counts: dict[str, Any]) -> None:
    assert counts[part]["trials"] >= 4
    assert counts[part]["failed"] == 0, counts["said"]
