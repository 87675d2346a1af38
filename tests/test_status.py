"""`status` and `requeue` as a batch script and its user call them."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import DEMO, ROOT, Run, clean_environment

from job.runtime.errors import BadInput, JobError, Resumable
from job.runtime.holders import holders
from job.runtime.ranks import Ranks
from job.runtime.rundir import RunDir


def test_status_as_json(job: Run, demo: Path) -> None:
    done = job("status", demo, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {stage["state"] for stage in found["stages"]} == {"done"}
    assert not found["running"]
    assert found["processes"][0]["state"] == "done"


def test_status_of_a_folder_that_may_only_be_read(copy: Path) -> None:
    """As another user, since root may write everywhere."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        for path in (copy, copy / "locks", copy / "markers"):
            path.chmod(0o555)
        before: list[str] = []
    else:
        before = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        for folder in (copy, *copy.parents):
            if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
                folder.chmod(0o755)
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from job.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [*before, sys.executable, "-B", "-c", code, str(ROOT), "status", str(copy)]
    files = sorted(copy.rglob("*"))
    with RunDir(copy).locked(Ranks(0, 2)):
        done = subprocess.run(words, cwd="/", env=clean_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "running: rank 0 of 2, process " in done.stdout
    assert set(copy.rglob("*")) - set(files) == {copy / "locks" / "rank-0-of-2.1"}


@pytest.mark.slow
def test_watching_begins_before_the_run_and_ends_with_it(job: Run, copy: Path) -> None:
    config = (copy / "config.json").read_text()
    (copy / "config.json").unlink()
    words = [sys.executable, "-m", "job", "status", str(copy), "--watch"]
    with RunDir(copy).locked():
        watching = subprocess.Popen(words, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True)
        time.sleep(2)
        (copy / "config.json").write_text(config)
        assert watching.stdout is not None
        for line in watching.stdout:
            if line.startswith("running: process "):
                break
    said = watching.stdout.read()
    assert watching.wait(30) == 0
    assert said.strip().endswith("not running")


def test_watching_ends_with_a_failure_but_not_with_a_stop(copy: Path) -> None:
    from job.commands.status import _is_over
    from job.pipeline import NAMES
    from job.runtime.overview import overview

    run = RunDir(copy)
    run.forget("report")
    for error, over in ((Resumable("a signal"), False), (JobError("no disk"), True)):
        with pytest.raises(JobError), run.locked():
            raise error
        assert _is_over(overview(run, [name for name in NAMES if run.marker(name)] + ["report"])) is over


@pytest.mark.parametrize(("error", "code"), [(None, 0), (JobError("no disk"), 1), (BadInput("no title"), 2)])
def test_watching_ends_with_the_code_of_the_run(job: Run, copy: Path, error: JobError | None, code: int) -> None:
    if error is not None:
        with pytest.raises(JobError), RunDir(copy).locked():
            raise error
    done = job("status", copy, "--watch")
    assert done.returncode == code, done.stderr
    assert "not running" in done.stdout
    if error is not None:
        assert f"error: the run failed: {error}" in done.stderr
    assert job("status", copy).returncode == 0


def test_watching_says_once_that_it_waits(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "job", "status", str(tmp_path / "nothing"), "--watch"]
    with subprocess.Popen(words, cwd=ROOT, env=clean_environment(), stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stderr is not None
        line = watching.stderr.readline()
        watching.kill()
        assert "there is no run in" in line and "waiting for it" in line
        assert watching.stderr.read() == ""


# ---- requeue


@pytest.fixture
def requeue(job: Run, tmp_path: Path) -> Run:
    def run(code: int, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = clean_environment() | {"SLURM_JOB_ID": "7", "SLURM_CLUSTER_NAME": "c"} | variables
        return job("requeue", code, DEMO, f"run_dir={tmp_path}", env=environment)

    return run


def ended(folder: Path, rank: int, error: JobError | None, job: str = "c:7", start: int = 0) -> None:
    """Rank `rank` of 4 has ended so, in this start of this Slurm job."""
    try:
        with RunDir(folder).locked(Ranks(rank, 4)):
            if error is not None:
                raise error
    except JobError:
        pass
    for holder in holders(folder):
        if holder.rank == rank:
            facts = {**holder.facts, "launch": {"id": "x", "slurm": job, "start": start}}
            holder.file.write_text(json.dumps(facts))


def test_a_run_that_stopped_on_the_way_is_started_again_but_not_for_ever(requeue: Run, tmp_path: Path) -> None:
    ended(tmp_path, 0, Resumable("stopped by SIGUSR1"))
    first = requeue(75)
    assert first.returncode == 75
    assert "to be started again: rank 0 of 4" in first.stderr
    assert "stopped by SIGUSR1" in first.stderr
    assert requeue(75, SLURM_RESTART_COUNT="1").returncode == 75
    last = requeue(137, SLURM_RESTART_COUNT="2")
    assert last.returncode == 1
    assert "not started again: 2 restarts in a row have finished no shard, batch or stage" in last.stderr


def test_a_job_that_others_take_the_place_of_is_always_started_again(requeue: Run, tmp_path: Path) -> None:
    ended(tmp_path, 0, Resumable("stopped by SIGTERM"))
    assert [requeue(75).returncode for _ in range(4)] == [75] * 4


def test_ranks_that_failed_are_named_and_not_those_that_stopped_because_of_them(requeue: Run, tmp_path: Path) -> None:
    from job.runtime.locks import OthersFailed

    ended(tmp_path, 0, OthersFailed("rank 2 failed"))
    ended(tmp_path, 1, Resumable("stopped by SIGUSR1"))
    ended(tmp_path, 2, JobError("no disk"))
    ended(tmp_path, 3, JobError("of yesterday"), job="c:6")
    done = requeue(75)
    assert done.returncode == 1
    assert "not started again: rank 2 of 4" in done.stderr
    assert f"no disk (its log: {tmp_path}/job.rank-2.log). Mend the cause" in done.stderr
    assert "rank 0" not in done.stderr and "rank 3" not in done.stderr


def test_a_failure_before_the_run_folder_was_locked_is_not_started_again(requeue: Run) -> None:
    done = requeue(2)
    assert done.returncode == 1
    assert "exit code 2, before any process had the run folder" in done.stderr


def test_a_run_that_has_ended_is_not_started_again_and_that_is_no_error(requeue: Run, tmp_path: Path) -> None:
    ended(tmp_path, 0, None)
    done = requeue(0)
    assert (done.returncode, done.stderr) == (0, "")
    assert "not started again: exit code 0, the run in" in done.stdout


def test_a_folder_that_is_no_run_folder_is_not_made_one(job: Run, tmp_path: Path) -> None:
    """Under Slurm it may be that of a run that was killed before it had made it."""
    done = job("requeue", 137, DEMO, f"run_dir={tmp_path / 'mistyped'}")
    assert done.returncode == 2
    assert f"run_dir = '{tmp_path / 'mistyped'}' is no run folder" in done.stderr
    assert not (tmp_path / "mistyped").exists()


def test_without_slurm_the_stops_of_one_script_are_counted_and_not_those_of_another(tmp_path: Path) -> None:
    ended(tmp_path, 0, Resumable("stopped by SIGUSR1"))
    calls = f"{sys.executable} -m job requeue 129 {DEMO} run_dir={tmp_path}; echo $?;"
    for count, codes in ((2, ["75", "75"]), (3, ["75", "75", "1"])):
        done = subprocess.run(
            ["bash", "-c", count * calls], capture_output=True, text=True, cwd=ROOT, start_new_session=True, check=True
        )
        assert done.stdout.split() == codes, done.stderr
