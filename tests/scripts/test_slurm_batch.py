"""The batch scripts' text, and what they say where something is missing; test_slurm_cluster.py runs them."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, clean_environment

SLURM = ROOT / "scripts" / "slurm"
sys.path.insert(0, str(SLURM))

from batch import CHAIN, LINKS, Options, script  # noqa: E402
from submit import parse  # noqa: E402

GOLDEN = Path(__file__).with_name("golden")
OPTIONS = Options(
    config="my configs/day.yaml",
    words=("input.path=/data/*.parquet", "run_dir=/scratch/me/run 7"),
    name="day",
    partition="gpu",
    account="p1234",
    qos="long",
    nodes=8,
    time="02:00:00",
    logs="/scratch/me/logs",
    container="job.sif",
    bind="/data,/scratch",
    milvus_uri_file="/home/me/milvus/uri",
    hf_home="/shared/hf",
)


def submit(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(SLURM / "submit.sh"), *words]
    return subprocess.run(command, cwd=cwd, env=clean_environment(), capture_output=True, text=True)


def run(text: str, folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What bash makes of a batch script, outside of Slurm."""
    path = folder / "job.sbatch"
    path.write_text(text)
    environment = clean_environment() | {"SLURM_JOB_ID": "1"} | variables
    return subprocess.run(["bash", str(path), *words], cwd=ROOT, env=environment, capture_output=True, text=True)


def test_run_sbatch_is_the_text_of_the_default_options() -> None:
    assert (SLURM / "run.sbatch").read_text() == script(Options())


@pytest.mark.parametrize("link", ["embed", "neighbors"])
def test_the_text_is_a_function_of_the_options(link: str) -> None:
    """After a wanted change: PYTHONPATH=tests python tests/scripts/test_slurm_batch.py"""
    assert script(OPTIONS, link) == (GOLDEN / f"{link}.sbatch").read_text()


@pytest.mark.parametrize("link", LINKS)
def test_bash_understands_every_script_and_every_field_is_filled_in(link: str) -> None:
    text = script(OPTIONS, link)
    assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0
    assert "@" not in text.replace("USR1@120", "").replace('"$@"', "").replace("options[@]", "").replace("job[@]", "")
    assert all(line.count("\n") == 0 for line in text.splitlines() if line.startswith("#SBATCH"))


def test_only_links_that_need_them_take_all_gpus_and_wait_for_milvus() -> None:
    nodes = {link: "--nodes=8\n" in script(OPTIONS, link) for link in CHAIN}
    assert nodes == {"embed": True, "store": False, "neighbors": True, "finish": False}
    waits = {link: "MILVUS_URI" in script(OPTIONS, link) for link in CHAIN}
    assert waits == {"embed": False, "store": True, "neighbors": True, "finish": True}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (Options(config=""), "no configuration: add the line  config=configs/slurm.yaml"),
        (Options(config="nowhere.yaml"), "add the line  config=/path/to/your.yaml"),
        (Options(venv=""), "no Python: add the line  venv=.venv"),
        (Options(venv="nowhere"), "no Python in 'nowhere': add the line  venv=/path/to/.venv"),
        (Options(container="no.sif"), "no image 'no.sif': add the line  container=/path/to/image.sif"),
    ],
)
def test_what_is_missing_ends_in_2_with_the_line_to_add(options: Options, line: str, tmp_path: Path) -> None:
    done = run(script(options), tmp_path)
    assert done.returncode == 2
    assert line in done.stderr


def test_no_conda_ends_in_2_with_the_line_to_add(tmp_path: Path) -> None:
    done = run(script(Options(conda="rapids")), tmp_path, PATH="/usr/bin:/bin")
    assert done.returncode == 2
    assert "no conda on PATH: add the line  source /path/to/conda" in done.stderr


def test_a_batch_script_that_is_not_submitted_says_how(tmp_path: Path) -> None:
    done = run(script(Options()), tmp_path, SLURM_JOB_ID="")
    assert done.returncode == 2
    assert "this is a batch script: sbatch" in done.stderr


def test_conda_is_activated_and_apptainer_gets_the_folders(tmp_path: Path) -> None:
    """With stand-ins for srun, conda and apptainer, which are not here: what they are called with."""
    (tmp_path / "job.sif").touch()
    for name in ("srun", "apptainer", "python"):
        (tmp_path / name).write_text(f'#!/bin/bash\necho {name} "$@"\n')
    (tmp_path / "conda").write_text(
        "#!/bin/bash\necho 'conda() { echo conda \"$@\"; }'\n"  # what `conda shell.bash hook` prints
    )
    for path in tmp_path.iterdir():
        path.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    said = run(script(Options(conda="rapids")), tmp_path, "seed=1", PATH=path).stdout
    assert "conda activate rapids\n" in said
    assert "--kill-on-bad-exit=0 --wait=0" in said
    assert said.endswith(" python -m job run configs/slurm.yaml seed=1\n")
    options = Options(container=str(tmp_path / "job.sif"), bind="/data", scratch="/local")
    said = run(script(options), tmp_path, PATH=path).stdout
    assert f"apptainer exec --nv --pwd {ROOT} --bind {ROOT},/local,/data {tmp_path}/job.sif python -m job run" in said


def test_a_value_with_a_space_is_one_value_for_slurm() -> None:
    text = script(Options(name="my day", logs="/a/my logs", account="p 1"))
    assert "#SBATCH --output='/a/my logs/%x-%j.log'\n" in text
    assert "#SBATCH --job-name='my day'\n" in text
    assert "#SBATCH --account='p 1'\n" in text


@pytest.mark.parametrize(("squeue", "requeued"), [("exit 1", True), ("echo RUNNING", True), ("echo CANCELLED", False)])
def test_a_job_is_requeued_also_where_slurm_does_not_say_its_state(tmp_path: Path, squeue: str, requeued: bool) -> None:
    """With stand-ins for Slurm's commands and for Python."""
    (tmp_path / "bin").mkdir()
    commands = {"srun": "exit 75", "python": "exit 75", "squeue": squeue, "scontrol": f'echo "$@" >> {tmp_path}/asked'}
    for name, body in {**commands, "sleep": ":"}.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    done = run(script(Options(venv=str(tmp_path))), tmp_path, PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert done.returncode == 75, done.stderr
    assert (tmp_path / "asked").exists() == requeued


def test_submit_reads_options_and_words_in_any_order() -> None:
    words = ["a.yaml", "--nodes", "3", "seed=1", "--chain", "embed,finish", "input.path=x", "--online", "--dry-run"]
    options, links, dry = parse(words)
    assert (options.config, options.words, options.nodes) == ("a.yaml", ("seed=1", "input.path=x"), 3)
    assert (links, dry, options.offline) == (["embed", "finish"], True, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no configuration: add it, as in  bash scripts/slurm/submit.sh configs/slurm.yaml"),
        (["seed=1"], "'seed=1' is no file: the configuration comes before"),
        (["nowhere.yaml"], "no file 'nowhere.yaml'"),
        (["configs/slurm.yaml", "--chain", "embed,map"], "--chain: 'map' is no link"),
    ],
)
def test_a_wrong_submission_ends_in_2(words: list[str], message: str) -> None:
    done = submit(*words)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_dry_run_prints_the_scripts_and_writes_nothing(tmp_path: Path) -> None:
    done = submit("configs/slurm.yaml", "--dry-run", "--logs", str(tmp_path / "logs"), "seed=1")
    assert done.returncode == 0, done.stderr
    for link in CHAIN:
        expected = script(Options(words=("seed=1",), logs=str(tmp_path / "logs")), link)
        assert f"### {tmp_path}/logs/headlines-{link}.sbatch\n{expected}" in done.stdout
    assert list(tmp_path.iterdir()) == []


if __name__ == "__main__":
    for name in ("embed", "neighbors"):
        (GOLDEN / f"{name}.sbatch").write_text(script(OPTIONS, name))
