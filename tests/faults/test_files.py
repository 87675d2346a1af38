"""Files and shards of the run folder, with the process killed before each of its file operations, or a full disk."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from faults import shim

# for every file operation of `work`, in a fork each: make it go wrong, then say what is there
_TRIALS = """
import json, os, sys
from pathlib import Path
import numpy as np
from faults.shim import Fault, arm
from job.runtime.files import remove_leftovers, write_sealed, read_sealed
from job.runtime.journal import Journal
from job.runtime.shards import Shards

mode, folder = sys.argv[1], Path(sys.argv[2])
OLD, NEW = {"old": 1}, {"new": [2] * 100}
arrays = [np.arange(12, dtype=np.float32).reshape(4, 3) + number for number in range(3)]

def shards():
    return Shards(folder / "embeddings", "key", 11, 4)

def work():
    write_sealed(folder / "values.json", NEW)
    made = shards()
    for shard in made.to_make():
        made.write(shard, arrays[shard.number][: len(shard)])
    with Journal(folder / "journal.txt", "key") as journal:
        for number in range(3):
            journal.add(number)

def fork(fault):
    process = os.fork()
    if process == 0:
        code = 1
        try:
            arm(folder, fault, -1)
            work()
            code = 0
        except OSError as error:
            code = 28 if error.errno == 28 else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

import shutil
for at in range(1, 1000):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_sealed(folder / "values.json", OLD)
    code = fork(Fault(mode, at))
    values = read_sealed(folder / "values.json")
    valid = len(shards().all) - len(shards().missing())
    remove_leftovers(folder, None, 1)
    left = [str(path.relative_to(folder)) for path in folder.rglob(".*")]
    again = fork(Fault("count"))
    whole = shards()
    same = again == 0 and np.array_equal(whole.load(), np.concatenate(arrays)[:11]) and not whole.missing()
    with Journal(folder / "journal.txt", "key") as journal:
        done = sorted(journal.done)
    same = same and done == [0, 1, 2] and read_sealed(folder / "values.json") == NEW
    said = {"old": values == OLD, "new": values == NEW, "valid": valid, "left": left, "same": same}
    print(json.dumps({"code": code, **said}))
    if code == 0 and mode in ("kill", "torn"):
        break
    if code == 0 and at > 60:
        break
"""


@pytest.fixture(scope="module")
def library() -> Path:
    if shutil.which("cc") is None or sys.platform != "linux":
        pytest.skip("the shim needs Linux and a C compiler")
    return shim.build()


def trials(mode: str, library: Path, folder: Path) -> list[dict[str, Any]]:
    environment = {"LD_PRELOAD": str(library), "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", _TRIALS, mode, folder], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("mode", ["kill", pytest.param("torn", marks=pytest.mark.slow)])
def test_a_kill_before_any_file_operation_leaves_old_or_new_content_and_the_rest_is_made(
    mode: str, library: Path, tmp_path: Path
) -> None:
    found = trials(mode, library, tmp_path / "run")
    *killed, whole = found
    assert len(killed) > 40
    assert all(one["code"] == -9 for one in killed) and whole["code"] == 0
    assert all(one["old"] or one["new"] for one in found)
    assert {one["valid"] for one in found} == {0, 1, 2, 3}
    assert not [one["left"] for one in found if one["left"]]
    assert all(one["same"] for one in found)


@pytest.mark.parametrize("mode", ["full", pytest.param("full-once", marks=pytest.mark.slow)])
def test_a_full_disk_is_an_error_and_with_space_again_everything_is_made(
    mode: str, library: Path, tmp_path: Path
) -> None:
    found = trials(mode, library, tmp_path / "run")
    assert sum(one["code"] == 28 for one in found) > 30
    assert {one["code"] for one in found} <= {0, 28}
    assert all(one["old"] or one["new"] for one in found)
    assert all(one["same"] for one in found)
