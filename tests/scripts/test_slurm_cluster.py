"""The batch scripts on a real Slurm of one node: the answer is that of one local run, whatever happens on the way."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import DEMO, ROOT, Run, clean_environment

from job.runtime import ownership

sys.path.insert(0, str(ROOT / "scripts" / "slurm"))

from one_node import OneNode, SlurmError

pytestmark = pytest.mark.slow

ANSWER = ("headlines_clustered.csv", "topics.csv")
TWO = ("--ntasks-per-node=2", "--gpus-per-node=2", "--cpus-per-task=1", "--mem=4G")
SETTINGS = ("device=cpu", "neighbors.backend=exact", "neighbors.shard_rows=40", "embed.shard_rows=8")
Fields = dict[str, str]


class Cluster(OneNode):
    """The cluster, with the environment of the tests."""

    def call(self, *command: str, check: bool = True, **options: object) -> str:
        kept = clean_environment() | self.environment
        done = subprocess.run(command, env=kept, capture_output=True, text=True, cwd=ROOT)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def run(self, folder: Path, *words: str, options: tuple[str, ...] = TWO) -> str:
        """Submit run.sbatch with this run folder: the job's number."""
        script = ("scripts/slurm/run.sbatch", str(DEMO), *(words or SETTINGS), f"run_dir={folder}")
        return self.call("sbatch", "--parsable", f"--output={log(folder)}", *options, *script).strip()

    def chain(self, folder: Path, *words: str) -> str:
        """Submit the chain with the run folder `folder`/run: what submit.sh prints."""
        options = ("--gpus-per-node=2", "--cpus-per-gpu=1", "--mem=4G", f"--logs={folder / 'my logs'}")
        return self.call("bash", "scripts/slurm/submit.sh", str(DEMO), *words, f"run_dir={folder / 'run'}", *options)

    def wait(self, number: str, until: Callable[[Fields], bool], seconds: float = 240) -> Fields:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            fields = self.job(number)
            if until(fields):
                return fields
            time.sleep(0.2)
        raise AssertionError(f"after {seconds} s: {fields}")

    def done(self, number: str, folder: Path) -> Fields:
        fields = self.wait(number, over)
        assert fields["JobState"] == "COMPLETED", log(folder).read_text()
        return fields


def over(fields: Fields) -> bool:
    return fields["JobState"] in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")


def log(folder: Path) -> Path:
    return folder.with_suffix(".log")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        cluster = Cluster(tmp_path_factory.mktemp("slurm"))
        cluster.start()
    except SlurmError as error:
        pytest.skip(str(error))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def answer(job: Run, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The answer of one process, with the same shards."""
    folder = tmp_path_factory.mktemp("local") / "run"
    done = job("run", DEMO, *SETTINGS, f"run_dir={folder}", env=clean_environment() | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return [(folder / name).read_bytes() for name in ANSWER]


def assert_same(folder: Path, answer: list[bytes]) -> None:
    assert [(folder / name).read_bytes() for name in ANSWER] == answer


def embedded(folder: Path) -> dict[Path, int]:
    """The finished shards, and what tells one file from another made in its place."""
    return {path: path.stat().st_mtime_ns for path in folder.glob("embeddings/0*.json")}


def in_mid_embedding(folder: Path) -> Callable[[Fields], bool]:
    return lambda fields: len(embedded(folder)) >= 6 or over(fields)


def restarted(fields: Fields) -> bool:
    return int(fields["Restarts"]) > 0 or over(fields)


def test_run_sbatch_with_two_ranks(slurm: Cluster, answer: list[bytes], tmp_path: Path) -> None:
    number = slurm.run(tmp_path / "run")
    slurm.done(number, tmp_path / "run")
    assert_same(tmp_path / "run", answer)
    assert "rank 1 of 2 (Slurm: SLURM_PROCID" in log(tmp_path / "run").read_text()


def test_the_chain_with_two_ranks(slurm: Cluster, answer: list[bytes], tmp_path: Path) -> None:
    said = slurm.chain(tmp_path, *SETTINGS)
    numbers = re.findall(r"^(\w+): job (\d+), log (.+)$", said, re.MULTILINE)
    assert [link for link, _, _ in numbers] == ["embed", "store", "neighbors", "finish"]
    logs = [Path(path) for _, _, path in numbers]
    fields = slurm.wait(numbers[-1][1], over)
    assert fields["JobState"] == "COMPLETED", [path.read_text() for path in logs if path.exists()]
    assert_same(tmp_path / "run", answer)
    assert [slurm.job(number)["NumTasks"] for _, number, _ in numbers] == ["2", "1", "2", "1"]
    assert "rank 1 of 2: its share is done" in logs[2].read_text()


def test_a_link_that_fails_ends_the_chain(slurm: Cluster, tmp_path: Path) -> None:
    first, *others = re.findall(r"job (\d+)", slurm.chain(tmp_path, "input.path=nowhere.csv", "device=cpu"))
    assert slurm.wait(first, over)["ExitCode"] == "2:0"
    assert "not started again" in next(tmp_path.glob("my logs/headlines-embed-*.log")).read_text()
    assert {slurm.wait(number, over)["JobState"] for number in others} == {"CANCELLED"}


def test_usr1_in_mid_embedding_then_the_same_answer(slurm: Cluster, answer: list[bytes], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    number = slurm.run(folder)
    slurm.wait(number, in_mid_embedding(folder))
    slurm.call("scancel", "--signal=USR1", number)
    slurm.wait(number, restarted)
    before = embedded(folder)
    assert 0 < len(before) < 62
    fields = slurm.done(number, folder)
    assert fields["Restarts"] == "1"
    assert "stopped by SIGUSR1" in log(folder).read_text()
    assert_same(folder, answer)
    after = embedded(folder)
    assert {path: after[path] for path in before} == before, "finished shards were made again"
    assert not list(folder.rglob(".*.tmp*"))


def test_a_job_of_a_higher_partition_takes_the_place(slurm: Cluster, answer: list[bytes], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    number = slurm.run(folder)
    slurm.wait(number, in_mid_embedding(folder))
    slurm.call("sbatch", "--partition=high", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    slurm.wait(number, restarted)
    before = embedded(folder)
    fields = slurm.done(number, folder)
    assert int(fields["Restarts"]) >= 1
    assert_same(folder, answer)
    after = embedded(folder)
    assert {path: after[path] for path in before} == before, "finished shards were made again"


def test_the_time_limits_warning_goes_on_to_the_ranks(slurm: Cluster, answer: list[bytes], tmp_path: Path) -> None:
    """As Slurm sends it with --signal=B:USR1: to the batch script only."""
    folder = tmp_path / "run"
    number = slurm.run(folder)
    slurm.wait(number, in_mid_embedding(folder))
    slurm.call("scancel", "--batch", "--signal=USR1", number)
    assert slurm.done(number, folder)["Restarts"] == "1"
    assert "stopped by SIGUSR1" in log(folder).read_text()
    assert_same(folder, answer)


def test_a_cancelled_job_stays_away(slurm: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    number = slurm.run(folder)
    slurm.wait(number, in_mid_embedding(folder))
    slurm.call("scancel", number)
    fields = slurm.wait(number, lambda fields: over(fields) and "COMPLETING" not in fields["JobState"])
    time.sleep(8)
    assert (slurm.job(number)["JobState"], fields["Restarts"]) == ("CANCELLED", "0")


def test_a_rank_killed_with_9_is_noticed_and_the_job_starts_again(
    slurm: Cluster, job: Run, answer: list[bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    number = slurm.run(folder)
    slurm.wait(number, in_mid_embedding(folder))
    status = job("status", folder).stdout
    assert re.search(
        r"^embed +not done +\d+ of 62 shards \(rank 0: \d+ of 31, rank 1: \d+ of 31\)", status, re.MULTILINE
    )
    found = re.search(r"running: rank 1 of 2, process (\d+)", status)
    assert found is not None, status
    os.kill(int(found[1]), signal.SIGKILL)
    assert int(slurm.done(number, folder)["Restarts"]) == 1
    said = log(folder).read_text()
    assert re.search(r"rank 1 of 2, process \d+ .* died without a word \(.*job\.rank-1\.log\)", said)
    assert_same(folder, answer)
    assert not list(folder.rglob(".*.tmp*"))


def test_a_node_that_goes_down_and_comes_back(slurm: Cluster, answer: list[bytes], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    number = slurm.run(folder)
    slurm.wait(number, in_mid_embedding(folder))
    slurm.kill_node()
    slurm.call("scontrol", "update", f"NodeName={socket.gethostname()}", "State=DOWN", "Reason=test")
    slurm.wait(number, restarted)
    slurm.start_node()
    slurm.done(number, folder)
    assert_same(folder, answer)
    assert not list(folder.rglob(".*.tmp*"))


def test_ranks_that_always_fail_are_named_and_then_only_their_work_is_done(
    slurm: Cluster, job: Run, answer: list[bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    ownership.claim(folder)
    broken = [folder / "embeddings" / f"{rank:05d}.npy" for rank in (1, 2)]
    for path in broken:  # a folder where these ranks want to write their first shard
        path.mkdir(parents=True)
    options = ("--ntasks-per-node=4", "--gpus-per-node=4", "--cpus-per-task=1", "--mem=8G")
    fields = slurm.wait(slurm.run(folder, options=options), over)
    assert (fields["JobState"], fields["ExitCode"], fields["Restarts"]) == ("FAILED", "1:0", "0")
    last = log(folder).read_text().strip().splitlines()[-1]
    for rank in (1, 2):
        assert re.search(rf"rank {rank} of 4, process \d+ on .* ended with 1: embed: saving shard 0000{rank}", last)
        assert f"job.rank-{rank}.log" in last
    assert "rank 3" not in last
    status = job("status", folder).stdout
    assert len(re.findall(r"^failed with 1: rank [12] of 4", status, re.MULTILINE)) == 2
    before = embedded(folder)
    for path in broken:
        path.rmdir()
    slurm.done(slurm.run(folder, options=options), folder)
    assert_same(folder, answer)
    after = embedded(folder)
    assert {path: after[path] for path in before} == before


def test_restarts_without_progress_end(slurm: Cluster, tmp_path: Path) -> None:
    """A server that never answers: the stages before it are done once, and two restarts more do nothing."""
    folder = tmp_path / "run"
    words = ("device=cpu", "store.uri=http://127.0.0.1:1", "store.patience=1")
    number = slurm.run(
        folder, *words, options=("--ntasks-per-node=1", "--gpus-per-node=1", "--cpus-per-task=1", "--mem=4G")
    )
    fields = slurm.wait(number, over)
    assert (fields["JobState"], fields["ExitCode"], fields["Restarts"]) == ("FAILED", "1:0", "2")
    last = log(folder).read_text().strip().splitlines()[-1]
    assert "not started again: 2 restarts in a row have finished no shard, batch or stage" in last
    assert "no Milvus server answers" in last


def test_milvus_sbatch_and_a_run_that_finds_it_by_its_file(slurm: Cluster, answer: list[bytes], tmp_path: Path) -> None:
    """The server's job is submitted after the run's, is requeued in between, and its address is read again."""
    folder, data = tmp_path / "run", tmp_path / "milvus"
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    text = (ROOT / "scripts" / "slurm" / "run.sbatch").read_text()
    script = tmp_path / "run.sbatch"
    script.write_text(text.replace("\nmilvus_uri_file=\n", f"\nmilvus_uri_file={data}/uri\n"))
    settings = [word for word in SETTINGS if not word.startswith("neighbors.backend")]
    words = (str(script), str(DEMO), *settings, "store.patience=60", "store.index=FLAT", f"run_dir={folder}")
    number = slurm.call("sbatch", "--parsable", f"--output={log(folder)}", *TWO, *words).strip()
    slurm.wait(number, lambda fields: fields["JobState"] == "RUNNING")
    export = f"--export=ALL,MILVUS_SERVER=package,MILVUS_DATA={data},MILVUS_PORT={port}"
    options = ["--gres=none", "--cpus-per-task=1", "--mem=4G", f"--output={tmp_path}/milvus.log", export]
    server = slurm.call("sbatch", "--parsable", *options, "scripts/milvus/milvus.sbatch").strip()
    try:
        slurm.wait(number, in_mid_embedding(folder))
        slurm.call("scontrol", "requeue", server)
        slurm.done(number, folder)
    finally:
        slurm.call("scancel", server)
    assert_same(folder, answer)
    slurm.wait(server, lambda fields: over(fields) and not (data / "uri").exists())


def test_the_lines_of_the_readme(slurm: Cluster, tmp_path: Path) -> None:
    """From the login node to the map, in a folder like this repository's, with a model and a server for CPUs."""
    page = (ROOT / "scripts" / "slurm" / "README.md").read_text(encoding="utf-8")
    lines = page.split("```bash\n")[1].split("```")[0].strip().splitlines()
    assert len(lines) == 11
    for name in ("job", "scripts", "configs", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    small = "--nodes 1 --gpus-per-node 2 --cpus-per-gpu 1 --mem 4G device=cpu store.index=FLAT"
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    here = {
        "--partition gpu --nodes 2": f"--partition low {small}",
        "'news/*.parquet'": str(ROOT / "job" / "sample" / "headlines.csv"),
        "models/bge-m3": "minilm",
        "MILVUS_SERVER=package": f"MILVUS_SERVER=package,MILVUS_PORT={port} --cpus-per-task=1 --mem=4G",
    }
    cache = os.environ.get("HEADLINE_CLUSTERS_CACHE") or str(Path.home() / ".cache" / "headline-clusters")
    variables = clean_environment() | slurm.environment | {"HOME": str(tmp_path), "HEADLINE_CLUSTERS_CACHE": cache}
    for line in lines:
        # the environment is there, and there is no network
        if not line.startswith("bash scripts/setup.sh") and "fetch-model" not in line:
            for theirs, ours in here.items():
                line = line.replace(theirs, ours)
            done = subprocess.run(
                ["bash", "-c", line], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=400
            )
            logs = [path.read_text() for path in tmp_path.glob("runs/logs/*.log")]
            assert done.returncode == 0, (line, done.stdout, done.stderr, logs)
