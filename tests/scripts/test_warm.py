"""`scripts/warm.py` compiles what a run uses, so that the first run does not wait for it."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DEMO, ROOT, clean_environment

SCRIPT = """
import sys
from numba.core.dispatcher import Dispatcher
sys.path.insert(0, "scripts")
import warm
from job.cli import main
def compiled():
    modules = [module for name, module in sys.modules.items() if name.startswith("job.")]
    kernels = {one for module in modules for one in vars(module).values() if isinstance(one, Dispatcher)}
    return {(kernel.__module__, kernel.__name__, str(kinds)) for kernel in kernels for kinds in kernel.signatures}
for part in warm.PARTS:
    part()
before = compiled()
assert main(sys.argv[1:]) == 0
print(len(before), *sorted(compiled() - before), sep="\\n")
"""


@pytest.mark.slow
def test_a_first_run_compiles_nothing(tmp_path: Path) -> None:
    words = ["run", str(DEMO), f"run_dir={tmp_path / 'run'}"]
    command = [sys.executable, "-c", SCRIPT, *words]
    done = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    count, *missing = done.stdout.splitlines()
    assert missing == []
    assert int(count) > 30
