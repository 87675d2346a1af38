"""The harness itself: its table knows every setting, it sees what differs, and it damages what it says."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from faults import check
from faults.check import State
from faults.damage import KINDS, spoil
from faults.settings_table import fields, mutated, table
from faults.world import headlines, make

from job.config import load
from job.pipeline import NAMES

SAID = State({"a.csv": "1"}, {"ingest": "2"}, {"rows": 3}, {"a.csv", "run.json"}, "4 rows")


def test_every_setting_has_a_row_that_says_what_may_be_done_again() -> None:
    assert set(table(Path("base"))) == set(fields())


def test_the_rows_of_the_table_are_valid_and_change_their_setting(tmp_path: Path) -> None:
    config = make(tmp_path, Path("minilm")).config
    for name, row in table(tmp_path).items():
        if row.why_not:
            continue
        before, after = load(config, list(row.before)), load(config, list(row.words))
        values = [before, after]
        for part in name.split("."):
            values = [getattr(value, part) for value in values]
        assert values[0] != values[1], name
        assert set(row.stages) <= set(NAMES), name


def test_a_change_of_the_input_changes_it() -> None:
    rows = headlines()
    for what in ("title", "description", "time", "no-time", "source", "extra", "added", "copied", "removed", "column"):
        assert mutated(rows, what) != rows, what
    assert sorted(map(str, mutated(rows, "reordered"))) == sorted(map(str, rows))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (replace(SAID, answer={"a.csv": "x"}), "a.csv differs"),
        (replace(SAID, answer={}), "a.csv is missing"),
        (replace(SAID, outputs={"ingest": "x"}), "the output of stage ingest differs"),
        (replace(SAID, figures={"rows": 4}), "run.json: rows = 4, not 3"),
        (replace(SAID, files=SAID.files | {".x.tmp"}), "file too many: .x.tmp"),
        (replace(SAID, files={"a.csv"}), "file missing: run.json"),
        (replace(SAID, rows="5 rows"), "Milvus has 5 rows, not 4 rows"),
    ],
)
def test_a_difference_is_seen(found: State, said: str) -> None:
    assert check.differences(SAID, SAID) == []
    assert check.differences(SAID, found) == [said]


def test_files_are_damaged_as_their_kinds_say(tmp_path: Path) -> None:
    file = tmp_path / "a"
    found = {}
    for kind in KINDS:
        file.write_bytes(bytes(range(1, 101)))
        os.utime(file, ns=(1, 1))
        spoil(file, kind, "seed")
        found[kind] = file.read_bytes() if file.exists() else None
        assert (file.exists() and file.stat().st_mtime_ns == 1) == (kind == "flip-old-time")
    assert found["half"] == bytes(range(1, 51))
    assert (found["empty"], found["zeros"], found["deleted"]) == (b"", bytes(100), None)
    assert sum(a != b for a, b in zip(found["flip"] or b"", range(1, 101), strict=True)) == 1
