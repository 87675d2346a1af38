"""What the system refuses is one clear line with the right exit code, by real limits in real processes."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import DEMO, ROOT, clean_environment

from job.runtime.errors import BadInput, JobError, Resumable
from job.runtime.files import write_array
from job.runtime.system_errors import explained


def test_each_refusal_has_its_words_and_its_exit_code() -> None:
    for error, kind, said in (
        (OSError(errno.ENOSPC, "No space left on device", "/run/a.npy"), Resumable, "'/run/a.npy': no space left"),
        (OSError(errno.EDQUOT, "Quota"), Resumable, "your quota of this disk is used up: make room"),
        (PermissionError(errno.EACCES, "x", "/run"), BadInput, "'/run': permission denied: name another place"),
        (OSError(errno.EMFILE, "x"), Resumable, "`ulimit -n 4096`"),
        (
            OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left"),
            Resumable,
            "no space left",
        ),
        (MemoryError(), JobError, "out of memory (MemoryError)"),
        (pa.ArrowMemoryError("malloc of size 9 failed"), JobError, "out of memory (malloc of size 9 failed)"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9"), JobError, "out of memory"),
    ):
        found = explained(error)
        assert type(found) is kind
        assert said in str(found)
    assert explained(KeyError("x")) is None
    full = "no space left on this disk (the run folder is '/runs/mine'): make room"
    assert full in str(explained(OSError(errno.ENOSPC, "x"), Path("/runs/mine")))
    assert "'/tmp/a': no space" in str(explained(OSError(errno.ENOSPC, "x", "/tmp/a"), Path("/runs/mine")))
    assert explained(RuntimeError("shapes differ")) is None


@pytest.mark.parametrize("count", [10, 600, 100_000])
def test_an_array_that_does_not_fit_on_the_disk(count: int) -> None:
    with pytest.raises(OSError) as caught:
        write_array(Path("/dev/full"), np.zeros(count))
    found = explained(caught.value)
    assert isinstance(found, Resumable)
    assert "no space left on this disk" in str(found)


def test_the_cause_of_an_error_of_another_kind_counts_too() -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise JobError("embed: saving shard 00001") from error
    except JobError as error:
        assert isinstance(explained(error), Resumable)


def limited(kilobytes: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run the job where no file may be larger than this."""
    command = ["bash", "-c", f'ulimit -f {kilobytes}; exec "$@"', "bash", sys.executable, "-m", "job", *map(str, words)]
    environment = clean_environment() | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def test_a_full_disk_is_one_line_and_the_same_command_goes_on_once_there_is_room(copy: Path) -> None:
    words = ("run", DEMO, f"run_dir={copy}", "report.title=Other")
    # as on a full disk, a write fails in the middle of a file
    full = limited("20", *words)
    assert full.returncode == 75, full.stderr
    assert "Traceback" not in full.stderr and "please report" not in full.stderr
    (line,) = [line for line in full.stderr.splitlines() if line.startswith("error: ")]
    assert "larger than files may be here (`ulimit -f`): raise the limit; finished work is kept" in line
    assert limited("unlimited", *words).returncode == 0


def test_a_folder_that_this_user_may_not_write_is_refused(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to become another user")
    for folder in (tmp_path.parent, tmp_path):
        folder.chmod(0o755)
    code = (
        "import os, sys; from pathlib import Path\n"
        "from job.runtime.rundir import RunDir; from job.runtime.errors import *\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n    RunDir(Path(sys.argv[1])).locked().__enter__()\n"
        "except BadInput as error:\n    sys.exit(f'refused: {error}')\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "run")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "refused: run_dir = " in done.stderr and "cannot write there (Permission denied)" in done.stderr
