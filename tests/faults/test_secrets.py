"""A planted secret is found nowhere: not in what a command prints, and in no file of the run folder."""

from pathlib import Path

import pytest
from conftest import DEMO, Run, clean_environment

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
