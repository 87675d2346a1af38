"""The job from Python: in the main thread, in another one, as tables; and the console script."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import DEMO, ROOT, Run, clean_environment

import job as package
from job.runtime import signals
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
    rows, clusters, stories = map(int, done.stdout.split())
    assert rows == answer.num_rows == 502
    assert clusters == stories + 1, "the stories, and noise"


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
