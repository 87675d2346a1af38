"""A planted secret is found nowhere: not in what a command prints, and in no file of the run folder."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import DEMO, ROOT, SAMPLE, Run, clean_environment

SECRET = "hunter2-do-not-show"


def found_in(folder: Path) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and SECRET.encode() in path.read_bytes()
    ]


@pytest.mark.parametrize(
    "uri",
    [
        f"http://root:a/{SECRET}@127.0.0.1:9",
        f"http://root:{SECRET}@127.0.0.1:9",
        f"http://127.0.0.1:9/?token={SECRET}",
        f"http://127.0.0.1:9/{SECRET}",
        SECRET,
    ],
    ids=range(5),
)
@pytest.mark.parametrize(
    "way", ["word", pytest.param("environment", marks=pytest.mark.slow), pytest.param(".env", marks=pytest.mark.slow)]
)
def test_a_secret_in_an_address_is_not_shown(job: Run, tmp_path: Path, uri: str, way: str) -> None:
    here = tmp_path / "here"
    here.mkdir()
    environment = clean_environment() | ({"MILVUS_URI": uri} if way == "environment" else {})
    if way == ".env":
        (here / ".env").write_text(f"MILVUS_URI={uri}\nMILVUS_TOKEN={SECRET}\n")
    words = [f"store.uri={uri}"] if way == "word" else []
    settings = [f"run_dir={tmp_path / 'run'}", "store.patience=0", "store.index=FLAT", *words]
    done = job("run", DEMO, *settings, cwd=here, env=environment)
    assert done.returncode in (2, 75), done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert found_in(tmp_path / "run") == []


def test_a_token_of_a_whole_run_is_in_none_of_its_files(job: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = job("run", DEMO, f"run_dir={folder}", env=clean_environment() | {"MILVUS_TOKEN": SECRET})
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert found_in(folder) == []


@pytest.mark.parametrize("word", [f"store.auth={SECRET}", f"store.token.x={SECRET}"])
def test_a_secret_under_a_wrong_name_is_not_shown(job: Run, tmp_path: Path, word: str) -> None:
    done = job("run", DEMO, f"run_dir={tmp_path / 'run'}", word)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    if "=" in word:
        assert SECRET not in done.stdout + done.stderr
    assert not (tmp_path / "run").exists()


def command_lines(root: int) -> dict[int, str]:
    """The command lines of a process and of all below it, by process number."""
    parents, lines = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # after the name, which may hold anything: state, parent
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            lines[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended
    tree = {root}
    while more := {one for one, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return {one: lines[one] for one in tree if one in lines}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc")
@pytest.mark.parametrize("way", ["environment", ".env"])
def test_a_token_is_in_no_command_line_of_a_run_and_its_children(tmp_path: Path, way: str) -> None:
    path = tmp_path / "news.csv"
    path.write_text("\n".join(SAMPLE.read_text(encoding="utf-8").splitlines()[:21]) + "\n", encoding="utf-8")
    environment = clean_environment() | {"PYTHONPATH": str(ROOT)}
    if way == "environment":
        environment["MILVUS_TOKEN"] = SECRET
    else:
        (tmp_path / ".env").write_text(f"MILVUS_TOKEN={SECRET}\n")
    command = [sys.executable, "-m", "job", "run", str(DEMO), f"run_dir={tmp_path / 'run'}", f"input.path={path}"]
    with (
        (tmp_path / "said").open("wb") as said,
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=said, stderr=said) as process,
    ):
        seen: dict[int, set[str]] = {}
        while process.poll() is None:
            for one, line in command_lines(process.pid).items():
                seen.setdefault(one, set()).add(line)
            time.sleep(0.02)
    assert process.returncode == 0, (tmp_path / "said").read_text()
    assert any("news.csv" in line for line in seen[process.pid])
    assert len(seen) > 1, "no child was seen, and the job has one that beats for its lock"
    assert [line for lines in seen.values() for line in lines if SECRET in line] == []
    assert SECRET not in (tmp_path / "said").read_text()
