"""The run's record and its configuration, from facts and markers."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from job.runtime.record import note_config, write_record
from job.runtime.rundir import RunDir

FACTS: dict[str, Any] = {
    "job": "1.0",
    "config": {"seed": 0},
    "choices": {"device": {"value": "cpu", "reason": "no driver"}},
    "this_run": {"stages": ["cluster"], "seconds": 1.5, "peak_mb": 100},
    "fallbacks": ["device cpu: no driver"],
}


def test_the_record_is_made_of_the_facts_and_the_markers(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.finish("ingest", "key", "out", [], 2.0, {"rows": 10, "headlines": 8, "rejects": 1, "warnings": ["1 reject"]})
    run.finish("cluster", "key", "out", [], 4.0, {"clusters": 3, "noise_share": 0.5, "fallbacks": ["on the CPU"]})
    write_record(run, ("ingest", "embed", "cluster"), FACTS)
    record = json.loads(run.file("run.json").read_text())
    assert list(record) == [
        *(
            "format",
            "job",
            "written",
            "config",
            "machine",
            "versions",
            "choices",
            "this_run",
            "stages",
            "fallbacks",
            "warnings",
        ),
        *("rows", "headlines", "rejects", "clusters", "noise_share"),
    ]
    assert {name: record[name] for name in ("job", "config", "choices", "this_run")} == {
        name: FACTS[name] for name in ("job", "config", "choices", "this_run")
    }
    assert record["fallbacks"] == ["device cpu: no driver", "on the CPU"]
    assert record["warnings"] == ["1 reject"]
    assert list(record["stages"]) == ["ingest", "cluster"]
    assert record["stages"]["ingest"].items() >= {"seconds": 2.0, "rows_per_second": 5.0, "headlines": 8}.items()
    assert record["stages"]["cluster"]["rows_per_second"] is None
    assert FACTS["fallbacks"] == ["device cpu: no driver"]


def test_changed_settings_are_logged_and_the_new_configuration_is_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("job"), "propagate", True)
    caplog.set_level(logging.INFO, "job")
    run = RunDir(tmp_path)
    note_config(run, {"seed": 0, "cluster": {"k": 15, "mode": "graph"}})
    note_config(run, {"seed": 0, "cluster": {"k": 15, "mode": "graph"}})
    assert caplog.messages == []
    new = {"seed": 1, "cluster": {"k": 20, "mode": "graph"}}
    note_config(run, new)
    assert caplog.messages == ["run: changed since the last run here: seed: 0 -> 1; cluster.k: 15 -> 20"]
    assert json.loads(run.file("config.json").read_text()) == new


@pytest.mark.parametrize("text", ["[]", "3", "[" * 100_000])
def test_a_config_that_is_none_is_written_again(tmp_path: Path, text: str) -> None:
    run = RunDir(tmp_path)
    run.file("config.json").write_text(text)
    note_config(run, {"seed": 1})
    assert json.loads(run.file("config.json").read_text()) == {"seed": 1}


def test_a_recipe_whose_settings_are_the_same_is_no_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`recut` saves the settings without the recipe's name."""
    monkeypatch.setattr(logging.getLogger("job"), "propagate", True)
    caplog.set_level(logging.INFO, "job")
    run = RunDir(tmp_path)
    note_config(run, {"cluster": {"k": 15, "recipe": None}})
    note_config(run, {"cluster": {"k": 15, "recipe": "stories"}})
    assert caplog.messages == []
    note_config(run, {"cluster": {"k": 16, "recipe": None}})
    assert caplog.messages == ["run: changed since the last run here: cluster.k: 15 -> 16"]
