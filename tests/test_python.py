"""The job from Python: in the main thread, in another one, as tables; and the console script."""

import json
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import DEMO, ROOT, Run, clean_environment

import job as package
from job.commands.finished import open_finished
from job.runtime import ownership, signals
from job.runtime.errors import BadInput

IN_A_THREAD = """
import sys, threading
from job import load, run
found = []
def work():
    found.append(run(load(sys.argv[1], f"run_dir={sys.argv[2]}")))
thread = threading.Thread(target=work)
thread.start()
thread.join()
result = found[0]
headlines = result.headlines().to_pandas()
print(len(headlines), headlines.cluster.nunique(), len(result.stories()))
"""


def python(code: str, *words: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_the_job_runs_in_a_thread_and_gives_the_same_answer(demo: Path, tmp_path: Path) -> None:
    done = python(IN_A_THREAD, DEMO, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    answer = pq.read_table(demo / "headlines_clustered.parquet")
    assert (tmp_path / "run" / "headlines_clustered.parquet").read_bytes() == (
        demo / "headlines_clustered.parquet"
    ).read_bytes()
    assert "INFO report: " in (tmp_path / "run" / "job.log").read_text()
    rows, clusters, stories = map(int, done.stdout.split())
    assert rows == answer.num_rows == 502
    assert clusters == stories + 1, "the stories, and noise"


AS_A_RANK = """
import sys
from job import load, run
result = run(load(sys.argv[1], f"run_dir={sys.argv[2]}", f"ranks.rank={sys.argv[3]}", "ranks.world=2"))
if sys.argv[3] == "0":
    print(len(result.stories()))
"""


@pytest.mark.slow
def test_of_two_ranks_both_return_and_the_first_has_the_answer(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda rank: python(AS_A_RANK, DEMO, tmp_path / "run", rank), (0, 1))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert int(first.stdout) > 10


def test_a_finished_run_is_read_with_the_environments_token_and_server(
    demo: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILVUS_TOKEN", "user:secret")
    monkeypatch.setenv("MILVUS_URI", "http://elsewhere:19530")
    store = open_finished(copy).config.store
    assert store.uri is None, "its own Lite file"
    assert store.token is not None
    assert store.token.get_secret_value() == "user:secret"
    values = json.loads((copy / "config.json").read_text())
    values["store"]["uri"] = "http://before:19530"
    (copy / "config.json").write_text(json.dumps(values))
    ownership.note_config(copy)
    assert open_finished(copy).config.store.uri == "http://elsewhere:19530"
    assert open_finished(copy, ["store.uri=http://said:19530"]).config.store.uri == "http://said:19530"


def test_a_finished_run_is_opened_as_tables(demo: Path) -> None:
    result = package.Result(demo)
    assert Path(result) == demo == result.path
    assert result.map.stat().st_size > 0
    assert result.record["clusters"] == len(result.stories()) > 10
    assert result.headlines()["cluster"].to_pylist() == (
        pq.read_table(demo / "headlines_clustered.parquet")["cluster"].to_pylist()
    )
    keywords = result.stories()["keywords"].to_pylist()
    assert all(isinstance(words, list) and words for words in keywords)
    themes = result.themes()
    assert themes is not None
    assert set(themes["level"].to_pylist()) == {"theme", "topic"}
    assert result.report.stat().st_size > 0
    assert result.changes() is None
    assert repr(result) == f"Result('{demo}')"


def test_no_run_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is no run folder"):
        package.Result(tmp_path)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing


def test_the_console_script_is_the_command_line() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    module, name = scripts["headline-clusters"].split(":")
    for words, said in ((["--version"], package.__version__), (["status", "/nowhere"], "is no run folder")):
        code = f"import sys; sys.argv[1:] = {words!r}; from {module} import {name}; {name}()"
        done = python(code)
        assert done.returncode == (0 if words == ["--version"] else 2)
        assert said in done.stdout + done.stderr


def test_a_signal_of_an_earlier_run_does_not_stop_a_later_one_in_a_thread(job: Run) -> None:
    import os
    import signal
    import threading

    with signals.stop_signals():
        os.kill(os.getpid(), signal.SIGUSR1)
    found: list[BaseException | None] = []

    def work() -> None:
        try:
            with signals.stop_signals():
                signals.check()
            found.append(None)
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [None]


WARNED = """
import logging, sys
import job
if sys.argv[3:]:
    logging.basicConfig(format="mine: %(message)s")
try:
    job.run(job.load(sys.argv[1], f"run_dir={sys.argv[2]}/run", f"input.path={sys.argv[2]}/news.csv"))
except job.runtime.errors.BadInput as error:
    print(error)
"""


@pytest.mark.parametrize(("words", "start"), [((), ""), (("logging",), "mine: ")])
def test_warnings_are_shown_once(tmp_path: Path, words: tuple[str, ...], start: str) -> None:
    (tmp_path / "news.csv").write_text("title,n\n,1\n")
    done = python(WARNED, DEMO, tmp_path, *words)
    assert "no usable row" in done.stdout, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "no column 'description'" in line]
    assert line.startswith("mine: ingest: ") if start else " WARNING ingest: " in line
    assert "run: stopped" not in done.stderr or start


def test_what_is_no_configuration_is_an_error_that_says_what_is_one() -> None:
    with pytest.raises(TypeError, match=r"expected what job.load\(path\) returns, not a str"):
        package.run("run.yaml")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"settings are texts of their own, not a list"):
        package.load(DEMO, ["run_dir=x"])  # type: ignore[arg-type]
